"""The ASGI application, and a client of it with an API key."""

import asyncio

import httpx
import pytest

from tests.factories import make_key


@pytest.fixture
def app():
    from webapp.asgi import application  # noqa: PLC0415 - sets Django up

    return application


@pytest.fixture
def call(app):
    """Send one request to the ASGI application."""
    key = make_key()

    def send(method, url, headers=None, **kwargs):
        async def go():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver"
            ) as client:
                merged = {"Authorization": f"Bearer {key}", **(headers or {})}
                return await client.request(method, url, headers=merged, **kwargs)

        return asyncio.run(go())

    return send
