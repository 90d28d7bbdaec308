"""Peers that are written with Django's ORM: signals, F(), and django-computedfields."""
