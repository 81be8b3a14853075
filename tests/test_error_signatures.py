"""Error messages that differ in names and numbers only have one signature."""

import pytest

from jobs.lib.error_signatures import signature

ID = "0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d"


@pytest.mark.parametrize(
    ("message", "common"),
    [
        ("Tried 2.50 GiB of 1,024 in 3 steps", "Tried <n> GiB of <n> in <n> steps"),
        ("No answer from https://a.b/c?d=1 today", "No answer from <url> today"),
        ("s3+x.y-z://bucket/key is gone", "<url> is gone"),
        ("see <https://a.b/c> or 'http://x'", "see <<url>> or <text>"),
        ("cannot open /tmp/a@b+c/in-1.mp4", "cannot open <path>"),
        ("cannot open /tmp/dir/", "cannot open <path>"),
        ("and/or stays, so does /root", "and/or stays, so does /root"),
        ("and/or/not stays", "and/or/not stays"),
        (f"job {ID} and {ID.replace('-', '').upper()}", "job <id> and <id>"),
        ("bad “x” and \"y z\" and 'w'", "bad <text> and <text> and <text>"),
        ("don't and can't stay", "don't and can't stay"),
        ("at 0x7FfA and deadbeef0123", "at <hex> and <hex>"),
        ("deadbeef012 and DEADBEEF", "deadbeef<n> and DEADBEEF"),
        ("  two\n\tlines  ", "two lines"),
        ("", ""),
    ],
)
def test_what_varies_is_left_out(message, common):
    assert signature(message) == common


def test_a_signature_has_at_most_200_characters_of_the_first_thousand():
    assert signature("x" * 300) == "x" * 200
    assert signature("1" * 998 + " yz") == "<hex> y"
    assert len(signature("a 1 " * 400)) == 200
