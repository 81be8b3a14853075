"""Three stages at once: in order, bounded, and gone when one of them fails."""

import threading
import time

import pytest

from slipway_worker import pipeline
from slipway_worker.errors import Cancelled


def test_every_item_comes_out_in_its_order():
    written = []
    pipeline.run(range(100), lambda n: n * 2, written.append)
    assert written == [n * 2 for n in range(100)]


def test_the_stages_work_at_the_same_time():
    """Each waits until the other two are at work as well."""
    all_three = threading.Barrier(3)

    def read():
        yield from "ab"  # for the two stages behind
        all_three.wait(30)
        yield "c"

    def work(item):
        if item == "b":
            all_three.wait(30)
        return item

    def write(item):
        if item == "a":
            all_three.wait(30)

    pipeline.run(read(), work, write)
    assert not all_three.broken


def test_a_fast_reader_does_not_fill_the_memory():
    held, most = [0], [0]

    def read():
        for n in range(200):
            held[0] += 1
            most[0] = max(most[0], held[0])
            yield n

    def write(_):
        held[0] -= 1
        time.sleep(0.001)

    pipeline.run(read(), lambda n: n, write)
    assert most[0] <= 2 * pipeline.HELD + 4


@pytest.mark.parametrize("stage", ["read", "work", "write"])
@pytest.mark.parametrize("error", [ValueError("boom"), Cancelled()])
def test_an_error_in_one_stage_stops_the_others_and_leaves_no_thread(stage, error):
    def failing(name, value):
        if name == stage and value == 5:
            raise error
        return value

    before = threading.active_count()
    with pytest.raises(type(error)):
        pipeline.run(
            (failing("read", n) for n in range(1000)),
            lambda n: failing("work", n),
            lambda n: failing("write", n),
        )
    assert threading.active_count() == before


def test_nothing_in_is_nothing_out():
    pipeline.run([], lambda n: n, lambda n: pytest.fail("written"))
