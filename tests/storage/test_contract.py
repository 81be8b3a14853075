"""What every store promises. A new store joins the list of fixtures."""

import hashlib
import uuid

import pytest

from jobs.storage import LocalStore
from jobs.storage.s3 import BucketStore
from tests.s3 import KEY, SECRET


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    server = request.getfixturevalue("s3_server")
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    server.bucket(name)
    return BucketStore(
        bucket=name,
        endpoint_url=server.url,
        region="us-east-1",
        access_key=KEY,
        secret_key=SECRET,
    )


def content(store, key, start=0, end=None):
    return b"".join(store.chunks(key, start, store.size(key) if end is None else end))


def test_a_file_is_read_back_whole_and_in_part(store):
    assert store.save("in/a", [b"hello ", b"wor", b"ld"]) == 11
    assert store.size("in/a") == 11
    assert content(store, "in/a") == b"hello world"
    assert content(store, "in/a", 6, 8) == b"wo"
    assert content(store, "in/a", 3, 3) == b""


def test_a_large_file_streams_through(store):
    piece = bytes(range(256)) * 4096
    assert store.save("in/big", (piece for _ in range(20))) == 20 * len(piece)
    digest = hashlib.sha256()
    for part in store.chunks("in/big", 0, 20 * len(piece)):
        assert len(part) <= 1024 * 1024
        digest.update(part)
    assert digest.digest() == hashlib.sha256(piece * 20).digest()


def test_saving_again_replaces_the_file(store):
    store.save("in/a", [b"a longer one"])
    assert store.save("in/a", [b"short"]) == 5
    assert content(store, "in/a") == b"short"


@pytest.mark.parametrize("size", [1, 20 * 1024 * 1024])
def test_a_save_that_breaks_off_leaves_nothing(store, size):
    def pieces():
        yield bytes(size)
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        store.save("in/a", pieces())
    assert store.size("in/a") == 0


def test_deleting_twice_is_no_error_and_nothing_is_left(store):
    store.save("in/a", [b"x"])
    store.delete("in/a")
    store.delete("in/a")
    assert store.size("in/a") == 0


def test_what_is_not_there_has_no_bytes(store):
    assert store.size("in/nothing") == 0
