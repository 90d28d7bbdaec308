"""What the HTTP interfaces of all apps share. It knows none of them."""
