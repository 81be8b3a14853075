"""Network volumes at RunPod: enlarge them, and delete unused ones."""

from typing import Any

from jobs.lib.errors import Conflict, InvalidInput, Problem
from jobs.models import Endpoint
from jobs.runpod.account import VOLUME_MAX_GB, Account, Volume
from jobs.services.operations import accounts, audit


def grow(key_name: str, id: str, size_gb: int, *, user: Any = None) -> Volume:
    """Enlarge a volume and return it; RunPod cannot make one smaller."""
    with accounts.open_account(key_name) as account:
        volume = _volume(account, id)
        if not volume.size_gb < size_gb <= VOLUME_MAX_GB:
            raise InvalidInput(
                Problem(
                    "/size_gb",
                    f"{volume.name} has {volume.size_gb} GB and can only grow: enter "
                    f"{volume.size_gb + 1} to {VOLUME_MAX_GB} GB.",
                )
            )
        grown = account.grow_volume(volume, size_gb)
    sizes = [volume.size_gb, grown.size_gb]
    audit.record(user, "volume_grown", volume.name, id=id, gb=sizes)
    return grown


def delete(key_name: str, id: str, *, user: Any = None) -> Volume:
    """Delete a volume and everything on it; refuse while an endpoint needs it."""
    with accounts.open_account(key_name) as account:
        volume = _volume(account, id)
        users = {one.name for one in account.endpoints() if one.volume_id == id}
        users |= _would_need(key_name, id)
        if users:
            text = (
                f"{volume.name} is used by {', '.join(sorted(users))}. Delete that "
                "endpoint at RunPod first."
            )
            raise Conflict(text, code="volume_in_use")
        account.delete_volume(id)
    audit.record(user, "volume_deleted", volume.name, id=id, gb=volume.size_gb)
    return volume


def _would_need(key_name: str, id: str) -> set[str]:
    """Return our endpoints, dead at RunPod, that need the volume when recreated."""
    endpoints = Endpoint.objects.filter(
        kind=Endpoint.Kind.RUNPOD,
        key_name=key_name,
        is_active=True,
        remote__volume_id=id,
    )
    return set(endpoints.values_list("slug", flat=True))


def _volume(account: Account, id: str) -> Volume:
    for one in account.volumes():
        if one.id == id:
            return one
    text = f"RunPod's account has no volume {id}. It may already have been deleted."
    raise Conflict(text, code="volume_not_found")
