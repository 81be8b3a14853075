"""What is cut out of text that came from elsewhere, and what stays."""

import pytest

from jobs.lib.redaction import has_secret, redacted, redacted_json

A = "Ab3" * 12
LOOKS = [
    *(f"gh{kind}_{A[:16]}" for kind in "pousr"),
    *(f"github_pat_{A[:16]}", f"glpat-{A[:14]}-_", f"hf_{A[:16]}"),
    *("rpa_ABCDEFG8", f"sk-{A[:14]}-_"),
    *("AKIAABCDEFGHIJKLMN0P", "ASIAABCDEFGHIJKLMN0P"),
    *(f"xox{kind}-12345-abcd" for kind in "abprs"),
    *(f"AIza{A[:28]}-_", "eyJhbGciOiJI-_.eyJzdWIiOiJ-_.c2ln-_"),
]
AFTER = [
    ("https://{}@host/x", "user:pass"),
    ("Authorization: Bearer {}", "abc.d~+/-="),
    ("BEARER {} and more", "abcdefgh=="),
    ("?token={}&x=1", "s3"),
    ("?Token={}", "s3"),
    ("password={} and more", "p"),
    ("secret={}'", "p/+?"),
    ('signature={}"', "p%20"),
    ("API_KEY={}", "k"),
]
HARMLESS = [
    *("ghp_short", "ghx_" + A, "hf_home", "rpa_ABC", "sk-short", "github_pat_short"),
    *("AKIA1234", "akia" + "A" * 16, "xoxz-1234567890", "AIzaShort", "eyJ.eyJ.sig"),
    *("https://host:8080/path", "https://user@host/", "a://b/c:d@e", "a bearer of it"),
    *("tokens=5", "the token is", "xghp_" + A[:16], "mailto:x@y"),
]


@pytest.mark.parametrize("secret", LOOKS)
def test_what_looks_like_a_secret_is_cut_out_whole(secret):
    assert redacted(f"before {secret} after") == "before [secret] after"
    assert has_secret(f"({secret})")


@pytest.mark.parametrize(("where", "secret"), AFTER)
def test_what_stands_where_secrets_stand_is_cut_out(where, secret):
    assert redacted(where.format(secret)) == where.format("[secret]")


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays_as_it_is(text):
    assert redacted(text) == text
    assert not has_secret(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "own-value-1"),
        ("HUGGING_FACE_TOKEN", "own-value-1"),
        ("RUNPOD_KEYS", {"": "unlike-it", "team": "own-value-1"}),
        ("S3_KEYS", ("unlike-it", "own-value-1")),
    ],
)
def test_our_own_secrets_are_cut_out_wherever_they_stand(settings, name, value):
    setattr(settings, name, value)
    assert redacted("xown-value-1x own-value-1") == "x[secret]x [secret]"


def test_a_short_setting_is_no_secret(settings):
    settings.HUGGING_FACE_TOKEN = "seven77"
    settings.RUNPOD_KEYS = {"": ""}
    assert redacted("seven77 stays") == "seven77 stays"
    settings.HUGGING_FACE_TOKEN = "eight888"
    assert redacted("eight888 goes") == "[secret] goes"


def test_texts_anywhere_in_json_are_redacted_and_the_rest_is_kept():
    value = {
        "token=x": "token=x",
        "list": ["token=x", {"deep": ("token=x", 1)}],
        "other": [1, 2.5, True, None, "text"],
    }
    assert redacted_json(value) == {
        "token=x": "token=[secret]",
        "list": ["token=[secret]", {"deep": ["token=[secret]", 1]}],
        "other": [1, 2.5, True, None, "text"],
    }
