"""The breaker: when an endpoint in trouble is left alone, and for how long."""

import pytest

from jobs.shifts.loop.breaker import Breaker


@pytest.fixture
def breaker(clock):
    return Breaker(clock)


def probe(breaker):
    """Call if that is allowed; return whether it is."""
    may = breaker.may_call()
    if may:
        breaker.calls()
    return may


def test_five_failures_open_the_breaker_and_one_answer_closes_it(clock, breaker):
    opened = [breaker.failed() for _ in range(5)]
    assert opened == [False] * 4 + [True]
    assert not breaker.may_call()
    clock.now += 30
    assert probe(breaker)
    assert not probe(breaker)  # one probe
    assert breaker.succeeded()
    assert breaker.may_call()
    assert not breaker.is_open


def test_an_answer_between_failures_keeps_it_closed(breaker):
    for _ in range(4):
        breaker.failed()
    assert not breaker.succeeded()  # it was not open
    assert [breaker.failed() for _ in range(4)] == [False] * 4


def fail_every_second(breaker, clock=None, pause=0.0):
    opened = []
    for _ in range(10):
        breaker.succeeded()
        opened.append(breaker.failed())
        if clock:
            clock.now += pause
    return opened


def test_half_of_twenty_failures_open_it_too(breaker):
    assert fail_every_second(breaker) == [False] * 9 + [True]


def test_nine_of_twenty_do_not(breaker):
    breaker.succeeded()
    breaker.succeeded()
    assert fail_every_second(breaker) == [False] * 9 + [True]


def test_half_of_twenty_in_more_than_a_minute_do_not(clock, breaker):
    assert not any(fail_every_second(breaker, clock, 7.0))


def test_what_was_before_it_closed_counts_no_more(clock, breaker):
    fail_every_second(breaker)
    breaker.succeeded()
    assert fail_every_second(breaker) == [False] * 9 + [True]


def test_a_pause_is_not_used_up_before_there_is_a_call(clock, breaker):
    breaker.failed(at_once=True)
    clock.now += 30
    assert breaker.may_call()
    assert breaker.may_call()


def test_each_failed_probe_doubles_the_pause_up_to_five_minutes(clock, breaker):
    assert breaker.failed(at_once=True)
    for openings, pause in enumerate((30, 60, 120, 240, 300, 300), 2):
        clock.now += pause - 1
        assert not probe(breaker)
        clock.now += 1
        assert probe(breaker)
        assert breaker.failed()
        assert breaker.openings == openings


def test_after_an_answer_the_pauses_begin_anew(clock, breaker):
    for _ in range(3):
        breaker.failed(at_once=True)
        clock.now += 300
        probe(breaker)
    breaker.succeeded()
    breaker.failed(at_once=True)
    assert breaker.openings == 1
    clock.now += 30
    assert breaker.may_call()


def test_a_probe_that_never_reports_back_is_followed_by_another(clock, breaker):
    breaker.failed(at_once=True)
    clock.now += 30
    assert probe(breaker)
    clock.now += 29
    assert not breaker.may_call()
    clock.now += 1
    assert breaker.may_call()


def test_calls_that_left_before_it_opened_do_not_count_as_the_probe(clock, breaker):
    breaker.failed(at_once=True)
    assert not any(breaker.failed() for _ in range(30))
    clock.now += 30
    assert probe(breaker)
    breaker.failed()
    assert breaker.failed()  # from long ago; the pause stays
    clock.now += 60
    assert breaker.may_call()


def test_calls_while_it_is_closed_are_no_probes(clock, breaker):
    breaker.calls()
    breaker.failed(at_once=True)
    breaker.failed()
    assert breaker.openings == 1
