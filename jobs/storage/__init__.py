"""Where bytes live. Knows no models and no HTTP."""

from jobs.storage.base import Store, StoreError, StoreFull, Writer, WrongOffset
from jobs.storage.local import LocalStore


def store() -> Store:
    """Return the store this installation is configured for."""
    from django.conf import settings  # noqa: PLC0415 - the classes stay free of Django

    return LocalStore(settings.STORE_DIR)


__all__ = [
    "LocalStore",
    "Store",
    "StoreError",
    "StoreFull",
    "Writer",
    "WrongOffset",
    "store",
]
