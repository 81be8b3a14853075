"""Whether there is room for another upload."""

from typing import Any

from django.db.models import Count, F, Q, Sum

from jobs.lib import conf
from jobs.lib.errors import NoSpace, TooLarge
from jobs.models import Upload
from jobs.storage import LOCAL, Store

OPEN = Q(status=Upload.Status.UPLOADING)
GIB = 1024**3


def check(owner: Any, size: int, store: Store) -> None:
    """Raise `TooLarge` above a limit, or `NoSpace` if the disk is full."""
    if size > conf.UPLOAD_MAX_BYTES:
        limit = conf.UPLOAD_MAX_BYTES / GIB
        raise TooLarge(f"The file is larger than the limit of {limit:g} GiB.")
    _check_user(owner, size)
    free = store.free_bytes()
    if free is None:
        return
    on_disk = Upload.objects.filter(OPEN, store=LOCAL)
    open_bytes = on_disk.aggregate(left=Sum(F("size") - F("received")))["left"] or 0
    if size > free - conf.DISK_RESERVE_BYTES - open_bytes:
        raise NoSpace("The server does not have enough free space for this file.")


def _check_user(owner: Any, size: int) -> None:
    if not (conf.USER_MAX_BYTES or conf.USER_MAX_FILES or conf.USER_OPEN_UPLOADS):
        return
    used = Upload.objects.filter(owner=owner).aggregate(
        files=Count("pk"), bytes=Sum("size"), open=Count("pk", filter=OPEN)
    )
    if conf.USER_MAX_BYTES and (used["bytes"] or 0) + size > conf.USER_MAX_BYTES:
        limit = conf.USER_MAX_BYTES / GIB
        raise TooLarge(
            f"Your files would exceed your limit of {limit:g} GiB. Delete some."
        )
    if conf.USER_MAX_FILES and used["files"] >= conf.USER_MAX_FILES:
        raise TooLarge(
            f"You have reached your limit of {used['files']} files. Delete some."
        )
    if conf.USER_OPEN_UPLOADS and used["open"] >= conf.USER_OPEN_UPLOADS:
        raise TooLarge(
            f"{used['open']} of your uploads are unfinished. Finish or delete some first."
        )
