"""Files in the output of handlers that are not ours."""

import base64
import http.server
import threading

import pytest

from jobs.lib import egress
from jobs.models import Artifact, Job, Lease
from jobs.services.files import embedded_files, saving
from jobs.services.lifecycle import completion, reconcile
from jobs.shifts.loop import actions
from jobs.storage import store
from tests.factories import make_endpoint, make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db]
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(1000)
B64 = base64.b64encode(PNG).decode()


@pytest.fixture
def site(monkeypatch):
    """A web site at a public address that is really here."""
    pages = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = pages.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(egress, "PORTS", {server.server_port})
    monkeypatch.setattr(egress, "is_public", lambda _: True)
    monkeypatch.setattr(saving, "TRY_PAUSES", (0.0, 0.0))
    pages["base"] = f"http://127.0.0.1:{server.server_port}"
    yield pages
    server.shutdown()
    server.server_close()


def job_with(output, **fields):
    endpoint = make_endpoint(contract="plain")
    job = make_job("FINALIZING", endpoint=endpoint, output=output, **fields)
    job.attempts.update(has_output=True)
    return job


def fetched(output, **fields):
    job = job_with(output, **fields)
    completion.fetch(Job.objects.select_related("endpoint").get(pk=job.pk))
    job.refresh_from_db()
    return job


def names(job):
    return [artifact.name for artifact in completion.of_job(job)]


def stored(name):
    artifact = Artifact.objects.get(name=name)
    return b"".join(store().chunks(artifact.key, 0, artifact.size))


def test_an_output_without_files_completes_at_once():
    job = job_with({"text": "hello", "n": 1})
    completion.collect(job)
    assert (job.status, job.output) == ("COMPLETED", {"text": "hello", "n": 1})


def test_base64_and_data_uris_become_files_of_their_kind():
    job = fetched({"images": [B64, f"data:image/png;base64,{B64}"], "seed": 7})
    assert job.status == "COMPLETED"
    assert names(job) == ["images-0.png", "images-1.png"]
    assert job.output["images"] == ["output:images-0.png", "output:images-1.png"]
    assert stored("images-0.png") == PNG


@pytest.mark.parametrize("text", ["QUJD" * 200, "a" * 600, "abc", "=" * 600, B64[:-1]])
def test_text_that_only_looks_like_base64_stays_text(text):
    assert embedded_files.decode(text) is None


def test_addresses_are_fetched_and_stay_in_the_output(site):
    site["/a/cat.png?x=1"] = (200, PNG)
    url = f"{site['base']}/a/cat.png?x=1"
    job = fetched({"image_url": url})
    assert (names(job), job.output) == (["cat.png"], {"image_url": url})
    assert stored("cat.png") == PNG


def test_two_files_of_one_name_are_both_kept(site):
    site["/1/out.png"] = site["/2/out.png"] = (200, PNG)
    job = fetched([f"{site['base']}/1/out.png", f"{site['base']}/2/out.png"])
    assert names(job) == ["out.png", "out-2.png"]


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ((403, b""), "the server answered 403"),
        ((304, b""), "the server answered 304"),
        ((500, b""), "no answer"),
        ((200, b"<html>log in</html>"), "returns a web page"),
        ((200, b""), "it is empty"),
    ],
)
def test_what_cannot_be_saved_is_noted_and_costs_nothing_else(site, answer, note):
    site["/x.png"] = answer
    job = fetched({"url": f"{site['base']}/x.png", "image": B64})
    assert (job.status, names(job)) == ("COMPLETED", ["image.png"])
    (saved_note,) = job.attempts.get().notes
    assert saved_note.startswith("url could not be saved")
    assert note in saved_note


def test_a_private_address_is_not_fetched():
    job = fetched({"url": "http://127.0.0.1/secret.png"})
    assert (job.status, names(job)) == ("COMPLETED", [])
    assert "private address" in job.attempts.get().notes[0]


def test_a_file_over_the_limit_leaves_nothing_behind(site, settings):
    settings.JOBS_COLLECT_MAX_BYTES = 100
    site["/x.png"] = (200, PNG)
    job = fetched({"url": f"{site['base']}/x.png"})
    assert "larger than the limit" in job.attempts.get().notes[0]
    assert store().size(f"out/{job.pk.hex}/1/c0") == 0


def test_base64_over_the_limit_is_noted_too(settings):
    settings.JOBS_COLLECT_MAX_BYTES = 100
    job = fetched({"image": B64})
    assert (job.status, names(job)) == ("COMPLETED", [])
    assert "larger than the limit" in job.attempts.get().notes[0]


def test_addresses_that_were_given_as_input_are_no_results():
    url = "https://example.com/in.png"
    job = job_with({"source": url}, input={"image": url})
    assert saving.files_of(job) == []


def test_a_full_disk_is_waited_for(site, settings):
    settings.JOBS_DISK_RESERVE_BYTES = 10**18
    site["/x.png"] = (200, PNG)
    job = fetched({"url": f"{site['base']}/x.png"})
    assert job.status == "FINALIZING"
    settings.JOBS_DISK_RESERVE_BYTES = 0
    completion.fetch(Job.objects.select_related("endpoint").get(pk=job.pk))
    job.refresh_from_db()
    assert (job.status, names(job)) == ("COMPLETED", ["x.png"])


def test_fetching_begins_anew_after_a_death_without_leftovers(site, monkeypatch):
    site["/x.png"] = (200, PNG)
    job = job_with({"url": f"{site['base']}/x.png", "image": B64})
    job = Job.objects.select_related("endpoint").get(pk=job.pk)
    with Lease.held("any") as lease:
        saving.save(job, job.attempts.get(), lease)  # and then the process died
    completion.fetch(job)
    job.refresh_from_db()
    assert (job.status, names(job)) == ("COMPLETED", ["x.png", "image.png"])
    assert Artifact.objects.count() == 2


def test_a_file_whose_saving_ends_processes_stops_after_three():
    job = job_with({"image": B64})
    for _ in range(3):
        actions._step(job.pk)  # the loop nudges
        job.refresh_from_db()
        assert job.status == "FINALIZING"
        assert reconcile.begin_step(job)  # the fetcher begins, and its process dies
    actions._step(job.pk)
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("FAILED", "poison")


def test_two_fetchers_do_not_meet():
    job = job_with({"image": B64})
    with Lease.held(f"collect-{job.pk.hex}"):
        completion.fetch(job)
    job.refresh_from_db()
    assert job.status == "FINALIZING"
    completion.fetch(job)
    job.refresh_from_db()
    assert (job.status, names(job)) == ("COMPLETED", ["image.png"])
