"""Batches as a person makes and watches them, in real Chromium."""

import json
import re
import zipfile

import pytest
from playwright.sync_api import expect

from tests.stack.chromium import needs_chromium, signed_in
from tests.stack.stack import ROOT

SAMPLES = ROOT / "samples"
BATCH = re.compile(r"/batches/[0-9a-f-]{36}/$")
pytestmark = needs_chromium


@pytest.fixture
def page(browser, stack):
    with signed_in(browser, stack) as page:
        yield page


def choose(page, name):
    page.locator("[role=radiogroup] label").filter(has_text=name).click()


def ended(page, words):
    expect(page.locator("#batch[data-ended]")).to_be_visible(timeout=60_000)
    expect(page.locator("#batch .badge").first).to_have_text(words)


def test_many_files_go_in_and_one_zip_comes_out(page, tmp_path):
    page.goto("/batches/")
    page.get_by_role("link", name="New batch").click()
    page.get_by_role("link", name="Anonymize faces").click()
    picked = [SAMPLES / "portrait.jpg", tmp_path / "small.png"]
    from PIL import Image  # noqa: PLC0415

    Image.new("RGB", (64, 64), "red").save(picked[1])
    page.locator("files-field input[type=file]").set_input_files(picked)
    expect(page.get_by_text("2 of 2 files are here")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("two pictures")
    page.get_by_role("button", name="Run all").click()
    page.wait_for_url(BATCH)
    ended(page, "Completed")
    expect(page.locator(".legend")).to_contain_text("2 completed")
    with page.expect_download() as download:
        page.get_by_role("link", name="All files (zip)").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        assert "results.ndjson" in names
        assert {name.split("/")[0] for name in names} >= {"000000", "000001"}
    page.get_by_role("link", name="All items").click()
    expect(page.get_by_text("portrait.jpg")).to_be_visible()


@pytest.mark.smoke
def test_failures_are_grouped_and_one_group_is_run_again(page):
    page.goto("/batches/new/echo/")
    choose(page, "List")
    lines = ["one", json.dumps({"message": "two", "error": "lens 7 is dirty"})]
    lines += [json.dumps({"message": "x", "error": f"lens {n} is dirty"}) for n in "89"]
    page.get_by_label("Items", exact=True).fill("\n".join(lines))
    page.get_by_role("button", name="Run all").click()
    page.wait_for_url(BATCH)
    ended(page, "Completed with failures")
    row = page.get_by_role("row", name=re.compile("lens <n> is dirty"))
    expect(row).to_contain_text("3")
    row.get_by_role("link", name="3").click()
    expect(page.get_by_role("row")).to_have_count(4)
    page.go_back()
    page.get_by_role("button", name="Run these again").click()
    expect(page.get_by_text("3 items run again.")).to_be_visible()
    ended(page, "Completed with failures")


def test_a_table_is_looked_at_and_then_run(page, tmp_path):
    table = tmp_path / "items.csv"
    table.write_text("message,seconds\none,0\ntwo,0.1\nthree,nine\n")
    page.goto("/batches/new/echo/")
    choose(page, "File of items")
    page.locator("[data-source=file] input[type=file]").set_input_files(table)
    expect(page.get_by_text(re.compile("uploaded|was here already"))).to_be_visible()
    page.get_by_role("button", name="Only check the items").click()
    expect(page.get_by_text("3 items were read; 1 of them would fail")).to_be_visible()
    expect(page.get_by_text("item 3: seconds: Expected a number.")).to_be_visible()
    page.get_by_role("button", name="Run all").click()
    page.wait_for_url(BATCH)
    ended(page, "Completed with failures")
    expect(page.locator(".legend")).to_contain_text("2 completed")
    expect(page.get_by_text("Correct these, then send them again")).to_be_visible()


def test_mistakes_stand_at_the_field_with_the_item(page):
    page.goto("/batches/new/echo/")
    choose(page, "List")
    page.get_by_role("button", name="Run all").click()
    expect(page.get_by_role("alert")).to_have_text("Say what runs.")
    items = page.get_by_label("Items", exact=True)
    items.fill('fine\n{"message": "x", "seconds": -1}')
    page.get_by_role("button", name="Run all").click()
    expect(page.get_by_role("alert")).to_have_text(
        "Item 2, seconds: Must be at least 0."
    )
    assert items.input_value().startswith("fine")


def test_the_page_shows_progress_by_itself_and_the_batch_is_cancelled(page):
    page.goto("/batches/new/echo/")
    choose(page, "List")
    page.get_by_label("Items", exact=True).fill("\n".join("abcdefghijklmnop"))
    page.get_by_label("Work for").fill("1")
    page.get_by_role("button", name="Run all").click()
    page.wait_for_url(BATCH)
    # Without a reload the count moves, and moves again.
    legend = page.locator(".legend")
    expect(legend).to_have_text(re.compile(r"\b[1-9]\d* completed"), timeout=30_000)
    seen = re.search(r"\d+ completed", legend.inner_text())[0]
    expect(legend).not_to_contain_text(seen, timeout=30_000)
    page.get_by_role("button", name="Cancel the batch").click()
    ended(page, "Cancelled")
