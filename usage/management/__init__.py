"""What `manage.py` finds of this app."""
