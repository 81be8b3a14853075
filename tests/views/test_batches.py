"""The pages of batches."""

import pytest

from jobs.models import Batch
from jobs.services.batching import batch_json, batches
from jobs.states import JobStatus
from tests.factories import make_batch, make_user
from tests.services.test_batches import end

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def alice(client):
    client.force_login(make_user())
    return client


@pytest.fixture
def batch():
    items = [{"n": n} for n in range(4)]
    made = make_batch(items, name="night")
    batches.feed()
    return made


def text(answer):
    return answer.content.decode()


def test_the_first_page_says_how_to_make_one(alice):
    assert "No batches yet" in text(alice.get("/batches/"))


def test_a_batch_is_shown_with_its_counts(alice, batch):
    end(batch.jobs.first())
    assert "1 of 4" in text(alice.get("/batches/"))
    page = text(alice.get(f"/batches/{batch.pk}/"))
    assert "night" in page
    assert "1 completed" in page
    assert "3 active" in page
    assert "Running" in page
    assert "data-ended" not in page


def test_failures_are_grouped_and_run_again(alice, batch):
    for job in batch.jobs.all():
        end(job, JobStatus.FAILED)
    batch.jobs.filter(batch_index__lt=3).update(
        error_code="worker_error",
        error_message="<b>CUDA out of memory</b>",
        error_signature="<b>CUDA out of memory</b>",
    )
    batches.feed()
    page = text(alice.get(f"/batches/{batch.pk}/"))
    assert "Completed with failures" in page
    assert "&lt;b&gt;CUDA out of memory" in page
    assert batch_json.failures(batch)[0].number == 3
    assert "Run 4 again" in page
    answer = alice.post(f"/batches/{batch.pk}/retry/", follow=True)
    assert "4 items run again" in text(answer)
    assert batch.jobs.filter(status="PENDING").count() == 4


def test_a_batch_is_cancelled_by_its_button(alice, batch):
    assert "Cancel the batch" in text(alice.get(f"/batches/{batch.pk}/"))
    alice.post(f"/batches/{batch.pk}/cancel/")
    batches.feed()
    page = text(alice.get(f"/batches/{batch.pk}/fragment/"))
    assert ">Cancelled<" in page
    assert "Cancel the batch" not in page
    assert Batch.objects.get().ended_at is not None


def test_the_page_takes_a_constant_number_of_queries(
    alice, batch, django_assert_max_num_queries
):
    with django_assert_max_num_queries(12):
        alice.get(f"/batches/{batch.pk}/")
    with django_assert_max_num_queries(10):
        alice.get("/batches/")
