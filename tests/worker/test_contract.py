"""The worker's side of docs/worker-contract.md, and the examples both sides read."""

import json

import pytest

from jobs.worker_api import manifest
from slipway_worker import contract, inbox
from slipway_worker.contract import Envelope, Slipway
from slipway_worker.errors import Over, Undeliverable
from tests.stack.stack import ROOT
from tests.worker.slipway import ATTEMPT, PUBLIC, TOKEN


def example(name):
    return json.loads((ROOT / "docs" / "examples" / f"{name}.json").read_text())


def envelope_of(**more):
    return Envelope.of({"_slipway": {**example("envelope"), **more}})


@pytest.fixture
def attempt(slipway):
    made = Slipway(Envelope.of({"_slipway": slipway.envelope()}), pauses=(0, 0))
    yield made
    made.close()


# --- envelope -----------------------------------------------------------------------------
def test_the_server_reads_what_the_worker_sends():
    assert manifest.progress(example("progress")) == example("progress")
    shown = manifest.manifest(example("manifest"))
    assert shown == {**example("manifest"), "error": None}
    assert manifest.manifest(example("failure"))["error"] == example("failure")["error"]


def test_the_worker_reads_what_the_server_sends(monkeypatch):
    monkeypatch.delenv("SLIPWAY_URL", raising=False)
    sent, envelope = example("envelope"), envelope_of()
    for name in ("job", "attempt", "token", "url", "runner", "bucket_url", "files"):
        assert getattr(envelope, name) == sent[name]
    assert envelope.public_url == sent["url"]


def test_a_worker_that_knows_its_server_talks_to_no_other(monkeypatch):
    monkeypatch.setenv("SLIPWAY_URL", "http://10.0.0.5:8000/")
    envelope = envelope_of()
    assert envelope.url == "http://10.0.0.5:8000"
    assert envelope.public_url == PUBLIC


def test_what_an_envelope_lacks_is_empty(monkeypatch):
    monkeypatch.delenv("SLIPWAY_URL", raising=False)
    lacking = {"token": None, "runner": None, "bucket_url": None, "files": ["x"]}
    envelope = envelope_of(**lacking)
    assert (envelope.token, envelope.runner, envelope.bucket_url) == ("", "", "")
    assert envelope.files == {}


def test_addresses_are_kept_without_the_last_slash(monkeypatch):
    monkeypatch.delenv("SLIPWAY_URL", raising=False)
    envelope = envelope_of(url="https://a.example/", bucket_url="https://b.example/")
    addresses = (envelope.url, envelope.public_url, envelope.bucket_url)
    assert addresses == ("https://a.example", "https://a.example", "https://b.example")


def test_without_an_envelope_there_is_none():
    assert Envelope.of({"media": "https://x"}) is None
    assert Envelope.of({"_slipway": "text"}) is None


@pytest.mark.parametrize("bucket", ["", "https://bucket.example"])
def test_its_server_and_its_bucket_may_be_private_and_nobody_else(bucket):
    trusted = Slipway(envelope_of(bucket_url=bucket), ()).trusted
    assert trusted == (("https://slipway.example", bucket) if bucket else (PUBLIC,))


# --- calls --------------------------------------------------------------------------------
def test_every_call_names_its_attempt_and_shows_its_token(slipway, attempt):
    attempt.claim(worker_id="w1", runpod_id="r1")
    attempt.progress({"seq": 1})
    attempt.finish({"schema": 1})
    base = f"/worker/v1/attempts/{ATTEMPT}"
    assert [(path, body) for path, body, _ in slipway.calls] == [
        (f"{base}/claim", {"worker_id": "w1", "runpod_id": "r1"}),
        (f"{base}/progress", {"seq": 1}),
        (f"{base}/finish", {"schema": 1}),
    ]
    sent = {headers["Authorization"] for _, _, headers in slipway.calls}
    assert sent == {f"Bearer {TOKEN}"}


def test_a_new_link_leads_where_the_server_is_reached(slipway, attempt):
    links = {"a": f"{PUBLIC}/files/a", "b": "https://bucket.example/b"}
    slipway.answers["inputs"] = (200, {"links": links})
    assert attempt.new_link("a") == f"{slipway.url}/files/a"
    assert attempt.new_link("b") == "https://bucket.example/b"
    assert attempt.new_link("c") == ""
    slipway.answers["inputs"] = (200, {})
    assert attempt.new_link("a") == ""


def test_only_addresses_below_the_public_one_are_changed(slipway, attempt):
    assert attempt.local(f"{PUBLIC}/x?y={PUBLIC}/z") == f"{slipway.url}/x?y={PUBLIC}/z"
    assert attempt.local(f"{PUBLIC}.evil.example/x") == f"{PUBLIC}.evil.example/x"


def test_an_output_is_announced_and_goes_where_the_server_says(slipway, attempt):
    way = {"method": "PUT", "url": f"{PUBLIC}/out/x"}
    slipway.answers["outputs"] = [(200, way), (200, {"method": "PUT_PARTS"})]
    sent = {"name": "x", "content_type": "a/b", "size": 3}
    assert attempt.open_output(**sent)["url"] == f"{slipway.url}/out/x"
    assert attempt.open_output(**sent) == {"method": "PUT_PARTS"}
    assert slipway.called("outputs") == [sent, sent]


def test_each_part_has_its_own_address(slipway, attempt):
    slipway.answers["parts"] = (200, {"parts": [{"url": "https://bucket/2"}]})
    assert attempt.part_url("x", 2) == "https://bucket/2"
    [(path, body, _)] = slipway.calls
    assert path.endswith("/outputs/parts")
    assert body == {"name": "x", "numbers": [2]}


@pytest.mark.parametrize(
    ("answer", "goes_on"),
    [
        ((200, {"continue": True}), True),
        ((200, {}), True),
        ((200, {"continue": False}), False),
        ((409, {}), False),
        ((404, {}), True),
        ((500, {"continue": False}), True),
    ],
)
def test_a_report_says_whether_the_job_is_still_wanted(
    slipway, attempt, answer, goes_on
):
    slipway.answers["progress"] = answer
    assert attempt.progress({}) is goes_on
    assert len(slipway.calls) == 1


def test_a_lost_report_is_not_repeated_and_stops_nothing(slipway, attempt):
    slipway.down = {"progress"}
    assert attempt.progress({}) is True
    assert len(slipway.calls) == 1


def test_proxies_of_the_environment_are_not_used(slipway, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    made = Slipway(Envelope.of({"_slipway": slipway.envelope()}), ())
    made.claim(worker_id="", runpod_id="")
    made.close()
    assert slipway.names() == ["claim"]


# --- insisting ----------------------------------------------------------------------------
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507])
def test_what_may_be_better_next_time_is_tried_again(slipway, attempt, status):
    slipway.answers["finish"] = [status]
    attempt.finish({})
    assert slipway.names() == ["finish", "finish"]


def test_a_connection_that_broke_is_made_again(slipway, attempt, caplog):
    slipway.down = {"finish"}
    with pytest.raises(Undeliverable, match="finish: RemoteProtocolError"):
        attempt.finish({})
    assert len(slipway.calls) == 3
    assert caplog.text.count("again in 0 s") == 2


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 410, 422, 501])
def test_what_stays_wrong_is_tried_once(slipway, attempt, status):
    slipway.answers["finish"] = (status, b"why" + b"!" * 300)
    with pytest.raises(Undeliverable) as error:
        attempt.finish({})
    assert str(error.value) == f"finish: HTTP {status}: why" + "!" * 197
    assert len(slipway.calls) == 1


def test_an_attempt_that_is_over_is_not_insisted_on(slipway, attempt):
    slipway.answers["finish"] = (409, b"over" + b"!" * 300)
    with pytest.raises(Over) as error:
        attempt.finish({})
    assert str(error.value) == "over" + "!" * 196
    assert len(slipway.calls) == 1


def test_what_sees_to_everything_itself_returns_nothing():
    assert contract.insist(lambda: None, "upload", ()) is None


def waited_for(pauses, attempt, call):
    pauses.clear()
    with pytest.raises(Undeliverable):
        call(attempt)
    return sum(pauses)


@pytest.mark.parametrize("has_volume", [True, False])
def test_how_long_a_worker_insists(slipway, monkeypatch, tmp_path, pauses, has_volume):
    """Ten minutes to begin; an hour to deliver, where a result cannot be kept."""
    if has_volume:
        monkeypatch.setenv("SLIPWAY_INBOX", str(tmp_path))
    slipway.down = {"claim", "finish", "outputs", "parts", "inputs"}
    made = Slipway(Envelope.of({"_slipway": slipway.envelope()}), inbox.pauses())
    minutes = {
        "claim": waited_for(pauses, made, lambda a: a.claim(worker_id="", runpod_id=""))
    }
    minutes["inputs"] = waited_for(pauses, made, lambda a: a.new_link("a"))
    minutes["outputs"] = waited_for(pauses, made, lambda a: a.open_output("a", "", 1))
    minutes["parts"] = waited_for(pauses, made, lambda a: a.part_url("a", 1))
    minutes["finish"] = waited_for(pauses, made, lambda a: a.finish({}))
    made.close()
    long = 10 if has_volume else 62
    assert {call: round(seconds / 60) for call, seconds in minutes.items()} == {
        "claim": 10,
        "inputs": 10,
        "outputs": long,
        "parts": long,
        "finish": long,
    }
    assert pauses[0] < 1
    assert pauses == sorted(pauses)


def test_a_job_cannot_make_a_worker_import_what_it_names(monkeypatch):
    from slipway_worker.errors import UserError  # noqa: PLC0415
    from slipway_worker.runners import runner_class  # noqa: PLC0415

    monkeypatch.delenv("SLIPWAY_RUNNER", raising=False)
    for name in ("os:system", "subprocess:Popen", "nope"):
        with pytest.raises(UserError):
            runner_class(name)
    monkeypatch.setenv("SLIPWAY_RUNNER", "slipway_worker.runners.echo:Echo")
    assert runner_class("slipway_worker.runners.echo:Echo").id == "echo"
