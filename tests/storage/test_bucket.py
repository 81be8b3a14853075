"""What only a bucket does: parts and links, refused by a real server when they are wrong."""

import time
from datetime import timedelta

import httpx
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from jobs.storage import NoSuchMultipart, Served, StoreError
from jobs.storage.s3 import BucketStore
from tests.s3 import KEY, SECRET

HOUR = timedelta(hours=1)
MIB = 1024 * 1024


def put(url, content, **headers):
    return httpx.put(url, content=content, headers=headers, trust_env=False)


def test_parts_become_one_file(s3):
    id = s3.begin("in/a")
    assert s3.parts("in/a", id) == []
    for number, body in ((2, b"end"), (1, b"a" * 5 * MIB)):
        url = s3.part_link("in/a", id, number, len(body), HOUR)
        assert put(url, body).status_code == 200
    parts = s3.parts("in/a", id)
    assert [(part.number, part.size) for part in parts] == [(1, 5 * MIB), (2, 3)]
    s3.complete("in/a", id, parts)
    assert s3.size("in/a") == 5 * MIB + 3
    with pytest.raises(NoSuchMultipart):
        s3.parts("in/a", id)


def test_an_aborted_upload_is_gone_and_may_be_aborted_again(s3):
    id = s3.begin("in/a")
    put(s3.part_link("in/a", id, 1, 3, HOUR), b"abc")
    s3.abort("in/a", id)
    s3.abort("in/a", id)
    with pytest.raises(NoSuchMultipart):
        s3.parts("in/a", id)


@pytest.mark.parametrize("change", ["longer", "shorter", "key", "part", "method", "id"])
def test_b55_a_link_is_good_for_one_part_of_one_size_only(s3, change):
    id = s3.begin("in/a")
    url = s3.part_link("in/a", id, 1, 3, HOUR)
    body = {"longer": b"abcd", "shorter": b"ab"}.get(change, b"abc")
    changed = {
        "key": url.replace("/in/a?", "/in/b?"),
        "part": url.replace("partNumber=1", "partNumber=2"),
        "id": url.replace(id, s3.begin("in/a")),
    }.get(change, url)
    method = "GET" if change == "method" else "PUT"
    answer = httpx.request(method, changed, content=body, trust_env=False)
    assert answer.status_code == 403
    assert s3.parts("in/a", id) == []


def test_a_link_to_a_file_carries_how_it_is_served(s3):
    s3.save("in/a", [b"<script>"])
    served = Served("application/octet-stream", 'attachment; filename="a.html"')
    answer = httpx.get(s3.link("in/a", served, HOUR), trust_env=False)
    assert answer.content == b"<script>"
    assert answer.headers["content-type"] == served.content_type
    assert answer.headers["content-disposition"] == served.content_disposition


def verified(url, method="PUT", length=None):
    """Whether a presigned URL holds, judged anew with botocore's own arithmetic."""
    parsed = httpx.URL(url)
    given = dict(parsed.params)
    signature, signed_at = given.pop("X-Amz-Signature"), given["X-Amz-Date"]
    expires = int(given["X-Amz-Expires"])
    began = time.mktime(time.strptime(signed_at, "%Y%m%dT%H%M%SZ")) - time.timezone
    if time.time() > began + expires:
        return False
    signer = S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1", expires)
    base = str(parsed.copy_with(query=None))
    request = AWSRequest(method, base, params=given)
    if length is not None:
        request.headers["Content-Length"] = str(length)
    request.headers["Host"] = parsed.netloc.decode()
    request.context["timestamp"] = signed_at
    text = signer.canonical_request(request)
    return signature == signer.signature(signer.string_to_sign(request, text), request)


def test_b55_links_expire_and_cannot_be_altered(s3):
    id = s3.begin("in/a")
    url = s3.part_link("in/a", id, 1, 3, HOUR)
    assert verified(url, length=3)
    assert not verified(url, length=4)
    assert not verified(url, method="GET", length=3)
    assert not verified(url.replace("in/a", "in/b"), length=3)
    assert not verified(url.replace("Expires=3600", "Expires=99999"), length=3)
    short = s3.part_link("in/a", id, 1, 3, timedelta(seconds=-1))
    assert not verified(short, length=3)


def test_a_link_never_lives_longer_than_signatures_may(s3):
    url = s3.link("in/a", Served("text/plain", "inline"), timedelta(days=30))
    assert dict(httpx.URL(url).params)["X-Amz-Expires"] == str(7 * 24 * 3600)


@pytest.mark.parametrize("operation", ["size", "save", "parts"])
def test_an_unreachable_bucket_is_our_own_error_without_secrets(operation):
    away = BucketStore(
        bucket="b",
        endpoint_url="http://127.0.0.1:9",
        region="us-east-1",
        access_key=KEY,
        secret_key=SECRET,
    )
    calls = {
        "size": lambda: away.size("in/a"),
        "save": lambda: away.save("in/a", [b"x"]),
        "parts": lambda: away.parts("in/a", "id"),
    }
    with pytest.raises(StoreError) as error:
        calls[operation]()
    assert SECRET not in str(error.value)


def test_a_wrong_key_is_a_refusal(s3_server):
    s3_server.bucket("wrong-key")
    refused = BucketStore(
        bucket="wrong-key",
        endpoint_url=s3_server.url,
        region="us-east-1",
        access_key=KEY,
        secret_key="other",
    )
    with pytest.raises(StoreError, match="refused"):
        refused.save("in/a", [b"x"])
