"""The people of these tests, their keys and sessions, and how the rows are watched."""

import asyncio
import itertools
from datetime import timedelta

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils.timezone import now

from jobs.lib import links
from jobs.models import (
    ApiKey,
    Artifact,
    Attempt,
    AuditEntry,
    Batch,
    Delivery,
    Endpoint,
    Job,
    LocalWorker,
    QueueChunk,
    QueueItem,
    Upload,
    Webhook,
)
from jobs.models.api_key import SCOPES
from tests.access import asking
from tests.access.things import Things
from tests.factories import make_key, make_local, make_user

BACKEND = "django.contrib.auth.backends.ModelBackend"
# What requests change; a key's last use is no change that anybody asked for.
WATCHED = (
    *(ApiKey, Artifact, Attempt, AuditEntry, Batch, Delivery, Endpoint),
    *(Job, LocalWorker, QueueChunk, QueueItem, Upload, User, Webhook),
)
MINE = "the owner's key"
UNWATCHED = {"last_used_at", "last_login"}


def session_of(user):
    """Sign a user in, as Django's `login` does; return the session's key."""
    store = SessionStore()
    store[SESSION_KEY], store[BACKEND_SESSION_KEY] = str(user.pk), BACKEND
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return store.session_key


def narrowed(owner, scope):
    """Return a key of `owner` with every scope but one."""
    return make_key(owner, scopes=[one for one in SCOPES if one != scope])


class World:
    """Rows that are committed, as the servers' threads see nothing else."""

    def __init__(self):
        self.runner = asyncio.Runner()
        self._numbers = itertools.count()
        self.alice, self.bob = make_user("alice"), make_user("bob")
        self.gone = make_user("gone")
        self.clerk = make_user("clerk", is_staff=True)
        self.viewer = make_user("viewer", is_staff=True)
        self.viewer.user_permissions.set(
            Permission.objects.filter(codename__startswith="view_")
        )
        self.root = make_user("root", is_staff=True, is_superuser=True)
        # What others try to come at.
        self.things = {name: Things(getattr(self, name), name) for name in OWNERS}
        for things in self.things.values():
            self._make_all(things)
        gone = make_key(self.gone), session_of(self.gone)
        User.objects.filter(pk=self.gone.pk).update(is_active=False)
        self.callers = self._callers(*gone)
        self._rows = None

    def _make_all(self, things):
        for name in dir(Things):
            if not name.startswith("_"):
                getattr(things, name)

    def _callers(self, gone_key, gone_session):
        """Return who is to be refused, by the names that tests use."""
        over = now() - timedelta(days=1)
        revoked, expired = (
            make_key(self.alice, revoked_at=over),
            make_key(self.alice, expires_at=over),
        )
        local, elsewhere = self.things["alice"].local, make_local("elsewhere")
        keys = {
            "a key that never was": "slipway_00000000_" + "0" * 48,
            "a revoked key": revoked,
            "an expired key": expired,
            "a deactivated person's key": gone_key,
            "a worker's key": local.worker_key,
            "a local client's key": local.client_key,
            "another local client's key": elsewhere.client_key,
            "another queue's worker's key": elsewhere.worker_key,
            "an older worker's key": links.worker_key(local.queue_name, 0),
            "another person's key": make_key(self.bob),
            "a key for other endpoints": make_key(self.alice, endpoints=["elsewhere"]),
            "a clerk's key": make_key(self.clerk),
            "a viewer's key": make_key(self.viewer),
            MINE: make_key(self.alice),
            "root's key": make_key(self.root),
            **{f"a key without {one}": narrowed(self.alice, one) for one in SCOPES},
        }
        mine = session_of(self.alice)
        evil = {"origin": "https://evil.example"}
        return {
            "nobody": asking.ANYBODY,
            **{name: asking.with_key(secret) for name, secret in keys.items()},
            "a key in another scheme": asking.with_raw_key(f"Token {keys[MINE]}"),
            "a deactivated person's cookie": asking.with_cookie(gone_session),
            "another person's cookie": asking.with_cookie(session_of(self.bob)),
            "a clerk's cookie": asking.with_cookie(session_of(self.clerk)),
            "a viewer's cookie": asking.with_cookie(session_of(self.viewer)),
            "the owner's cookie": asking.with_cookie(mine),
            "root's cookie": asking.with_cookie(session_of(self.root)),
            "a cookie without token": asking.with_cookie(mine, csrf=""),
            "a cookie with another token": asking.with_cookie(mine, csrf="x" * 32),
            "a foreign site": asking.with_cookie(mine, **evil),
            "a site without a name": asking.with_cookie(mine, origin="null"),
        }

    def number(self):
        """Return a number that no name has yet."""
        return next(self._numbers)

    # --- who is let in ----------------------------------------------------------------
    def fresh(self, row):
        """Return new things for one request that may change them."""
        return self.fresh_of(row.owner)

    def fresh_of(self, owner):
        """Return new things of somebody like `owner`."""
        name = f"{owner}-{self.number()}"
        kind = {"is_staff": True, "is_superuser": True} if owner == "root" else {}
        return Things(make_user(name, **kind), name)

    def cookie_of(self, things):
        return asking.with_cookie(session_of(things.owner))

    def exact_key_of(self, things, row):
        """Return a key that opens nothing but the row, at this endpoint only."""
        leave = {"scopes": [row.scope] if row.scope else []}
        ends = [] if row.limited is None else [things.slug, things.free_slug]
        return asking.with_key(make_key(things.owner, endpoints=ends, **leave))

    # --- what has changed -------------------------------------------------------------
    def watch(self):
        """Remember the rows as they are."""
        self._rows = rows()

    def changed(self):
        """Return the kinds of rows that differ from when they were watched."""
        return {name for name, these in rows().items() if these != self._rows[name]}

    def close(self):
        self.runner.close()


OWNERS = ("alice", "root")


def _sql(model):
    """Return the query of all rows; models would take ten times as long to read."""
    fields = [f.column for f in model._meta.concrete_fields if f.name not in UNWATCHED]
    return "SELECT {} FROM {} ORDER BY {}".format(
        ", ".join(map(connection.ops.quote_name, fields)),
        connection.ops.quote_name(model._meta.db_table),
        connection.ops.quote_name(model._meta.pk.column),
    )


def rows():
    """Return everything that is stored of people and jobs, by model."""
    stored = {}
    with connection.cursor() as cursor:
        for model in WATCHED:
            cursor.execute(_sql(model))
            stored[model.__name__] = cursor.fetchall()
    return stored
