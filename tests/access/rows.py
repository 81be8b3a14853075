"""One row for every request of the installation: who may send it, and what comes back."""

import re
from dataclasses import dataclass, field
from typing import Any

from tests.access.asking import ask, encoded

SAFE = {"GET", "HEAD"}
OF_A_PERSON = re.compile(r"<[^>]*(job|batch|upload|key|webhook|delivery)_id>|:name>")
OF_AN_ENDPOINT = re.compile(r"<[^>]*(job_id|batch_id|slug)>")


@dataclass(frozen=True)
class Row:
    """A request. `status` is what its rightful caller gets."""

    verb: str
    route: str
    status: int
    scope: str = ""
    body: Any = None  # a list is a form, bytes are bytes; may be made from Things
    query: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    # Which thing stands for a name in the route.
    given: dict[str, str] = field(default_factory=dict)
    # What a key for other endpoints gets; None where endpoints do not matter.
    limited: int | None = None
    # Whether the rightful caller changes something.
    changes: bool | None = None
    # Whose things they are.
    owner: str = "alice"

    @property
    def key(self):
        """How the row is named in tests and tables."""
        return f"{self.verb} {self.route}"

    @property
    def is_owned(self):
        """Whether the route names something that belongs to one person."""
        return bool(OF_A_PERSON.search(self.route))

    @property
    def is_change(self):
        if self.changes is not None:
            return self.changes
        return self.verb not in SAFE and self.status < 400

    def path(self, things):
        """Return the address of a person's thing."""

        def value(match):
            return str(getattr(things, self.given.get(match[1], match[1])))

        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", value, self.route)

    def send(self, runner, caller, things, path=""):
        """Send the request; return the answer."""
        body = self.body(things) if callable(self.body) else self.body
        query = self.query(things) if callable(self.query) else self.query
        kind, data = ("", b"") if body is None else encoded(body)
        path = path or self.path(things)
        sent = {"query": query, "body": data, "kind": kind, "headers": self.headers}
        return ask(runner, caller, self.verb, path, **sent)


def rows_of(*lines):
    """Return rows; a line's fourth value, if there is one, is a dict of more."""
    return [Row(*line[:3], **(line[3] if len(line) > 3 else {})) for line in lines]
