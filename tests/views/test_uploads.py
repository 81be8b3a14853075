"""The page of a person's files."""

import pytest
from django.utils.timezone import now

from jobs.models import Job, Upload
from jobs.services.files import uploads
from tests.factories import make_job, make_upload, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def page(client):
    client.force_login(make_user())
    return lambda: client.get("/uploads/").content.decode()


def test_an_empty_page_says_what_will_be_here(page):
    assert "No files here yet." in page()


def test_files_are_listed_with_size_state_and_end(page):
    make_upload(b"x" * 2048, name="holiday.mp4")
    begun = uploads.open_upload(owner=make_user(), filename="begun.mp4", size=5)
    Upload.objects.filter(pk=begun.pk).update(received=3)
    wrong = uploads.open_upload(owner=make_user(), filename="wrong.mp4", size=5)
    uploads.reject(wrong, "It is text.")
    shown = page()
    for text in ("holiday.mp4", "2.0", "Ready", "arrived", "It is text.", "3 files"):
        assert text in shown


def test_files_of_others_are_not(page, client):
    foreign = make_upload(owner=make_user("bob"), name="secret.mp4")
    assert "secret.mp4" not in page()
    assert client.post(f"/uploads/{foreign.pk}/delete/").status_code == 404
    assert Upload.objects.exists()


def test_a_file_is_deleted_unless_a_running_job_needs_it(client):
    client.force_login(make_user())
    upload = make_upload()
    job = make_job("IN_PROGRESS")
    job.uploads.add(upload)
    answer = client.post(f"/uploads/{upload.pk}/delete/", follow=True)
    assert "needs in.png" in answer.content.decode()
    job.uploads.clear()
    make_job("COMPLETED").uploads.add(upload)
    client.post(f"/uploads/{upload.pk}/delete/")
    assert not Upload.objects.exists()


@pytest.mark.parametrize("count", [1, 20])
def test_the_page_costs_the_same_for_any_number(
    client, count, django_assert_max_num_queries
):
    client.force_login(make_user())
    for number in range(count):
        make_upload(bytes([number]) * 9)
    with django_assert_max_num_queries(7):
        client.get("/uploads/")


def test_a_name_is_escaped(page):
    make_upload(name="<img onerror=alert(1) src=x>.png")
    assert "<img onerror" not in page()


def test_a_job_says_when_it_goes_and_is_kept_and_deleted(client):
    owner = make_user()
    client.force_login(owner)
    job = make_job("COMPLETED", owner=owner, finished_at=now())
    url = f"/jobs/{job.pk}/"
    assert "Deleted with its files on" in client.get(url).content.decode()
    client.post(f"{url}keep/", {"kept": "1"})
    assert "Kept until you delete it." in client.get(url).content.decode()
    client.post(f"{url}keep/", {"kept": "0"})
    assert not Job.objects.get().is_kept
    assert "Delete this job?" in client.get(f"{url}delete/").content.decode()
    assert client.post(f"{url}delete/").status_code == 302
    assert client.get(url).status_code == 404
