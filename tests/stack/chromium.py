"""Chromium for tests: real, headless, and offline but for loopback."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.stack.stack import RunningStack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-features=Translate,OptimizationHints,MediaRouter",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def signed_in(
    browser: Browser, stack: RunningStack, *, is_quiet: bool = True
) -> Iterator[Page]:
    """Yield a signed-in page; where it must be quiet, any console error is an error."""
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "console",
        lambda message: (
            troubles.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    page.goto("/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", stack.password())
    page.click("main button")
    expect(
        page.get_by_role("heading", name="What would you like to run?")
    ).to_be_visible()
    yield page
    context.close()
    assert not (is_quiet and troubles), "\n".join(troubles)


def slow(page: Page, bytes_per_second: int) -> None:
    """Have a page send no faster than this; 0: as fast as it goes."""
    session = page.context.new_cdp_session(page)
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": bytes_per_second or -1,
        },
    )
