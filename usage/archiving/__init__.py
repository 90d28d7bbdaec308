"""How old months leave the ledger: the archive, its exports, restoring, erasing, and the summary.

Nothing is exported here: Django loads the models of this package before those of its apps.
"""
