"""What only our disk does: files that grow, one writer at a time."""

import errno
import os
import threading

import pytest

from jobs.storage import LocalStore, StoreError, StoreFull, WrongOffset


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def write(store, key, offset, *pieces):
    with store.writer(key, offset) as writer:
        for piece in pieces:
            writer.write(piece)
        writer.flush_to_disk()
        return writer.offset


def content(store, key, start=0, end=None):
    return b"".join(store.chunks(key, start, store.size(key) if end is None else end))


def test_pieces_are_appended_and_read_back_in_part(store):
    assert write(store, "in/a", 0, b"hello ") == 6
    assert write(store, "in/a", 6, b"wor", b"ld") == 11
    assert content(store, "in/a") == b"hello world"
    assert content(store, "in/a", 6, 8) == b"wo"


@pytest.mark.parametrize("offset", [3, 9])
def test_writing_goes_on_only_where_the_file_ends(store, offset):
    write(store, "in/a", 0, b"hello")
    with pytest.raises(WrongOffset):
        write(store, "in/a", offset, b"x")
    assert content(store, "in/a") == b"hello"


def test_a_file_has_one_writer_at_a_time(store):
    with store.writer("in/a", 0), pytest.raises(StoreError):
        write(store, "in/a", 0, b"x")
    assert write(store, "in/a", 0, b"x") == 1


def test_a_full_store_keeps_the_last_whole_piece(store, monkeypatch):
    real = os.writev

    def short(descriptor, buffers):
        return real(descriptor, [b"67"] if buffers == (b"67890",) else buffers)

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jobs.storage.disk.os.writev", short)
    monkeypatch.setattr("jobs.storage.disk.os.write", full)
    with pytest.raises(StoreFull):
        write(store, "in/a", 0, b"12345", b"67890")
    assert content(store, "in/a") == b"12345"


@pytest.mark.parametrize("key", ["../a", "in/../../a", "/etc/passwd"])
def test_a_key_never_leaves_the_store(store, key):
    with pytest.raises(StoreError):
        store.size(key)


def test_a_planted_link_is_not_followed(store, tmp_path):
    write(store, "in/a", 0, b"x")
    secret = tmp_path / "secret"
    secret.write_text("")
    (tmp_path / "store" / "in" / "b").symlink_to(secret)
    with pytest.raises(StoreError):
        write(store, "in/b", 0, b"x")
    assert secret.read_text() == ""


def test_free_space_is_known_before_anything_is_stored(store):
    assert store.free_bytes() > 0


def test_what_nobody_has_compared_is_cut_off_when_the_next_writer_says_so(store):
    write(store, "in/a", 0, b"good", b"unchecked")
    with store.writer("in/a", 4, cut=True) as writer:
        writer.write(b"!")
    assert content(store, "in/a") == b"good!"


@pytest.mark.parametrize("use", ["write", "read", "size"])
def test_a_planted_pipe_blocks_nobody(store, tmp_path, use):
    write(store, "in/a", 0, b"x")
    os.mkfifo(tmp_path / "store" / "in" / "b")
    if use == "size":
        assert store.size("in/b") == 0
        return
    met = []

    def try_it():
        try:
            met.append(
                write(store, "in/b", 0, b"x")
                if use == "write"
                else content(store, "in/b", 0, 9)
            )
        except StoreError as error:
            met.append(error)

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(timeout=5)
    assert isinstance(met[0], StoreError)


def test_a_planted_link_is_not_read(store, tmp_path):
    write(store, "in/a", 0, b"x")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "store" / "in" / "b").symlink_to(secret)
    assert store.size("in/b") == 0
    with pytest.raises(StoreError):
        content(store, "in/b", 0, 6)


def test_a_short_write_is_made_good(store, monkeypatch):
    real = os.writev
    monkeypatch.setattr(
        "jobs.storage.disk.os.writev", lambda d, buffers: real(d, [buffers[0][:2]])
    )
    pieces = [bytes([n % 256]) * 3 for n in range(1500)]
    with store.writer("in/a", 0) as writer:
        writer.write(*pieces)
        assert writer.offset == 4500
    assert content(store, "in/a") == b"".join(pieces)
