"""Every door answers each of our errors alike: its status, its code and its words."""

import ast
import asyncio
import inspect
import re
from datetime import timedelta

import httpx
import pytest

from jobs.lib import errors, links
from jobs.lib.errors import Conflict, InvalidInput, Problem, SlipwayError
from jobs.storage import StoreError, StoreFull
from jobs.storage.base import WrongOffset
from tests.factories import make_endpoint, make_job, make_key
from tests.test_architecture import OURS

WORDS = "What is wrong, in words."
OF_ARGUMENTS = {
    "InvalidInput": lambda kind: kind(Problem("/field", WORDS)),
    "TooMany": lambda kind: kind(WORDS, retry_after=3),
    "Conflict": lambda kind: kind(WORDS, code="in_the_way"),
    "LinkRefused": lambda kind: kind(WORDS, code="link_expired"),
    "TokenRefused": lambda kind: kind(WORDS, code="link_expired"),
}
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, SlipwayError) and kind is not SlipwayError
]
STORES = [StoreError, StoreFull, WrongOffset]


def made(kind):
    return OF_ARGUMENTS.get(kind.__name__, lambda kind: kind(WORDS))(kind)


def test_the_table_in_the_docstring_is_the_one_in_the_code():
    table = dict(re.findall(r"^[├└]── (\w+) +(\d{3}) ", errors.__doc__, re.M))
    assert table == {kind.__name__: str(kind.http_status) for kind in KINDS}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_other_module_has_a_table_of_errors_and_statuses(path):
    names = {kind.__name__ for kind in (*KINDS, *STORES)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Dict):
            keys = {ast.unparse(key) for key in node.keys if key}
            assert not keys & names, ast.unparse(node)


# --- doors ------------------------------------------------------------------------------
class Door:
    """A way in: a function behind it, a request that comes to it, and its answer."""

    def __init__(self, behind, ask, says_code=True):
        self.behind, self.ask, self.says_code = behind, ask, says_code


def ask_api(send, key):
    return send(
        "POST",
        "/api/v1/jobs",
        json={"endpoint": "blur", "input": {}},
        headers={"Authorization": f"Bearer {key}"},
    )


def ask_open(send, key):
    body = {"filename": "a.bin", "size": 3}
    headers = {"Authorization": f"Bearer {key}"}
    return send("POST", "/uploads/open", json=body, headers=headers)


def ask_tus(send, key, **more):
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", **more}
    headers["Authorization"] = f"Bearer {key}"
    return send("POST", "/uploads/tus/", headers=headers, content=b"abc")


def ask_raw_tus(send, key):
    return ask_tus(send, key, **{"Content-Type": "application/offset+octet-stream"})


def ask_worker(send, key):
    attempt = make_job("IN_PROGRESS").attempts.get()
    token = links.sign(links.ATTEMPT, str(attempt.pk), lives=timedelta(minutes=1))
    return send(
        "POST",
        f"/worker/v1/attempts/{attempt.pk}/claim",
        json={},
        headers={"Authorization": f"Bearer {token}"},
    )


def ask_artifact(send, key):
    value = links.sign(links.OUTPUT, "anything", lives=timedelta(minutes=1))
    return send("PUT", f"/worker/v1/outputs/{value}", content=b"abc")


def ask_file(send, key):
    return send("GET", "/files/anything")


def ask_cortex(send, key):
    headers = {"Authorization": f"Bearer {key}"}
    return send("POST", "/batch/blur", json={"workers": 1}, headers=headers)


DOORS = {
    "api": Door("jobs.services.lifecycle.jobs.create", ask_api),
    "open": Door("jobs.services.files.uploads.known", ask_open),
    "tus": Door("jobs.services.files.uploads.open_upload", ask_tus, says_code=False),
    "raw tus": Door(
        "jobs.services.files.uploads.open_upload", ask_raw_tus, says_code=False
    ),
    "worker": Door("jobs.services.lifecycle.attempts.claim", ask_worker),
    "artifact": Door("jobs.asgi.artifacts.read_output_path", ask_artifact),
    "file": Door("jobs.services.files.downloads.find", ask_file, says_code=False),
    "cortex": Door("jobs.api.cortex._caller", ask_cortex),
}
# What a door says otherwise, as its own protocol wants it.
OTHERWISE = {
    # Cortex's programs look for 400 only.
    ("cortex", InvalidInput): 400,
    # The file is not there, whatever the reason: Django's page says so.
    ("file", errors.NotFound): 404,
}
# Doors that meet only these.
ONLY = {"file": {errors.LinkRefused, StoreError, StoreFull}}


@pytest.fixture
def send():
    from webapp.asgi import application  # noqa: PLC0415 - sets Django up

    def ask(method, path, **request):
        async def go():
            transport = httpx.ASGITransport(app=application)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver", timeout=30
            ) as client:
                return await client.request(method, path, **request)

        return asyncio.run(go())

    return ask


CASES = [
    (name, kind)
    for name in DOORS
    for kind in (*KINDS, *STORES)
    if kind in ONLY.get(name, {kind})
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "kind"), CASES, ids=[f"{name}-{kind.__name__}" for name, kind in CASES]
)
def test_a_door_answers_with_the_errors_status_code_and_words(
    name, kind, send, monkeypatch
):
    make_endpoint()
    door, error, key = DOORS[name], made(kind), make_key()

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(door.behind, refuse)
    answer = door.ask(send, key)
    assert answer.status_code == OTHERWISE.get((name, kind), kind.http_status)
    if name == "raw tus" and kind.http_status == 507:
        assert "disk is full" in answer.text
    else:
        assert WORDS in answer.text
    if door.says_code:
        code = "over" if (name, kind) == ("artifact", Conflict) else error.code
        assert code in answer.text
