"""Chat threads and their messages."""
