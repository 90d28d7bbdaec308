"""Sentinel's migrations on databases that were there before it."""
