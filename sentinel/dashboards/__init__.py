"""Pages of the admin that show usage, and the health of the counters."""
