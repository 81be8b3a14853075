"""Which RunPod account to use, and through which API."""

from django.conf import settings

from jobs.lib.errors import Conflict
from jobs.runpod.account import Account
from jobs.runpod.graphql import GraphQLAccount
from jobs.runpod.rest import RestAccount


def open_account(key_name: str = "") -> Account:
    """Return the account of a key, for provisioning. Use it in a `with`.

    Setting RUNPOD_ACCOUNT_API=rest is enough to switch to GraphQL's successor.
    """
    if settings.RUNPOD_ACCOUNT_API == "rest":
        return open_rest(key_name)
    return GraphQLAccount(settings.RUNPOD_GRAPHQL_URL, _key(key_name))


def open_rest(key_name: str = "") -> RestAccount:
    """Return the same account through REST v2, for what only REST v2 offers."""
    return RestAccount(settings.RUNPOD_REST_URL, _key(key_name))


def open_money(key_name: str = "") -> Account:
    """Return the account through GraphQL, the only API that reports the balance."""
    return GraphQLAccount(settings.RUNPOD_GRAPHQL_URL, _key(key_name))


def key_names() -> list[str]:
    """Return the names of the keys that are set; "" is RUNPOD_API_KEY."""
    return [name for name, key in settings.RUNPOD_KEYS.items() if key]


def variable(key_name: str) -> str:
    """Return the name of the environment variable that holds the key."""
    return f"RUNPOD_API_KEY_{key_name}" if key_name else "RUNPOD_API_KEY"


def _key(key_name: str) -> str:
    key = settings.RUNPOD_KEYS.get(key_name, "")
    if not key:
        text = (
            f"{variable(key_name)} is not set. Set it in the environment and restart."
        )
        raise Conflict(text, code="no_runpod_key")
    return str(key)
