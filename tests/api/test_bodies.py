"""Bodies that are not what they should be: refused by name, and nothing is created."""

import json

import pytest

from jobs.models import Job
from tests.factories import make_endpoint, make_key

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def post(client):
    make_endpoint()
    key = make_key()

    def send(body, content_type="application/json", **headers):
        return client.post(
            "/api/v1/jobs",
            data=body,
            content_type=content_type,
            headers={"Authorization": f"Bearer {key}", **headers},
        )

    return send


def job(value: str) -> bytes:
    return b'{"endpoint": "blur", "input": {"x": ' + value.encode() + b"}}"


def nested(depth: int) -> str:
    """Return JSON that makes the body of `job` nested `depth` levels deep."""
    return "[" * (depth - 2) + "]" * (depth - 2)


NOT_JSON = {
    "empty": b"",
    "cut": b"{",
    "trailing comma": b'{"endpoint": "blur",}',
    "list": b"[]",
    "text": b'"x"',
    "null": b"null",
    "number": b"42",
    "NaN": job("NaN"),
    "Infinity": job("Infinity"),
    "-Infinity": job("-Infinity"),
    "1e400": job("1e400"),
    "-1e400": job("-1e400"),
    "100,000 levels": job("[" * 100_000),
    "100,000 closed levels": job("[" * 100_000 + "]" * 100_000),
    "65 levels": job(nested(65)),
    "5,000 digits": job("1" * 5000),
    "a key twice": b'{"endpoint": "blur", "endpoint": "other", "input": {}}',
    "a key twice inside": job('{"a": 1, "a": 2}'),
    "bad UTF-8": job('"') + b"\xff\xfe" + b'"}}',
    "UTF-16": json.dumps({"endpoint": "blur", "input": {}}).encode("utf-16"),
    "UTF-32": json.dumps({"endpoint": "blur", "input": {}}).encode("utf-32"),
    "BOM": b"\xef\xbb\xbf" + job("1"),
    "NUL": job(r'"a\u0000b"'),
    "NUL deep": job(r'[[{"k": ["\u0000"]}]]'),
    "NUL in a key": job(r'{"a\u0000": 1}'),
    "half a surrogate": job(r'"\ud800"'),
    "unknown field": b'{"endpoint": "blur", "input": {}, "status": "COMPLETED"}',
    "number as text": b'{"endpoint": 5, "input": {}}',
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_sound_json_is_400(post, body):
    answer = post(body)
    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "value", [nested(64), r'"\ud83d\ude00"', "1.5e15", str(2**70), '"' + "́" * 9 + '"']
)
def test_what_is_unusual_but_sound_is_taken_as_it_is(post, value):
    answer = post(job(value))
    assert answer.status_code == 201
    assert answer.json()["input"] == {"x": json.loads(value)}
    assert Job.objects.get().input == {"x": json.loads(value)}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""],
)
def test_json_that_calls_itself_something_else_is_415(post, content_type):
    assert post(job("1"), content_type or "nothing").status_code == 415


def test_other_encodings_are_415(post):
    assert post(job("1"), "application/json; charset=utf-16").status_code == 415
    assert post(job("1"), **{"Content-Encoding": "gzip"}).status_code == 415
    assert post(job("1"), "application/json; charset=UTF-8").status_code == 201


def test_a_body_over_the_limit_is_413(post, settings):
    settings.JOBS_INPUT_MAX_BYTES = 1000
    assert post(job('"' + "a" * 66_600 + '"')).status_code == 413
    assert post(job('"' + "a" * 2_000 + '"')).status_code == 413
    assert post(job('"a"')).status_code == 201


def test_an_input_counts_with_the_links_its_files_become(post, settings):
    settings.JOBS_INPUT_MAX_BYTES = 4000
    files = [f"upload:00000000-0000-7000-8000-{n:012}" for n in range(40)]
    assert post(job(json.dumps(files))).status_code == 413


def test_metadata_over_16_kib_is_413(post):
    body = {"endpoint": "blur", "input": {"a": 1}, "metadata": {"a": "b" * 17_000}}
    assert post(json.dumps(body)).status_code == 413


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "schlüssel", "a\tb", "a\x00b"])
def test_a_wrong_idempotency_key_is_400(post, key):
    assert post(job("1"), **{"Idempotency-Key": key}).status_code == 400


@pytest.mark.parametrize(
    "pk",
    [
        *("{00000000-0000-7000-8000-000000000000}", "1", str(10**30), "%00", "..%2f"),
        "urn:uuid:00000000-0000-7000-8000-000000000000",
        "00000000-0000-7000-8000-00000000000A",
    ],
)
def test_an_id_that_is_none_is_404(client, pk):
    headers = {"Authorization": f"Bearer {make_key()}"}
    answer = client.get(f"/api/v1/jobs/{pk}", headers=headers)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "TRACE", "PROPFIND", "OPTIONS"])
def test_a_wrong_verb_is_405_and_says_which_are_right(client, verb):
    headers = {"Authorization": f"Bearer {make_key()}"}
    answer = client.generic(verb, "/api/v1/jobs", headers=headers)
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert "POST" in answer["Allow"]


def test_no_header_overrides_the_verb(client, post):
    headers = {
        "Authorization": f"Bearer {make_key()}",
        "X-HTTP-Method-Override": "DELETE",
        "X-Method-Override": "DELETE",
    }
    pk = post(job("1")).json()["id"]
    assert client.get(f"/api/v1/jobs/{pk}", headers=headers).status_code == 200
    assert Job.objects.filter(pk=pk).exists()


def test_a_foreign_host_is_400(client):
    answer = client.get("/api/v1/me", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
