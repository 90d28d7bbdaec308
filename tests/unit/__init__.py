"""One test file for each module."""
