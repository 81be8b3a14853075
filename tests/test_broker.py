"""The embedded broker, between real processes."""

import subprocess
import sys

from kombu import Connection

from tests.stack.stack import ROOT

WRITE = """
import sys
from kombu import Connection
from webapp.broker import Transport
options = {"data_folder_in": sys.argv[1], "data_folder_out": sys.argv[1], "control_folder": sys.argv[1]}
with Connection("filesystem://localhost", transport=Transport, transport_options=options) as connection:
    queue = connection.SimpleQueue("hints")
    for n in range(int(sys.argv[2])):
        queue.put({"n": n, "padding": "x" * 5000})
    queue.close()
"""


def connect(folder):
    from webapp.broker import Transport  # noqa: PLC0415

    return Connection(
        "filesystem://localhost",
        transport=Transport,
        transport_options={
            "data_folder_in": str(folder),
            "data_folder_out": str(folder),
            "control_folder": str(folder),
            "polling_interval": 0.001,
        },
    )


def test_a_reader_never_meets_half_a_message(tmp_path):
    """With kombu's own transport this ends in a JSONDecodeError."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path), "1000"], cwd=ROOT
    )
    with connect(tmp_path) as connection:
        queue = connection.SimpleQueue("hints")
        seen = []
        for _ in range(1000):
            message = queue.get(timeout=20)
            seen.append(message.payload["n"])
            message.ack()
        queue.close()
    assert writer.wait() == 0
    assert seen == list(range(1000))


def test_an_unreadable_message_is_dropped(tmp_path):
    with connect(tmp_path) as connection:
        queue = connection.SimpleQueue("others")
        (tmp_path / "0_broken.others.msg").write_text("{half")
        queue.put({"n": 1})
        assert queue.get(timeout=5).payload == {"n": 1}
        queue.close()
