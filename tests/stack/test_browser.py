"""What a person does, in real Chromium. Skipped, and counted, where there is none."""

import re

import pytest
from playwright.sync_api import expect

from tests.stack.chromium import needs_chromium, signed_in
from tests.stack.stack import ROOT

CLIP = ROOT / "samples" / "portrait-clip.mp4"
pytestmark = needs_chromium


@pytest.fixture
def page(browser, stack):
    with signed_in(browser, stack) as page:
        yield page


@pytest.mark.smoke
def test_a_file_goes_in_and_its_anonymised_video_comes_out(page):
    page.get_by_role("link", name="Anonymize faces").click()
    page.set_input_files("input[type=file]", CLIP)
    expect(page.get_by_text(re.compile("uploaded|was here already"))).to_be_visible()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}/"))
    expect(page.locator("#job")).to_have_attribute(
        "data-status", "COMPLETED", timeout=60_000
    )
    video = page.locator("video")
    expect(video).to_be_visible()
    page.wait_for_function("document.querySelector('video').duration > 2.5")
    page.get_by_text("Events").click()
    for status in ("PENDING", "SUBMITTING", "IN_QUEUE", "FINALIZING", "COMPLETED"):
        expect(page.locator(".events").get_by_text(status, exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "anonymized.mp4"


def test_submitting_waits_for_the_upload(page):
    page.goto("/new/anonymize/")
    page.set_input_files("input[type=file]", CLIP)
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}/"))


def test_mistakes_stand_at_the_field(page, tmp_path):
    page.goto("/new/anonymize/")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_have_text("This field is required.")
    text = tmp_path / "clip.mp4"
    text.write_text("not a video")
    page.set_input_files("input[type=file]", text)
    expect(page.get_by_text("· uploaded")).to_be_visible()
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("clip.mp4 is text")


def test_an_empty_file_is_refused_before_it_is_sent(page, tmp_path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    page.goto("/new/anonymize/")
    page.set_input_files("input[type=file]", empty)
    expect(page.get_by_text("empty.mp4 is empty")).to_be_visible()


def test_a_running_job_shows_progress_and_is_cancelled(page):
    page.goto("/new/echo/")
    page.fill("[name=input-seconds]", "300")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#job")).to_have_attribute(
        "data-status", "IN_PROGRESS", timeout=20_000
    )
    expect(page.locator("progress[value]")).to_be_visible(timeout=10_000)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#job")).to_have_attribute(
        "data-status", "CANCELLED", timeout=20_000
    )
    page.get_by_role("link", name="Run again").click()
    expect(page.locator("[name=input-seconds]")).to_have_value("300")


def test_the_page_heals_itself_when_the_server_was_restarted(page, stack):
    page.goto("/new/echo/")
    page.fill("[name=input-seconds]", "6")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#job")).to_have_attribute(
        "data-status", "IN_PROGRESS", timeout=20_000
    )
    stack.kill("web")
    expect(page.get_by_text("Connection lost")).to_be_visible()
    expect(page.locator("#job")).to_have_attribute(
        "data-status", "COMPLETED", timeout=60_000
    )


def test_light_and_dark_are_remembered(page):
    page.click("#theme")
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.goto("/jobs/")
    assert page.evaluate("document.documentElement.dataset.theme") == theme
