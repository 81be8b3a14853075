"""Files in a bucket: AWS S3, Cloudflare R2, MinIO and whatever else speaks S3.

Large files never pass through us: clients send presigned parts and fetch presigned
links. An ETag is never taken for an MD5 (it is none for files sent in parts).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

from jobs.storage.base import S3, BadParts, NoSuchMultipart, Part, Served, StoreError

PIECE = 1024 * 1024
PART = 16 * 1024 * 1024
LISTED_AT_ONCE = 1000
# One thread and one part in memory, whatever the size of the file.
_TRANSFER = TransferConfig(
    multipart_threshold=PART, multipart_chunksize=PART, use_threads=False
)
_CONFIG = Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=30,
    retries={"max_attempts": 4, "mode": "standard"},
    # Newer defaults add checksums that R2 and other stores refuse in presigned parts.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
_MISSING = {"404", "NoSuchKey", "NotFound"}
_BAD_PARTS = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "EntityTooLarge"}


class BucketStore:
    """The store in one S3 bucket."""

    name = S3

    def __init__(
        self,
        *,
        bucket: str,
        endpoint_url: str,
        region: str,
        access_key: str,
        secret_key: str,
    ) -> None:
        # Path style: works without DNS names for every bucket, as MinIO and R2 have it.
        style = {"addressing_style": "path"} if endpoint_url else {}
        storage = S3Storage(
            bucket_name=bucket,
            endpoint_url=endpoint_url or None,
            region_name=region or None,
            access_key=access_key or None,
            secret_key=secret_key or None,
            client_config=_CONFIG.merge(Config(s3=style)),
        )
        # One client for all threads; making one costs 50 ms and some megabytes.
        self.client: Any = storage.connection.meta.client
        self.bucket = bucket

    # --- whole files ------------------------------------------------------------------
    def size(self, key: str) -> int:
        """Ask for the size of an object."""
        return self.find(key) or 0

    def find(self, key: str) -> int | None:
        """Ask for the size of an object; None where there is none."""
        try:
            with _errors():
                return int(self._call("head_object", key)["ContentLength"])
        except FileNotFoundError:
            return None

    def chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Read a range, streaming."""
        if start >= end:
            return
        try:
            with _errors():
                span = f"bytes={start}-{end - 1}"
                body = self._call("get_object", key, Range=span)["Body"]
                yield from body.iter_chunks(PIECE)
        except FileNotFoundError as error:
            raise StoreError("The file is not in the bucket.") from error

    def save(self, key: str, pieces: Iterable[bytes]) -> int:
        """Send a whole file, in parts when it is large; unfinished parts are aborted."""
        reader = _Reader(pieces)
        with _errors():
            self.client.upload_fileobj(reader, self.bucket, key, Config=_TRANSFER)
        return reader.count

    def delete(self, key: str) -> None:
        """Delete an object; the bucket does not mind one that is gone."""
        with _errors():
            self._call("delete_object", key)

    def free_bytes(self) -> None:
        """A bucket tells no limit."""
        return

    def link(self, key: str, served: Served, lives: timedelta) -> str:
        """Return a presigned GET; the response headers are part of what is signed."""
        return self._presign(
            "get_object",
            key,
            lives,
            ResponseContentType=served.content_type,
            ResponseContentDisposition=served.content_disposition,
        )

    def objects(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield the keys below `prefix` in their order, those that come after `after`."""
        more: dict[str, Any] = {"StartAfter": after} if after else {}
        while True:
            with _errors():
                page = self.client.list_objects_v2(
                    Bucket=self.bucket, Prefix=prefix, MaxKeys=LISTED_AT_ONCE, **more
                )
            for entry in page.get("Contents", []):
                # What consoles make to show an empty folder is no file.
                if not entry["Key"].endswith("/"):
                    yield entry["Key"]
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    # --- files that come in parts -----------------------------------------------------
    def begin(self, key: str) -> str:
        """Begin a file in parts; return the bucket's id for it."""
        with _errors():
            return str(self._call("create_multipart_upload", key)["UploadId"])

    def part_link(
        self, key: str, id: str, number: int, size: int, lives: timedelta
    ) -> str:
        """Return a presigned PUT of one part of exactly `size` bytes."""
        return self._presign(
            *("upload_part", key, lives),
            UploadId=id,
            PartNumber=number,
            ContentLength=size,
        )

    def put_link(
        self, key: str, size: int, lives: timedelta, *, once: bool = True
    ) -> str:
        """Return a presigned PUT of a whole file of exactly `size` bytes.

        `once`: the header `If-None-Match: *` must come with it, and the bucket refuses
        to replace a file (412).
        """
        more = {"IfNoneMatch": "*"} if once else {}
        return self._presign("put_object", key, lives, ContentLength=size, **more)

    def parts(self, key: str, id: str) -> list[Part]:
        """List the parts that have arrived; raise `NoSuchMultipart`."""
        parts: list[Part] = []
        marker = 0
        while True:
            with _errors():
                page = self._call(
                    *("list_parts", key),
                    UploadId=id,
                    PartNumberMarker=marker,
                    MaxParts=LISTED_AT_ONCE,
                )
            parts += [
                Part(part["PartNumber"], part["Size"], part["ETag"])
                for part in page.get("Parts", [])
            ]
            if not page.get("IsTruncated") or not page.get("Parts"):
                return parts
            marker = parts[-1].number

    def complete(self, key: str, id: str, parts: list[Part]) -> None:
        """Make one file of the parts. A 200 with an error inside is an error, too."""
        named = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        with _errors():
            self._call(
                *("complete_multipart_upload", key),
                UploadId=id,
                MultipartUpload={"Parts": named},
            )

    def abort(self, key: str, id: str) -> None:
        """Forget the parts; no error when there are none."""
        try:
            with _errors():
                self._call("abort_multipart_upload", key, UploadId=id)
        except NoSuchMultipart:
            pass

    def _call(self, operation: str, key: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.client, operation)(
            Bucket=self.bucket, Key=key, **more
        )
        return answer

    def _presign(self, operation: str, key: str, lives: timedelta, **more: Any) -> str:
        # SigV4 links live seven days at most.
        seconds = int(min(lives, timedelta(days=7)).total_seconds())
        signed: str = self.client.generate_presigned_url(
            operation,
            Params={"Bucket": self.bucket, "Key": key, **more},
            ExpiresIn=seconds,
        )
        return signed


@contextmanager
def _errors() -> Iterator[None]:
    """Turn boto's errors into ours, without addresses and keys."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code == "NoSuchUpload":
            raise NoSuchMultipart("The bucket knows no such upload.") from error
        if code in _BAD_PARTS:
            raise BadParts(f"The bucket refused the parts: {code}.") from error
        if code in _MISSING:
            raise FileNotFoundError from error
        raise StoreError(f"The bucket refused: {code or 'no reason given'}.") from error
    except BotoCoreError as error:
        kind = type(error).__name__
        raise StoreError(f"The bucket cannot be reached ({kind}).") from error


class _Reader:
    """Pieces, read like a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._held, self.count = iter(pieces), bytearray(), 0

    def read(self, amount: int = -1) -> bytes:
        """Return the next bytes, as many as asked for unless the end is near."""
        while amount < 0 or len(self._held) < amount:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._held += piece
        size = len(self._held) if amount < 0 else amount
        taken = bytes(self._held[:size])
        del self._held[:size]
        self.count += len(taken)
        return taken
