"""Sentinel: counters in PostgreSQL that are exact, and can be proved to be."""
