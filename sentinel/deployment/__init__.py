"""Deployment: the guide's checklists as checks that can be run, before and after.

They look at tables of every app by their names in the database, which are the guide's: a checklist
that relied on our models could not be run on a database that has none of our columns yet.
"""
