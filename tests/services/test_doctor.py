"""What the doctor says of a real S3 server, good and bad."""

import json

import pytest
from django.core.management import CommandError, call_command

from jobs.services.files import bucket_checks
from jobs.storage import bucket

pytestmark = pytest.mark.django_db


def findings():
    return {finding.name: finding for finding in bucket_checks.run()}


def test_a_good_bucket_passes_and_nothing_is_left_in_it(s3):
    by_name = findings()
    assert {name for name, one in by_name.items() if not one.is_ok} == set()
    assert set(by_name) >= {"write", "links", "parts", "write once", "CORS"}
    listed = s3.client.list_objects_v2(Bucket=s3.bucket)
    assert listed.get("Contents", []) == []


def test_a_wrong_key_is_told_with_the_rights_it_needs(s3, settings):
    settings.S3_KEYS = ("test-access-key", "wrong")
    by_name = findings()
    assert "AWS_SECRET_ACCESS_KEY" in by_name["bucket"].remedy
    assert "wrong" not in by_name["bucket"].text


def test_an_unreachable_bucket_is_told(s3, settings):
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    assert "cannot be reached" in findings()["bucket"].text


def test_a_missing_cors_rule_is_given_to_copy(s3, settings, monkeypatch):
    real = bucket_checks._call

    def without_cors(method, *arguments):
        answer = real(method, *arguments)
        answer.headers.pop("access-control-allow-origin", None)
        return answer

    monkeypatch.setattr(bucket_checks, "_call", without_cors)
    remedy = findings()["CORS"].remedy
    rule = json.loads(remedy.partition(": ")[2])
    assert rule["CORSRules"][0]["AllowedOrigins"] == ["http://testserver"]
    assert "PUT" in rule["CORSRules"][0]["AllowedMethods"]


@pytest.mark.parametrize(
    ("statuses", "remedy"),
    [((200, 412), ""), ((501, 501), "JOBS_BUCKET_CONDITIONAL_WRITES=false")],
)
def test_conditional_writes_are_tried(s3, monkeypatch, statuses, remedy):
    real, given = bucket_checks._call, list(statuses)

    def scripted(method, url, content=b"", headers=None):
        answer = real(method, url, content, headers)
        if headers and "If-None-Match" in headers:
            answer.status_code = given.pop(0)
        return answer

    monkeypatch.setattr(bucket_checks, "_call", scripted)
    assert remedy in findings()["write once"].remedy


def test_the_command_prints_json_and_fails_where_something_is_to_do(
    s3, settings, capsys
):
    call_command("doctor", "--json")
    assert json.loads(capsys.readouterr().out)["ok"]
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="need you"):
        call_command("doctor")
    assert "-> " in capsys.readouterr().out


def test_without_a_bucket_it_says_where_files_are(capsys):
    call_command("doctor")
    assert "S3_BUCKET is not set" in capsys.readouterr().out
    with pytest.raises(Exception, match="S3_BUCKET is not set"):
        bucket()
