"""The demo: data that looks real, a tour of the counters, and an admin to look around in."""
