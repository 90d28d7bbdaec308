"""What services refuse, whatever app they belong to."""

from __future__ import annotations


class ServiceError(Exception):
    """A change that cannot be made. Nothing was written."""


class NotFoundError(ServiceError, LookupError):
    """There is no such object, or it is somebody else's, which is not told."""


class ConflictError(ServiceError):
    """The object is not in a state that allows it."""
