"""Tests with one small object whether the bucket does what Slipway needs."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from jobs.lib import conf, tls
from jobs.storage import Served, StoreError, bucket

HOUR = timedelta(hours=1)
TIMEOUT = httpx.Timeout(10.0)


@dataclass(frozen=True)
class Finding:
    """The result of one test. `remedy` is empty if all is well."""

    name: str
    text: str
    remedy: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether there is nothing to do."""
        return not self.remedy


def origin() -> str:
    """Return the origin that the bucket's CORS rule must allow."""
    url = urlsplit(settings.PUBLIC_URL)
    return f"{url.scheme}://{url.netloc}"


def cors_rule() -> str:
    """Return the CORS rule in the form that `aws s3api put-bucket-cors` takes."""
    rule = {
        "CORSRules": [
            {
                "AllowedOrigins": [origin()],
                "AllowedMethods": ["PUT", "GET", "HEAD"],
                "AllowedHeaders": ["*"],
                "MaxAgeSeconds": 3600,
            }
        ]
    }
    return json.dumps(rule)


def run() -> Iterator[Finding]:
    """Run all tests; stop when the rest cannot work either."""
    key = f"doctor/{uuid.uuid4().hex}"
    try:
        bucket().save(key, [b"hello"])
        yield Finding("write", f"{settings.S3_BUCKET} accepts files.")
        yield from _links(key)
        yield from _parts(f"{key}-parts")
        yield from _once(f"{key}-once")
        yield _cors(key)
    except StoreError as error:
        remedy = (
            "Check S3_BUCKET, S3_ENDPOINT_URL, S3_REGION, AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY. The key needs s3:GetObject, PutObject, DeleteObject, "
            "AbortMultipartUpload and ListMultipartUploadParts on the bucket's objects."
        )
        yield Finding("bucket", str(error), remedy)
    finally:
        for left in (key, f"{key}-parts", f"{key}-once"):
            _forget(left)


def _links(key: str) -> Iterator[Finding]:
    served = Served("text/plain", 'attachment; filename="x.txt"')
    answer = _call("GET", bucket().link(key, served, HOUR))
    is_served = answer.content == b"hello" and "attachment" in answer.headers.get(
        "content-disposition", ""
    )
    remedy = "" if is_served else "Workers and browsers cannot fetch files by link."
    yield Finding("links", f"A presigned GET answers {answer.status_code}.", remedy)
    wrong = _call("GET", bucket().link(key, served, HOUR).replace(key, f"{key}-other"))
    if wrong.status_code != httpx.codes.FORBIDDEN:
        yield Finding(
            "signatures",
            f"A link changed to another file answers {wrong.status_code}, not 403.",
            "This store does not check signatures. Do not keep files in it.",
        )


def _parts(key: str) -> Iterator[Finding]:
    store = bucket()
    id = store.begin(key)
    answer = _call("PUT", store.part_link(key, id, 1, 5, HOUR), b"hello")
    longer = _call("PUT", store.part_link(key, id, 2, 5, HOUR), b"longer than that")
    parts = [part for part in store.parts(key, id) if part.number == 1]
    if not answer.is_success or not parts:
        store.abort(key, id)
        remedy = (
            "Browsers cannot send files. Check that the store accepts presigned parts."
        )
        yield Finding("parts", f"A part is answered {answer.status_code}.", remedy)
        return
    if longer.is_success:
        store.abort(key, id)
        text = "The store accepts more bytes than a link was signed for; we check afterwards."
        yield Finding("lengths", text)
    else:
        store.complete(key, id, parts)
    yield Finding("parts", "Files arrive in presigned parts.")


def _once(key: str) -> Iterator[Finding]:
    """Test whether a write-once link can overwrite its file."""
    url = bucket().put_link(key, 5, HOUR)
    headers = {"If-None-Match": "*"}
    first = _call("PUT", url, b"hello", headers)
    second = _call("PUT", url, b"other", headers)
    knows = first.is_success and second.status_code == httpx.codes.PRECONDITION_FAILED
    text = (
        f"Writing a file twice is answered {first.status_code}, {second.status_code}."
    )
    if knows or not conf.BUCKET_CONDITIONAL_WRITES:
        yield Finding("write once", text)
    elif first.is_success:
        yield Finding(
            "write once",
            f"{text} Until it expires, a link can overwrite its file.",
        )
    else:
        remedy = (
            "Set JOBS_BUCKET_CONDITIONAL_WRITES=false: the store lacks If-None-Match."
        )
        yield Finding("write once", text, remedy)


def _cors(key: str) -> Finding:
    asked = {
        "Origin": origin(),
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = _call("OPTIONS", bucket().put_link(key, 5, HOUR, once=False), b"", asked)
    allowed = answer.headers.get("access-control-allow-origin", "nobody")
    text = f"Browsers at {allowed} may send files."
    is_ok = answer.is_success and allowed in {"*", origin()}
    return Finding(
        "CORS", text, "" if is_ok else f"Set this rule on the bucket: {cors_rule()}"
    )


def _call(
    method: str, url: str, content: bytes = b"", headers: dict[str, str] | None = None
) -> httpx.Response:
    try:
        return httpx.request(
            method,
            url,
            content=content or None,
            headers=headers,
            timeout=TIMEOUT,
            verify=tls.context(),
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise StoreError(
            f"The bucket cannot be reached ({type(error).__name__})."
        ) from error


def _forget(key: str) -> None:
    try:
        bucket().delete(key)
    except StoreError:
        return
