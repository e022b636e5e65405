"""A headless Chromium of the machine, signed in to Airflow as its admin."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

_FLAGS = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-sandbox",  # root cannot have one; it opens nothing but our own pages
)


@contextmanager
def signed_in(address: str, token: str) -> Iterator[Page]:
    """A page with the session of `token`. Skips where no Chromium is installed."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        pytest.skip("Chromium is not installed (Debian and Ubuntu: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        context = browser.new_context(viewport={"width": 1500, "height": 1100})
        context.add_cookies([{"name": "_token", "value": token, "url": address}])
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()
