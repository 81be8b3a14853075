"""Patterns for paths in buckets."""

import pytest

from jobs.lib.path_globs import matcher


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        ("s3://b/*.jpg", "s3://b/a.jpg", True),
        ("s3://b/*.jpg", "s3://b/c/a.jpg", False),
        ("s3://b/**.jpg", "s3://b/c/d/a.jpg", True),
        ("s3://b/**/x", "s3://b/c/d/x", True),
        ("s3://b/?.jpg", "s3://b/a.jpg", True),
        ("s3://b/?.jpg", "s3://b//.jpg", False),
        ("s3://b/[a-c]1", "s3://b/b1", True),
        ("s3://b/[!a-c]1", "s3://b/b1", False),
        ("s3://b/[!a-c]1", "s3://b/d1", True),
        ("s3://b/*.{jpg,pn{g,m}}", "s3://b/a.pnm", True),
        ("s3://b/*.{jpg,png}", "s3://b/a.gif", False),
        ("s3://b/\\*", "s3://b/*", True),
        ("s3://b/\\*", "s3://b/a", False),
        ("s3://b/a,b.(x)+", "s3://b/a,b.(x)+", True),
        ("s3://b/a.b", "s3://b/axb", False),
        ("jpg", "s3://b/a.jpg", False),
        ("**\n", "s3://b/\n", True),
    ],
)
def test_globs_follow_the_rules_of_cortex(pattern, path, is_match):
    assert matcher([pattern], [])(path) is is_match


def test_all_are_wanted_without_includes_and_excludes_win():
    assert matcher([], [])("s3://b/x")
    wanted = matcher(["**.jpg", "**.png"], ["**/tmp/**"])
    paths = ["s3://b/a.jpg", "s3://b/a.png", "s3://b/tmp/a.jpg", "s3://b/a.gif"]
    assert [wanted(path) for path in paths] == [True, True, False, False]


@pytest.mark.parametrize("pattern", ["[a", "{a", "a}", "a\\", "[z-a]"])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(ValueError, match="not a valid"):
        matcher([pattern], [])


def test_no_pattern_takes_for_ever():
    assert not matcher(["**a" * 30 + "b"], [])("a" * 1000)
