"""Requests as the views of the API see them."""

from django.http import HttpRequest

from sentinel.accounts.models import User


class CustomerRequest(HttpRequest):
    """A request of somebody who is signed in: the API lets no other through to a view."""

    user: User
