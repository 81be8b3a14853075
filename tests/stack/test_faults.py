"""RunPod in trouble, by its scripted fake: every accepted job still ends as it should.

Names carry the fault's number in the project's list where it has one.
"""

import base64
import time

import httpx
import pytest

from tests.stack.stack import ENDS, create, read, until, wait_until

pytestmark = pytest.mark.stack
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(1000)).decode()


def reason_of(job):
    return job["status"], job["reason"]


# --- handing over -------------------------------------------------------------------------
def jobs_after(fault_api, cloud, faults, **script):
    """Have one job meet each fault of /run, all at the same time; yield what came of it."""
    made = []
    for fault in faults:
        endpoint = cloud()
        endpoint.faults("run", fault, **script)
        made.append((fault, endpoint, create(fault_api, endpoint.name, mark=fault)))
    for fault, endpoint, id in made:
        yield until(fault_api, id), len(endpoint.journal(fault))


def test_f36_f44_what_runpod_did_not_take_goes_later(fault_api, cloud):
    for job, runs in jobs_after(fault_api, cloud, ["429", "401", "402"]):
        assert (job["status"], runs) == ("COMPLETED", 1)
        assert not job["may_have_run_twice"]


def test_f37_f41_an_unclear_answer_to_run_is_sent_again_and_said(fault_api, cloud):
    unclear = ["500", "502", "garbage", "deep", "nan", "cut_before"]
    for job, runs in jobs_after(fault_api, cloud, unclear, webhooks=0):
        assert (job["status"], runs) == ("COMPLETED", 1)
        assert job["may_have_run_twice"]


@pytest.mark.smoke
def test_f39_a_cut_answer_is_adopted_by_the_webhook(fault_api, cloud):
    endpoint = cloud()
    endpoint.faults("run", "cut_after")
    job = until(fault_api, create(fault_api, endpoint.name, mark="cut"))
    assert job["status"] == "COMPLETED"
    assert not job["may_have_run_twice"]
    assert len(endpoint.journal("cut")) == 1


def test_f39_a_cut_answer_is_adopted_by_the_claim_of_our_handler(fault_api, cloud):
    endpoint = cloud("slipway")
    endpoint.faults("run", "cut_after", webhooks=0)
    id = create(fault_api, endpoint.name, message="claim", seconds=1)
    job = until(fault_api, id)
    assert (job["status"], job["output"]) == ("COMPLETED", {"message": "claim"})
    assert not job["may_have_run_twice"]
    assert len(endpoint.journal("claim")) == 1


def test_f21_hold_means_at_most_once(fault_api, cloud):
    endpoint = cloud(on_unknown="'hold'")
    endpoint.faults("run", "cut_after", webhooks=0)
    job = until(fault_api, create(fault_api, endpoint.name, mark="hold"))
    assert (job["status"], job["error"]["code"]) == ("FAILED", "unconfirmed")
    assert len(endpoint.journal("hold")) == 1


# --- asking -------------------------------------------------------------------------------
def test_f37_f41_trouble_while_asking_changes_nothing(fault_api, cloud):
    endpoint = cloud()
    troubles = ["429", "cut_before", "500", "garbage", "unknown_job", "deep", "nan"]
    endpoint.faults("status", *troubles, webhooks=0)
    job = until(fault_api, create(fault_api, endpoint.name, mark="asked", seconds=1))
    assert job["status"] == "COMPLETED"
    assert len(endpoint.journal("asked")) == 1


def test_f36_trouble_of_one_endpoint_does_not_slow_another(fault_api, cloud):
    sick, healthy = cloud(), cloud()
    sick.faults("run", *["500"] * 50, webhooks=0)
    ids = [create(fault_api, sick.name, mark=f"sick{n}") for n in range(8)]
    job = until(fault_api, create(fault_api, healthy.name, mark="well"))
    assert job["status"] == "COMPLETED"
    assert not {read(fault_api, id)["status"] for id in ids} & ENDS
    for id in ids:
        fault_api.post(f"/api/v1/jobs/{id}/cancel").raise_for_status()
    assert {until(fault_api, id)["status"] for id in ids} <= {"CANCELLED", "FAILED"}


def test_f45_a_queue_that_does_not_move_is_not_stormed(fault_api, cloud):
    endpoint = cloud(release_window=500)
    endpoint.script(workers=0)
    ids = [create(fault_api, endpoint.name, mark=f"still{n}") for n in range(40)]
    for id in ids:
        until(fault_api, id, "IN_QUEUE")
    before = endpoint.counts().get("status", 0)
    time.sleep(5)  # the time in which nothing much may happen is what is tested
    # Fewer than one question in two seconds a job; asking every second is a storm.
    assert endpoint.counts().get("status", 0) - before < 40 * 5 / 2
    endpoint.script(workers=40)
    assert all(until(fault_api, id)["status"] == "COMPLETED" for id in ids)


@pytest.mark.parametrize(
    ("script", "input"),
    [
        ({"webhooks": 3}, {}),
        ({"webhooks": 0}, {}),
        ({"early": True}, {"seconds": 1}),  # before the answer, and claiming an end
    ],
)
def test_f51_webhooks_lost_repeated_early_or_lying(fault_api, cloud, script, input):
    endpoint = cloud()
    endpoint.script(**script)
    job = until(fault_api, create(fault_api, endpoint.name, mark="hook", **input))
    assert job["status"] == "COMPLETED"
    assert job["output"] == {"echo": {"mark": "hook", **input}}
    assert len(endpoint.journal("hook")) == 1


def test_f51_a_webhook_with_a_wrong_secret_is_a_404(fault_stack):
    forged = httpx.post(f"{fault_stack.url}/hooks/runpod/x", json={}, trust_env=False)
    assert forged.status_code == 404


# --- ends ---------------------------------------------------------------------------------
def test_f46_completed_without_output_is_not_a_success(fault_api, cloud):
    endpoint = cloud()
    job = until(fault_api, create(fault_api, endpoint.name, no_output=True))
    assert (job["status"], job["error"]["code"]) == ("FAILED", "result_missing")


def test_f47_a_status_from_before_the_end_changes_nothing(fault_api, cloud):
    endpoint = cloud()
    endpoint.faults("status", *["regress"] * 3, webhooks=0)
    job = until(fault_api, create(fault_api, endpoint.name, mark="late"))
    assert job["output"] == {"echo": {"mark": "late"}}


def test_f49_a_job_that_runs_on_two_workers_has_one_result(fault_api, cloud):
    endpoint = cloud("slipway")
    endpoint.script(double=True)
    job = until(fault_api, create(fault_api, endpoint.name, message="two"))
    assert (job["status"], job["output"]) == ("COMPLETED", {"message": "two"})
    wait_until(lambda: endpoint.journal("two")[0]["runs"] == 2)


def test_progress_of_other_handlers_is_shown_and_is_no_result(fault_api, cloud):
    endpoint = cloud()
    progress = {"progress": 0.4, "message": "mesh"}
    id = create(fault_api, endpoint.name, seconds=4, progress=progress, mark="bar")
    shown = wait_until(lambda: read(fault_api, id)["progress"].get("message"))
    assert shown == "mesh"
    job = read(fault_api, id)
    assert (job["progress"]["fraction"], job["output"]) == (0.4, None)
    assert until(fault_api, id)["output"]["echo"]["mark"] == "bar"


def test_files_in_an_output_are_saved_before_runpod_forgets(fault_api, cloud):
    endpoint = cloud()
    output = {"image": PNG, "page": "http://127.0.0.1/private.png"}
    endpoint.script(output=output)
    job = until(fault_api, create(fault_api, endpoint.name, mark="files"))
    assert job["status"] == "COMPLETED"
    assert [(o["name"], o["content_type"]) for o in job["outputs"]] == [
        ("image.png", "image/png")
    ]
    assert job["output"] == {**output, "image": "output:image.png"}
    saved = fault_api.get(job["outputs"][0]["url"], follow_redirects=True).content
    assert saved == base64.b64decode(PNG)
    assert "page could not be saved" in job["attempts"][0]["notes"][0]


def test_a_failed_job_keeps_runpods_words(fault_api, cloud):
    endpoint = cloud()
    job = until(fault_api, create(fault_api, endpoint.name, fail="no such model"))
    assert (job["status"], job["error"]["message"]) == ("FAILED", "no such model")


# --- cancelling ---------------------------------------------------------------------------
def test_f52_a_running_job_is_cancelled_when_runpod_says_so(fault_api, cloud):
    endpoint = cloud()
    id = create(fault_api, endpoint.name, seconds=60, mark="stop")
    until(fault_api, id, "IN_PROGRESS")
    endpoint.faults("cancel", "500", "429")
    fault_api.post(f"/api/v1/jobs/{id}/cancel").raise_for_status()
    assert reason_of(until(fault_api, id)) == ("CANCELLED", "user")


def test_f53_what_is_cancelled_at_runpods_console_is_said(fault_api, cloud, remote):
    endpoint = cloud()
    id = create(fault_api, endpoint.name, seconds=60, mark="console")
    until(fault_api, id, "IN_PROGRESS")
    runpod_id = read(fault_api, id)["attempts"][0]["backend_id"]
    httpx.post(f"{endpoint.url}/cancel/{runpod_id}", trust_env=False)
    job = until(fault_api, id)
    assert reason_of(job) == ("CANCELLED", "")
    assert "outside Slipway" in job["explanation"]


# --- purge and 404 ------------------------------------------------------------------------
def test_a_purge_cancels_what_waits_here_and_there_and_nothing_else(
    fault_stack, fault_api, cloud
):
    endpoint = cloud(release_window=2)
    running = create(fault_api, endpoint.name, seconds=8, mark="running")
    until(fault_api, running, "IN_PROGRESS")
    waiting = [create(fault_api, endpoint.name, mark=f"w{n}") for n in range(4)]
    until(fault_api, waiting[0], "IN_QUEUE")
    assert read(fault_api, waiting[3])["status"] == "PENDING"
    assert "dropped" in fault_stack.manage("purge_queue", endpoint.name)
    for id in waiting:
        job = until(fault_api, id)
        assert reason_of(job) == ("CANCELLED", "purged")
        assert "emptied this endpoint's queue" in job["explanation"]
    assert until(fault_api, running)["status"] == "COMPLETED"


def test_f43_a_job_that_runpod_lost_is_cancelled_when_that_is_certain(fault_api, cloud):
    endpoint = cloud()
    endpoint.script(workers=0)
    id = create(fault_api, endpoint.name, mark="lost")
    until(fault_api, id, "IN_QUEUE")
    endpoint.faults("status", *["unknown_job"] * 20, workers=0)
    job = until(fault_api, id)
    assert reason_of(job) == ("CANCELLED", "not_found")
    assert "no longer knows this job" in job["explanation"]


def test_an_endpoint_that_has_gone_cancels_its_jobs_and_alerts_once(
    fault_stack, fault_api, cloud
):
    endpoint = cloud(release_window=1)
    endpoint.script(workers=0)
    sent = create(fault_api, endpoint.name, mark="sent")
    until(fault_api, sent, "IN_QUEUE")
    held = [create(fault_api, endpoint.name, mark=f"held{n}") for n in range(3)]
    endpoint.script(gone=True)
    for id in [sent, *held]:
        job = until(fault_api, id)
        assert reason_of(job) == ("CANCELLED", "endpoint_not_found")
        assert "negative account balance" in job["explanation"]
    shown = fault_api.get(f"/api/v1/endpoints/{endpoint.name}").json()
    (alert,) = shown["alerts"]
    assert "negative account balance" in alert["message"]
    assert "recreate" in alert["remedy"]
    later = create(fault_api, endpoint.name, mark="later")
    assert reason_of(until(fault_api, later)) == ("CANCELLED", "endpoint_not_found")
    endpoint.script(workers=1)  # the balance was topped up
    back = create(fault_api, endpoint.name, mark="back")
    assert until(fault_api, back)["status"] == "COMPLETED"
    assert fault_api.get(f"/api/v1/endpoints/{endpoint.name}").json()["alerts"] == []


def test_f42_a_result_in_our_storage_wins_over_a_404(fault_api, cloud):
    endpoint = cloud("slipway")
    endpoint.faults("status", *["unknown_job"] * 50, webhooks=0)
    id = create(fault_api, endpoint.name, message="here", seconds=3)
    job = until(fault_api, id)
    assert (job["status"], job["output"]) == ("COMPLETED", {"message": "here"})


def test_a_purged_job_whose_result_is_here_is_completed(fault_stack, fault_api, cloud):
    endpoint = cloud("slipway")
    id = create(fault_api, endpoint.name, message="made", seconds=3)
    until(fault_api, id, "IN_PROGRESS")
    fault_stack.manage("purge_queue", endpoint.name)
    endpoint.faults("status", *["unknown_job"] * 50)
    job = until(fault_api, id)
    assert (job["status"], job["output"]) == ("COMPLETED", {"message": "made"})


# --- our own processes --------------------------------------------------------------------
def test_f13_f17_an_erased_broker_loses_nothing(fault_stack, fault_api, cloud):
    endpoint = cloud(release_window="NULL")
    endpoint.script(workers=1000, webhooks=1)
    count = 300
    ids = [
        create(fault_api, endpoint.name, mark=f"flush{n}", seconds=6)
        for n in range(count)
    ]
    until(fault_api, ids[-1], "IN_QUEUE", "IN_PROGRESS")
    fault_stack.erase_messages()
    jobs = [until(fault_api, id) for id in ids]
    assert {job["status"] for job in jobs} == {"COMPLETED"}
    assert len(endpoint.journal()) == count


def test_f19_a_poison_row_stops_after_three_deaths(fault_stack, fault_api, cloud):
    endpoint = cloud()
    fault_stack.failpoint.write_text("sync.heard:always:poison")
    made = fault_api.post(
        "/api/v1/jobs",
        json={
            "endpoint": endpoint.name,
            "input": {"mark": "poison"},
            "metadata": {"mark": "poison"},
        },
    )
    others = [create(fault_api, endpoint.name, mark=f"near{n}") for n in range(5)]
    job = until(fault_api, made.json()["id"])
    assert (job["status"], job["error"]["code"]) == ("FAILED", "poison")
    assert all(until(fault_api, id)["status"] == "COMPLETED" for id in others)
    fault_stack.failpoint.unlink()


def test_f24_two_loops_and_two_beats_do_no_harm(fault_stack, fault_api, cloud):
    endpoint = cloud()
    endpoint.script(workers=10)
    second = [
        fault_stack.popen_module(
            "celery", "-A", "webapp", "-q", "worker", "-P", "threads"
        ),
        fault_stack.popen_module(
            *("celery", "-A", "webapp", "-q", "beat"),
            *("--schedule", str(fault_stack.folder / "second"), "--pidfile="),
        ),
    ]
    try:
        ids = [create(fault_api, endpoint.name, mark=f"pair{n}") for n in range(40)]
        assert {until(fault_api, id)["status"] for id in ids} == {"COMPLETED"}
        assert len(endpoint.journal()) == 40
    finally:
        for process in second:
            process.kill()
            process.wait()


def test_f50_results_made_while_we_were_away_are_recovered(
    fault_stack, fault_api, cloud
):
    """45 minutes away, by RunPod's clock."""
    slipway, recent, old = cloud("slipway"), cloud(), cloud()
    kept = create(fault_api, slipway.name, message="kept", seconds=2)
    for endpoint in (recent, old):
        endpoint.script(workers=0, webhooks=0)
    recent_id = create(fault_api, recent.name, mark="recent")
    old_id = create(fault_api, old.name, mark="old")
    until(fault_api, kept, "IN_PROGRESS")
    until(fault_api, recent_id, "IN_QUEUE")
    until(fault_api, old_id, "IN_QUEUE")
    fault_stack.stop()
    ends_while_we_are_away(old, skip=20 * 60)
    ends_while_we_are_away(recent, skip=25 * 60)
    old.script(skip=25 * 60)
    fault_stack.start("--no-sample")
    job = until(fault_api, kept)
    assert (job["status"], job["output"]) == ("COMPLETED", {"message": "kept"})
    assert until(fault_api, recent_id)["status"] == "COMPLETED"
    # Without our handler, what RunPod has forgotten is gone: and that is said.
    assert reason_of(until(fault_api, old_id)) == ("CANCELLED", "not_found")


def ends_while_we_are_away(endpoint, *, skip):
    """Have a worker take the endpoint's job; then let time pass."""
    endpoint.script(workers=1, webhooks=0)
    wait_until(lambda: endpoint.journal()[0]["ended"], what="the job has ended")
    endpoint.script(workers=1, webhooks=0, skip=skip)
