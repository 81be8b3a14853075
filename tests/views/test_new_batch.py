"""The page that makes a batch."""

import pytest

from jobs.models import Batch, Endpoint
from jobs.services.batching import batches, enqueuing
from tests.factories import SCHEMA, make_endpoint, make_upload, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
WORDS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {
        "text": {"type": "string", "title": "Text"},
        "times": {"type": "integer", "minimum": 1, "title": "Times"},
    },
}
PAYLOAD = {"type": "object", "properties": {"payload": {"type": "array"}}}


@pytest.fixture
def alice(client):
    client.force_login(make_user(), "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def send(alice):
    """Send the form of an endpoint; return the answer."""

    def post(schema=WORDS, look=False, **fields):
        endpoint = make_endpoint("words", input_schema=schema)
        data = {f"batch-{name}": value for name, value in fields.items()}
        inputs = data.pop("batch-inputs", {})
        data |= {f"input-{name}": value for name, value in inputs.items()}
        data |= {"look": "1"} if look else {}
        return alice.post(f"/batches/new/{endpoint.slug}/", data)

    return post


def text(answer):
    return answer.content.decode()


def made(answer):
    assert answer.status_code == 302, text(answer)
    return Batch.objects.get()


def inputs_of(batch):
    enqueuing.enqueue(batch.pk)
    batches.feed()
    return [job.input for job in batch.jobs.order_by("batch_index")]


def test_a_pasted_list_is_text_or_json_and_shares_the_rest(send):
    pasted = 'one\n\n {"text": "two", "times": 5} \n[1'
    batch = made(send(source="pasted", pasted=pasted, inputs={"times": "2"}))
    assert inputs_of(batch) == [
        {"text": "one", "times": 2},
        {"text": "two", "times": 5},
        {"text": "[1", "times": 2},
    ]


def test_dropped_files_are_one_item_each(send):
    files = [make_upload(), make_upload()]
    dropped = "".join(f"upload:{one.pk}\n" for one in files)
    fields = {"inputs": {"style": "cover"}, "name": "pictures"}
    batch = made(send(SCHEMA, source="dropped", dropped=dropped, **fields))
    assert batch.name == "pictures"
    assert inputs_of(batch) == [
        {"media": f"upload:{one.pk}", "style": "cover"} for one in files
    ]


def test_a_table_is_read_from_its_file(send):
    upload = make_upload(b"text,times\na,1\nb,2\n", name="items.csv")
    batch = made(send(source="file", file=f"upload:{upload.pk}"))
    assert inputs_of(batch) == [{"text": "a", "times": 1}, {"text": "b", "times": 2}]


def test_files_in_a_bucket_are_items(send, s3):
    for name in ("a.mp4", "b.txt", "c.mp4"):
        s3.client.put_object(Bucket=s3.bucket, Key=f"clips/{name}", Body=b"x")
    base = f"s3://{s3.bucket}/clips/"
    fields = {"includes": "**.mp4 **.mov", "excludes": "**/c*"}
    batch = made(send(SCHEMA, source="bucket", s3_paths=base, **fields))
    assert inputs_of(batch) == [{"media": f"{base}a.mp4"}]


def test_the_bucket_is_offered_where_there_is_one(alice, settings):
    make_endpoint("words", input_schema=WORDS)
    assert "Bucket" not in text(alice.get("/batches/new/words/"))
    settings.S3_BUCKET = "somewhere"
    assert "Bucket" in text(alice.get("/batches/new/words/"))
    settings.JOBS_BATCH_SOURCES = []
    assert "Bucket" not in text(alice.get("/batches/new/words/"))


def test_a_batch_handler_takes_groups_and_a_config(send):
    fields = {"pasted": '1\n{"a": 2}\nthree', "batch_size": "2", "config": '{"x": [1]}'}
    batch = made(send(PAYLOAD, source="pasted", **fields))
    assert (batch.batch_size, batch.config) == (2, {"x": [1]})
    assert batch.has_completion
    assert inputs_of(batch) == [{"payload": ["1", {"a": 2}]}, {"payload": ["three"]}]


def test_limits_are_kept(send):
    fields = {"workers": "3", "max_attempts": "2", "timeout": "10"}
    batch = made(send(source="pasted", pasted="x", **fields))
    assert (batch.in_flight, batch.max_attempts, batch.timeout_seconds) == (3, 2, 600)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"source": "pasted"}, "Say what runs."),
        ({"source": "dropped"}, "Choose at least one file."),
        ({"source": "file"}, "Say what runs."),
        ({"source": "elsewhere"}, "Select a valid choice"),
        ({"source": "file", "file": "upload:nope"}, "This upload does not exist"),
        ({"source": "dropped", "dropped": "nonsense"}, "Item 1: Give an uploaded file"),
        ({"source": "pasted", "pasted": "[1, 2]"}, "Item 1: Send an object."),
        (
            {"source": "pasted", "pasted": '{"media": "https://x/y", "level": 99}'},
            "Item 1, level: Must be at most 9.",
        ),
        ({"source": "pasted", "pasted": "x", "workers": "0"}, "greater than or equal"),
    ],
)
def test_a_mistake_is_told_and_makes_nothing(send, fields, words):
    answer = send(SCHEMA, **fields)
    assert answer.status_code == 422
    assert words in text(answer)
    assert not Batch.objects.exists()


def test_a_config_that_is_no_object_is_told(send):
    for config, words in (("{", "This is not JSON."), ("[]", "Write a JSON object")):
        answer = send(PAYLOAD, source="pasted", pasted="x", config=config)
        assert words in text(answer)


def test_too_many_items_are_sent_to_a_file(send, settings):
    settings.JOBS_BATCH_MAX_ITEMS = 2
    answer = send(source="pasted", pasted="a\nb\nc")
    assert "at most 2 fit in one request. Send more as a file." in text(answer)


def test_a_look_makes_nothing_and_names_what_would_fail(send):
    answer = send(source="pasted", pasted="a\nb", look=True)
    assert "2 jobs would be made." in text(answer)
    upload = make_upload(b"text,times\na,1\nb,x\n", name="items.csv")
    answer = send(source="file", file=f"upload:{upload.pk}", look=True)
    assert "2 items were read; 1 of them would fail." in text(answer)
    assert "item 2: times: Expected a whole number." in text(answer)
    upload = make_upload(b"text\na\n", name="items.csv")
    answer = send(source="file", file=f"upload:{upload.pk}", look=True)
    assert "1 jobs would be made. Nothing is wrong." in text(answer)
    upload = make_upload(b"a,,b\n", name="items.csv")
    answer = send(source="file", file=f"upload:{upload.pk}", look=True)
    assert "Column 2 has no name" in text(answer)
    assert not Batch.objects.exists()


def test_the_first_page_asks_for_the_endpoint_unless_there_is_one(alice):
    assert "No endpoint accepts jobs right now" in text(alice.get("/batches/new/"))
    make_endpoint("words", input_schema=WORDS)
    assert alice.get("/batches/new/")["Location"] == "/batches/new/words/"
    make_endpoint("other")
    assert "Other" in text(alice.get("/batches/new/"))
    Endpoint.objects.filter(slug="words").update(is_active=False)
    assert alice.get("/batches/new/words/").status_code == 404
