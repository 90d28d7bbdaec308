"""What counting costs, against doing without. Run by `make bench`."""
