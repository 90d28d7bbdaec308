"""Commands of the counter engine."""
