"""The chat page in a real browser, over a real server with a tiny model that knows a few answers by heart."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.image_files import L2A, reflectance, write
from tests.fixtures.serving import served

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def url(tiny_checkpoint: Path) -> Iterator[str]:
    """Where a server of the tiny model answers."""
    with served(tiny_checkpoint) as address:
        yield address


@pytest.fixture
def page(url: str) -> "Iterator[playwright.Page]":
    """The page, opened in a fresh browser that reports every request it makes and every error of its script."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1360, "height": 860}, accept_downloads=True)
        opened.asked, opened.failures = [], []
        opened.on("request", lambda request: opened.asked.append(request.url))
        opened.on("pageerror", lambda error: opened.failures.append(str(error)))
        opened.on("console", lambda told: opened.failures.append(told.text) if told.type == "error" else None)
        opened.goto(url)
        yield opened
        browser.close()


def ask(page: "playwright.Page", question: str) -> str:
    """Ask on the page, and wait for the whole answer."""
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_selector("#send:visible", timeout=60_000)
    return str(page.locator(".said.model").last.inner_text())


def scene(folder: Path, name: str = "S2A_MSIL2A_20170613T101031.tif") -> Path:
    """Twelve bands on the ground."""
    return write(folder / name, reflectance(12), L2A)


def test_an_image_is_dropped_asked_about_and_its_boxes_are_drawn_and_saved(
    page: "playwright.Page", tmp_path: Path
) -> None:
    page.set_input_files("#file", scene(tmp_path))
    page.wait_for_selector("#figure:visible")
    assert "sentinel-2" in page.locator("#facts").inner_text() and "2017-06-13" in page.locator("#facts").inner_text()
    answer = ask(page, "[refer] Where does the forest lie?")
    assert answer == "forest box"
    assert page.locator(".said .box").get_attribute("title") == "[[100, 200, 500, 600]]"
    points = page.locator("#boxes polygon").first.get_attribute("points")
    assert points == "0.1,0.2 0.5,0.2 0.5,0.6 0.1,0.6"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download GeoJSON").click()
    told = json.loads(Path(download.value.path()).read_text())
    ring = told["features"][0]["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1] and all(14 < lon < 16 and 52 < lat < 53 for lon, lat in ring)
    assert ask(page, "What covers most of this image?") != ""
    assert page.failures == []


def test_the_page_asks_nobody_but_its_own_server(page: "playwright.Page", url: str, tmp_path: Path) -> None:
    page.set_input_files("#file", scene(tmp_path))
    page.wait_for_selector("#figure:visible")
    assert all(one.startswith((url, "data:", "blob:")) for one in page.asked)


def test_an_image_of_unknown_sensor_asks_which_it_is(page: "playwright.Page", tmp_path: Path) -> None:
    page.set_input_files("#file", write(tmp_path / "bands.tif", reflectance(3)))
    page.wait_for_selector("#alert:visible")
    assert "its sensor is not known" in page.locator("#alert").inner_text()
    page.get_by_label("Sensor").select_option("sentinel-2")
    page.wait_for_selector("#figure:visible")
    assert page.locator("#alert").is_hidden()


def test_what_is_wrong_is_shown_as_a_sentence(page: "playwright.Page", tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(scene(tmp_path).read_bytes()[:2000])
    page.set_input_files("#file", broken)
    page.wait_for_selector("#alert:visible")
    assert "broken.tif" in page.locator("#alert").inner_text()
    page.get_by_label("Question").fill("What is it?")
    page.get_by_role("button", name="Ask", exact=True).click()
    assert page.locator("#alert").inner_text() == "Drop an image first."
