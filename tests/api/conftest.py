"""A client of the JSON API with a key of alice's."""

import json

import pytest

from tests.factories import make_key


@pytest.fixture
def api(client):
    key = make_key()

    def call(method, path, body=None, key=key, **headers):
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return getattr(client, method)(
            f"/api/v1{path}",
            data=json.dumps(body) if body is not None else None,
            content_type="application/json",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return call
