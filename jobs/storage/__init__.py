"""Where bytes live. Knows no models and no HTTP requests.

Every file's row names its store, so files may move between them at any time.
"""

from functools import cache
from typing import TYPE_CHECKING

from jobs.storage.base import (
    LOCAL,
    S3,
    BadParts,
    NoSuchMultipart,
    Part,
    Served,
    Store,
    StoreError,
    StoreFull,
    Writer,
    WrongOffset,
)
from jobs.storage.disk import LocalStore

if TYPE_CHECKING:
    from jobs.storage.s3 import BucketStore


def local() -> LocalStore:
    """Return the store on our disk; there always is one."""
    from django.conf import settings  # noqa: PLC0415 - the classes stay free of Django

    return LocalStore(settings.STORE_DIR)


def bucket(name: str = "") -> "BucketStore":
    """Return the store in the bucket, or in another one at the same place.

    Raise `StoreError` where none is configured.
    """
    from django.conf import settings  # noqa: PLC0415

    if not (settings.S3_BUCKET or (name and settings.S3_KEYS[0])):
        raise StoreError("This file lies in a bucket, and S3_BUCKET is not set.")
    return _bucket(
        name or settings.S3_BUCKET,
        settings.S3_ENDPOINT_URL,
        settings.S3_REGION,
        settings.S3_KEYS,
    )


@cache
def _bucket(
    name: str, endpoint_url: str, region: str, keys: tuple[str, str]
) -> "BucketStore":
    # boto3 takes half a second and 30 MB: only where there is a bucket.
    from jobs.storage.s3 import BucketStore  # noqa: PLC0415

    return BucketStore(
        bucket=name,
        endpoint_url=endpoint_url,
        region=region,
        access_key=keys[0],
        secret_key=keys[1],
    )


def current_name() -> str:
    """Return the name of the store that new files go to."""
    from django.conf import settings  # noqa: PLC0415

    return S3 if settings.S3_BUCKET else LOCAL


def store(name: str = "") -> Store:
    """Return the store of this name; without one, that of new files."""
    return bucket() if (name or current_name()) == S3 else local()


__all__ = [
    "LOCAL",
    "S3",
    "BadParts",
    "LocalStore",
    "NoSuchMultipart",
    "Part",
    "Served",
    "Store",
    "StoreError",
    "StoreFull",
    "Writer",
    "WrongOffset",
    "bucket",
    "current_name",
    "local",
    "store",
]
