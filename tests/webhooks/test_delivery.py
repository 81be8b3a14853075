"""Messages to receivers that answer, fail, hang, redirect, are gone, or come back."""

import json
import threading
import time
from datetime import timedelta

import pytest
from django.utils.timezone import now
from standardwebhooks import Webhook as Standard
from standardwebhooks import WebhookVerificationError

from jobs.lib import conf
from jobs.models import Delivery, DeliveryTry, Job, Webhook
from jobs.services.batching import batches
from jobs.services.lifecycle import jobs
from jobs.services.notifications import subscriptions, webhooks
from jobs.shifts import courier
from jobs.states import Actor, JobStatus
from tests.factories import make_batch, make_endpoint, make_job, make_user
from tests.interleaving import just_before

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


def subscribe(url, *events):
    return subscriptions.subscribe(make_user(), url=url, events=list(events))


def fail(job):
    assert job.advance(JobStatus.FAILED, by=Actor.SYNC, error_code="worker_error")


def test_an_end_is_told_signed_as_the_standard_says(receiver, deliver):
    server = receiver()
    hook = subscribe(server.url)
    fail(make_job("IN_PROGRESS"))
    deliver()
    ((headers, body),) = server.got
    message = Standard(hook.secret).verify(body, headers)
    assert message["type"] == "job.failed"
    assert message["data"]["error"]["code"] == "worker_error"
    assert message["data"]["status"] == "FAILED"
    assert headers["Content-Type"] == "application/json"
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.tries, delivery.due_at) == ("delivered", 1, None)
    assert delivery.log.get().answer == "thanks"
    with pytest.raises(WebhookVerificationError):
        Standard(hook.secret).verify(body + b" ", headers)


def test_a_failure_is_tried_again_with_the_same_id(receiver, deliver):
    server = receiver(500, (502, {}, b"not yet"), 204)
    subscribe(server.url)
    fail(make_job("IN_PROGRESS"))
    deliver()
    ids = {headers["webhook-id"] for headers, _ in server.got}
    assert len(server.got) == 3
    assert len(ids) == 1
    assert len({body for _, body in server.got}) == 1
    log = list(DeliveryTry.objects.values_list("number", "status_code", "answer"))
    assert log == [(1, 500, "thanks"), (2, 502, "not yet"), (3, 204, "")]
    assert Delivery.objects.get().status == "delivered"
    assert Webhook.objects.get(url=server.url).failing_since is None


def test_after_the_last_try_it_is_failed_and_can_be_sent_again(receiver, deliver):
    server = receiver(500, 500, 500, 200)
    subscribe(server.url)
    fail(make_job("IN_PROGRESS"))
    deliver()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.tries) == ("failed", 3)
    webhooks.replay(delivery)
    deliver()
    delivery.refresh_from_db()
    assert delivery.status == "delivered"
    assert len({headers["webhook-id"] for headers, _ in server.got}) == 1
    assert [one.number for one in delivery.log.all()] == [1, 2, 3, 4]


def test_the_schedule_takes_three_days_and_scatters(settings):
    del settings.JOBS_WEBHOOK_PAUSES_SECONDS
    failed = webhooks.Outcome(seconds=1, status_code=500)
    first = {webhooks._pause(1, failed) for _ in range(50)}
    assert len(first) > 40
    assert min(first) >= 4.5
    assert max(first) <= 5.5
    whole = sum(webhooks._pause(number, failed) for number in range(1, 10))
    assert 2.7 * 86400 < whole < 3.6 * 86400
    assert webhooks._pause(10, failed) is None


def test_retry_after_is_heard(receiver, deliver):
    server = receiver((429, {"Retry-After": "600"}, b""))
    subscribe(server.url)
    fail(make_job("IN_PROGRESS"))
    deliver(lambda: DeliveryTry.objects.exists())
    assert Delivery.objects.get().due_at > now() + timedelta(seconds=500)


def test_a_receiver_that_hangs_is_left_after_its_time(receiver, deliver, settings):
    settings.JOBS_WEBHOOK_PAUSES_SECONDS = []
    settings.JOBS_WEBHOOK_TIMEOUT_SECONDS = 0.3
    is_over = threading.Event()
    subscribe(receiver(lambda _: is_over.wait(60)).url)
    fail(make_job("IN_PROGRESS"))
    deliver()
    is_over.set()
    log = DeliveryTry.objects.get()
    assert (log.status_code, log.error) == (None, "No answer within 0.3 seconds.")


def drip(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(20):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def test_an_answer_that_drips_is_left_after_its_time(receiver, deliver, settings):
    settings.JOBS_WEBHOOK_PAUSES_SECONDS = []
    settings.JOBS_WEBHOOK_TIMEOUT_SECONDS = 0.5
    subscribe(receiver(drip).url)
    fail(make_job("IN_PROGRESS"))
    deliver()
    log = DeliveryTry.objects.get()
    assert (log.status_code, log.error) == (None, "No answer within 0.5 seconds.")
    assert Delivery.objects.get().status == "failed"


def flood(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"y" * 65536)


def test_an_endless_answer_is_read_no_further_than_needed(receiver, deliver):
    subscribe(receiver(flood).url)
    fail(make_job("IN_PROGRESS"))
    deliver()
    log = DeliveryTry.objects.get()
    assert (log.status_code, len(log.answer)) == (200, webhooks.ANSWER_KEPT)


def test_a_redirect_is_not_followed(receiver, deliver, settings):
    settings.JOBS_WEBHOOK_PAUSES_SECONDS = []
    other = receiver()
    server = receiver((307, {"Location": other.url}, b""))
    subscribe(server.url)
    fail(make_job("IN_PROGRESS"))
    deliver()
    assert other.got == []
    assert Delivery.objects.get().status == "failed"


def test_410_disables_at_once_and_drops_what_waits(receiver, deliver, settings):
    settings.JOBS_WEBHOOK_RECEIVER_MAX = 1
    server = receiver(410)
    hook = subscribe(server.url)
    for _ in range(3):
        fail(make_job("IN_PROGRESS"))
    deliver()
    hook.refresh_from_db()
    assert (hook.is_active, "410" in hook.disabled_reason) == (False, True)
    assert len(server.got) == 1
    assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}
    fail(make_job("IN_PROGRESS"))
    deliver()
    assert len(server.got) == 1
    subscriptions.change(hook, is_active=True)
    assert (hook.is_active, hook.disabled_reason) == (True, "")


def test_five_days_of_failure_disable(receiver, deliver):
    server = receiver(500)
    hook = subscribe(server.url)
    Webhook.objects.update(failing_since=now() - timedelta(days=5, minutes=1))
    fail(make_job("IN_PROGRESS"))
    deliver()
    hook.refresh_from_db()
    assert not hook.is_active
    assert "5 days" in hook.disabled_reason


def test_a_private_address_is_never_sent_to(receiver, deliver, settings):
    server = receiver()
    subscribe(server.url)
    settings.JOBS_EGRESS_ALLOW = []
    settings.JOBS_WEBHOOK_PAUSES_SECONDS = []
    fail(make_job("IN_PROGRESS"))
    deliver()
    assert server.got == []
    assert DeliveryTry.objects.get().error.startswith("Not sent: ")


def test_a_receiver_that_is_down_is_tried_until_it_is_back(deliver, receiver):
    server = receiver()
    server.stop()
    subscribe(server.url)
    fail(make_job("IN_PROGRESS"))
    deliver()
    delivery = Delivery.objects.get()
    assert delivery.status == "failed"
    assert "ConnectError" in delivery.log.first().error


def test_a_slow_receiver_holds_up_nobody_else(receiver, deliver, settings):
    settings.JOBS_WEBHOOK_RECEIVER_MAX = 2
    all_came = threading.Event()

    def dawdle(handler):
        all_came.wait(60)
        handler.send_response(200)
        handler.end_headers()

    def count(handler):
        if len(fast.got) == 8:
            all_came.set()
        handler.send_response(200)
        handler.end_headers()

    slow, fast = receiver(dawdle), receiver(count)
    subscribe(slow.url)
    subscribe(fast.url)
    for _ in range(8):
        fail(make_job("IN_PROGRESS"))
    deliver()
    assert (len(slow.got), slow.most) == (8, 2)
    assert set(DeliveryTry.objects.values_list("number", "status_code")) == {(1, 200)}


def test_only_wanted_events_are_told(receiver, deliver):
    picky, every = receiver(), receiver()
    subscribe(picky.url, "job.started")
    subscribe(every.url)
    job = jobs.create(owner=make_user(), endpoint=make_endpoint(), input={"a": 1})
    assert jobs.request_cancel(job)
    other = make_job("IN_QUEUE")
    assert other.advance(JobStatus.IN_PROGRESS, by=Actor.SYNC)
    deliver()
    kinds = [
        [json.loads(body)["type"] for _, body in one.got] for one in (picky, every)
    ]
    assert kinds[0] == ["job.started"]
    assert sorted(kinds[1]) == ["job.cancelled", "job.queued", "job.started"]


def test_other_peoples_jobs_are_not_told(receiver, deliver):
    server = receiver()
    subscribe(server.url)
    fail(make_job("IN_PROGRESS", owner=make_user("bob")))
    deliver()
    assert server.got == []
    assert not Delivery.objects.exists()


def test_a_job_may_name_its_own_address(receiver, deliver):
    server = receiver()
    job = jobs.create(
        owner=make_user(),
        endpoint=make_endpoint(),
        input={"a": 1},
        webhook_url=server.url,
    )
    assert jobs.request_cancel(job)
    deliver()
    ((headers, body),) = server.got
    secret = Webhook.of_jobs(make_user().pk).secret
    assert Standard(secret).verify(body, headers)["type"] == "job.cancelled"


def test_after_a_rotation_both_secrets_hold_for_a_day(receiver, deliver):
    server = receiver()
    hook = subscribe(server.url)
    old = hook.secret
    webhooks.rotate_secret(hook)
    assert hook.secret != old
    webhooks.send_test(hook)
    deliver()
    headers, body = server.got[0]
    for secret in (old, hook.secret):
        assert Standard(secret).verify(body, headers)["type"] == "webhook.test"
    Webhook.objects.update(rotated_at=now() - timedelta(days=1, seconds=1))
    webhooks.send_test(hook)
    deliver()
    headers, body = server.got[1]
    assert Standard(hook.secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Standard(old).verify(body, headers)


def test_large_fields_are_left_out_and_named(receiver, deliver):
    server = receiver()
    subscribe(server.url)
    fail(make_job("IN_PROGRESS", input={"text": "x" * 100_000}))
    deliver()
    body = server.got[0][1]
    data = json.loads(body)["data"]
    assert len(body) < 20_000
    assert (data["input"], data["omitted"]) == (None, ["input"])


def test_announcing_twice_writes_one_message(receiver):
    subscribe(receiver().url)
    fail(make_job("IN_PROGRESS"))
    assert webhooks.announce() == 1
    Job.objects.get().events.update(is_announced=False)
    assert webhooks.announce() == 1
    assert Delivery.objects.count() == 1


def test_announcing_takes_a_constant_number_of_queries(
    receiver, django_assert_max_num_queries
):
    subscribe(receiver().url)
    for _ in range(30):
        fail(make_job("IN_PROGRESS"))
    with django_assert_max_num_queries(12):
        assert webhooks.announce() == 30


def test_a_courier_that_dies_on_its_way_leaves_the_message_due(
    receiver, deliver, settings
):
    server = receiver()
    subscribe(server.url)
    fail(make_job("IN_PROGRESS"))
    webhooks.announce()
    (taken,) = webhooks.claim(10, {})
    assert webhooks.claim(10, {}) == []
    later = now() + timedelta(seconds=conf.WEBHOOK_CLAIM_SECONDS + 1)
    assert taken.due_at < later
    Delivery.objects.update(due_at=now())
    deliver()
    ((headers, _),) = server.got
    assert headers["webhook-id"] == taken.message_id
    assert Delivery.objects.get().tries == 2


def test_a_message_that_another_courier_claims_first_is_not_ours():
    subscribe("https://example.com/")
    fail(make_job("IN_PROGRESS"))
    webhooks.announce()
    elsewhere = []
    with just_before("UPDATE", lambda: elsewhere.extend(webhooks.claim(10, {}))):
        assert webhooks.claim(10, {}) == []
    assert len(elsewhere) == 1
    assert Delivery.objects.get().tries == 1


def test_one_courier_at_a_time():
    from jobs.models import Lease  # noqa: PLC0415

    assert Lease.take(courier.LEASE, holder="another", seconds=60)
    assert courier.work(1) is False


def test_old_messages_are_forgotten():
    hook = subscribe("https://example.com/")
    for days in (1, 31):
        one = webhooks.send_test(hook)
        Delivery.objects.filter(pk=one.pk).update(
            created_at=now() - timedelta(days=days), due_at=None
        )
    webhooks.sweep()
    assert Delivery.objects.count() == 1


def test_an_old_message_that_is_still_to_be_sent_is_kept():
    one = webhooks.send_test(subscribe("https://example.com/"))
    Delivery.objects.update(created_at=now() - timedelta(days=31))
    webhooks.sweep()
    assert Delivery.objects.get() == one


def test_the_end_of_a_batch_is_told_once(receiver, deliver):
    matching, other = receiver(), receiver()
    subscribe(matching.url, "batch.completed_with_failures")
    subscribe(other.url, "batch.completed")
    batch = make_batch([{"n": 1}, {"n": 2}])
    batches.feed()
    for job in batch.jobs.all():
        assert job.advance(JobStatus.SUBMITTING, by=Actor.SUBMITTER, attempt_no=1)
        assert job.advance(JobStatus.FAILED, by=Actor.SUBMITTER)
    batches.feed()
    batches.feed()
    deliver()
    assert other.got == []
    [(_, body)] = matching.got
    message = json.loads(body)
    assert message["data"]["counts"]["failed"] == 2
    assert message["data"]["id"] == str(batch.pk)


def test_what_was_on_its_way_when_a_webhook_was_switched_off_is_not_tried_again(
    receiver,
):
    hook = subscribe(receiver().url)
    fail(make_job("IN_PROGRESS"))
    webhooks.announce()
    (taken,) = webhooks.claim(10, {})
    webhooks.disable(hook, "Switched off.")
    webhooks.heard(taken, webhooks.Outcome(seconds=1, status_code=500))
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.due_at) == ("failed", None)


def test_an_error_nobody_thought_of_counts_as_a_try(receiver, deliver, monkeypatch):
    def broken(*_):
        raise RuntimeError("unforeseen")

    subscribe(receiver().url)
    fail(make_job("IN_PROGRESS"))
    monkeypatch.setattr(courier.egress, "post", broken)
    deliver()
    assert Delivery.objects.get().status == "failed"
    assert DeliveryTry.objects.first().error == "Not sent: RuntimeError."
