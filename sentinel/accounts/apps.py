"""The app `accounts`."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Customers of the company, on the tables `users`, `user_usage` and `plans`."""

    name = "sentinel.accounts"
    label = "accounts"
    verbose_name = "Accounts"
