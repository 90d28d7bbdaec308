"""How migrations reach tables that others write, and that nobody notices."""
