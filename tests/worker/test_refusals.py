"""A result that Slipway refuses: the job ends once, with the server's own words."""

import pytest

from slipway_worker import contract
from slipway_worker.lifetime import Stop
from slipway_worker.work import work
from tests import drive
from tests.factories import make_endpoint, make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def worker(runpod, live_server, settings, monkeypatch):
    """Return what hands a job over, has our handler do it, and hears RunPod's word."""
    settings.PUBLIC_URL = live_server.url
    monkeypatch.setattr(contract, "RESULT_PAUSES", ())

    def do(**input):
        endpoint = make_endpoint("echo", contract="slipway", max_attempts=3)
        job = make_job(endpoint=endpoint, input=input)
        drive.submit(job, runpod.client())
        answer = work({"id": "job-u1", "input": runpod.runs()[-1]["input"]}, Stop())
        word = "FAILED" if "error" in answer else "COMPLETED"
        runpod.says(word, output=answer, error=answer.get("error"))
        return drive.look(job, runpod.client())

    return do


def test_a_job_whose_output_is_too_large_runs_once_and_says_why(worker, settings):
    settings.JOBS_OUTPUT_MAX_BYTES = 1000
    job = worker(message="hi", megabytes=1)
    assert (job.status, job.error_code) == ("FAILED", "too_large")
    assert job.error_message == "echo.bin is larger than 1000 bytes."
    assert not job.is_error_retryable
    assert job.attempts.count() == 1


def test_a_job_whose_answer_fits_is_completed(worker):
    assert worker(message="hi").status == "COMPLETED"
