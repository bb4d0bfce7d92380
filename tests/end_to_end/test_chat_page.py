"""The chat page in a real browser, over a real server with a tiny model that knows a few answers by heart."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.vlm.limits import Limits
from tasks.vlm.samples import ImageRef, Sample
from tests.fixtures.image_files import L2A, decibel, reflectance, write
from tests.fixtures.serving import served

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]
COVER, WHERE = "What covers most of this image?", "[refer] Where does the forest lie?"
Page = Any


@pytest.fixture(scope="module")
def url(tiny_checkpoint: Path) -> Iterator[str]:
    """Where a server of the tiny model answers; a request has at most 2 MiB."""
    with served(tiny_checkpoint, "--most-mb", "2", "--max-new-tokens", "60") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def opened(browser: Any, url: str, **options: Any) -> Page:
    """The page in a window of its own, which notes every request it makes and every error of its script."""
    page = browser.new_context(**{"viewport": {"width": 1360, "height": 860}, **options}).new_page()
    page.set_default_timeout(20_000)
    page.asked, page.failures = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.on("console", lambda said: page.failures.append(said.text) if said.type == "error" else None)
    page.goto(url)
    return page


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Page]:
    """The page, its model known."""
    page = opened(browser, url)
    page.wait_for_selector("#ideas button")
    yield page
    page.context.close()


def ask(page: Page, question: str) -> str:
    """Ask on the page, and wait for the whole answer."""
    before = page.locator(".after").count()
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".after").nth(before).wait_for()
    return str(page.locator(".said.model").last.inner_text()).removeprefix("Model: ").strip()


def show(page: Page, *files: Path) -> None:
    """Give files, and wait until all are open."""
    page.set_input_files("#file", list(files))
    for file in files:
        page.locator(f'#images button[title*="{file.name}"] img').wait_for()


def scene(folder: Path, name: str = "S2A_MSIL2A_20170613T101031.tif", seed: int = 0) -> Path:
    """Twelve bands on the ground."""
    return write(folder / name, reflectance(12, seed=seed), L2A)


def heard(page: Page) -> str:
    """What a screen reader is given to say."""
    return str(page.locator("#heard").inner_text())


def test_an_image_is_dropped_shown_asked_about_and_its_boxes_are_drawn_and_saved(
    page: Page, url: str, tmp_path: Path
) -> None:
    show(page, scene(tmp_path))
    facts = page.locator("#facts").inner_text()
    assert all(part in facts for part in ("sentinel-2", "2017-06-13", "EPSG:32633"))
    assert "Displayed: true colour (B04, B03, B02). The model is shown 12 planes: B04" in facts
    shown = page.locator("#shows button").all_inner_texts()
    assert shown == ["True colour", "False colour", "Short-wave infrared"]
    pictures = [page.locator("#picture").get_attribute("src")]
    for name in shown[1:]:
        page.get_by_role("button", name=name).click()
        page.locator(f'#picture[alt$="shown as {name.lower()}"]').wait_for()
        pictures.append(page.locator("#picture").get_attribute("src"))
    page.get_by_label("Show one band").select_option("B8A")
    page.locator('#picture[alt$="shown as B8A"]').wait_for()
    assert len({*pictures, page.locator("#picture").get_attribute("src")}) == 4
    assert ask(page, WHERE) == "forest box" and heard(page) == "Model: forest box"
    assert page.locator(".said .box").get_attribute("title") == "[[100, 200, 500, 600]]"
    polygon = page.locator("#boxes polygon")
    assert polygon.get_attribute("points") == "0.1,0.2 0.5,0.2 0.5,0.6 0.1,0.6"
    row = page.get_by_role("button", name="1 forest")
    row.focus()
    assert polygon.get_attribute("class") == "lit"
    page.get_by_role("button", name="Copy").focus()
    assert polygon.get_attribute("class") == ""
    polygon.hover()
    assert "lit" in str(row.get_attribute("class"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download GeoJSON").click()
    said = json.loads(Path(download.value.path()).read_text())
    ring = said["features"][0]["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1] and all(14 < lon < 16 and 52 < lat < 53 for lon, lat in ring)
    assert said["features"][0]["properties"]["file"] == "S2A_MSIL2A_20170613T101031.tif"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "forest <box>[[100, 200, 500, 600]]</box>"
    assert ask(page, COVER) != "" and page.locator(".said.user").count() == 2
    assert all(one.startswith((url, "data:", "blob:")) for one in page.asked) and page.failures == []
    page.get_by_role("button", name="New conversation").click()
    assert page.locator("#drop").is_visible() and page.locator(".said").count() == 0


GIVE = """([name, base64, kind]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt());
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: "image/png" }));
  const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.querySelector("#question").dispatchEvent(event);
}"""


def test_any_picture_is_opened_by_its_bytes_dropped_chosen_or_pasted_and_what_is_none_is_refused_by_name(
    page: Page, tmp_path: Path
) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    files = []
    for number, kind in enumerate(("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000")):
        files.append(tmp_path / f"picture{number}.txt")
        noise.save(files[-1], kind)
    show(page, *files)
    facts = page.locator("#facts").inner_text()
    assert "taken as a display picture" in facts and "no place on Earth" in facts
    for kind in ("paste", "drop"):
        page.evaluate(GIVE, [f"{kind}.png", base64.b64encode(files[0].read_bytes()).decode(), kind])
        page.locator(f'#images button[title="{kind}.png"] img').wait_for()
    large, empty, cut = tmp_path / "large.tif", tmp_path / "empty.tif", tmp_path / "cut.tif"
    large.write_bytes(bytes(2 * 2**20))
    empty.write_bytes(b"")
    cut.write_bytes(scene(tmp_path).read_bytes()[:2000])
    text = tmp_path / "letter.txt"
    text.write_text("no picture")
    asked = page.asked.copy()
    for file, why in (
        (large, "large.tif has 2.0 MiB, and this server takes 1.5 MiB at most"),
        (empty, "empty.tif is empty"),
        (cut, "cut.tif: it cannot be read"),
        (text, "letter.txt: neither GeoTIFF"),
    ):
        page.set_input_files("#file", file)
        page.locator("#alert", has_text=why).wait_for()
    assert len(page.asked) == len(asked) + 2, "what is too large or empty is not sent"
    assert page.locator("#images img").count() == 9
    for _ in range(8):
        page.locator("#images .away").last.click()
    assert ask(page, WHERE) == "forest box"
    assert "taken as a display picture" in page.locator(".after .note").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="it has no place on Earth").click()
    (feature,) = json.loads(Path(download.value.path()).read_text())["features"]
    assert feature["geometry"] is None and feature["properties"]["corners"][0] == [0.1, 0.2]
    assert download.value.suggested_filename == "boxes.json"


def test_what_a_file_does_not_say_is_asked_for_in_fields(page: Page, tmp_path: Path) -> None:
    page.set_input_files("#file", write(tmp_path / "bands.tif", reflectance(3)))
    page.locator("#wrong", has_text="its sensor is not known").wait_for()
    assert "the field Sensor" in page.locator("#wrong").inner_text()
    page.wait_for_function("document.activeElement.name === 'sensor'")
    known = page.get_by_label("Sensor").locator("option").all_inner_texts()
    assert {"sentinel-2", "sentinel-1", "hr-rgb8"} < set(known)
    page.get_by_label("Question").fill(COVER)
    page.get_by_role("button", name="Ask", exact=True).click()
    assert page.locator("#alert").inner_text() == "Say first what is asked about this image."
    page.get_by_label("Sensor").select_option("sentinel-2")
    page.get_by_label("Date").fill("2020-05-01")
    page.get_by_role("button", name="Read it so").click()
    page.locator("#figure").wait_for()
    facts = page.locator("#facts").inner_text()
    assert "sentinel-2, as given" in facts and "2020-05-01" in facts and page.locator("#wrong").is_hidden()
    assert ask(page, COVER) == "open water"
    page.get_by_text("What the file does not say").click()
    assert page.get_by_label("Sensor").is_disabled() and page.locator("#fixed").is_visible()

    counts = (reflectance(12) * 10_000).astype(np.uint16)
    page.set_input_files("#file", write(tmp_path / "counts.tif", counts, L2A))
    page.locator("#wrong", has_text="counts.tif").wait_for()
    assert "the field Scale" in page.locator("#wrong").inner_text()
    page.wait_for_function("document.activeElement.name === 'scale'")
    page.get_by_label("Scale").fill("0.01")
    page.keyboard.press("Enter")
    page.locator("#wrong", has_text="with scale 0.01").wait_for()
    page.get_by_label("Scale").fill("0.0001")
    page.get_by_role("button", name="Read it so").click()
    page.locator("#figure").wait_for()
    asked = [json.loads(str(request)) for request in sent(page, lambda: ask(page, COVER))]
    files = [part["image_url"] for turn in asked[0]["messages"] for part in turn["content"] if "image_url" in part]
    assert [(file["name"], file.get("sensor"), file.get("date"), file.get("scale")) for file in files] == [
        ("bands.tif", "sentinel-2", "2020-05-01", None),
        ("counts.tif", None, None, 0.0001),
    ]


def sent(page: Page, act: Any) -> list[str]:
    """Bodies of the questions that are sent while something is done."""
    bodies: list[str] = []
    page.on("request", lambda request: bodies.append(request.post_data) if "completions" in request.url else None)
    act()
    return bodies


def test_two_polarisations_are_one_image_and_dates_are_shown_in_their_order(page: Page, tmp_path: Path) -> None:
    radar = decibel()
    files = [
        write(tmp_path / f"S1A_20200501_{band}.tif", radar[place : place + 1], [band])
        for place, band in enumerate(("VV", "VH"))
    ]
    show(page, *reversed(files))
    assert page.locator("#images img").count() == 1
    assert page.locator("#shows button").all_inner_texts() == ["Radar"]
    facts = page.locator("#facts").inner_text()
    assert "The model is shown 3 planes: VV, VH, VV-VH" in facts and "taken as one image" in facts
    page.get_by_label("Show one band").select_option("VH")
    page.locator('#picture[alt$="shown as VH"]').wait_for()
    assert ask(page, COVER) == "bare ground"
    page.get_by_role("button", name="New conversation").click()

    other = write(tmp_path / "S1A_20200501_VH_elsewhere.tif", decibel(32, 32)[1:], ["VH"])
    show(page, files[0], other)
    assert page.locator("#images img").count() == 2, "other pixels, other images"
    page.get_by_role("button", name="New conversation").click()

    later, earlier = scene(tmp_path, "S2A_20190702.tif", 1), scene(tmp_path, "S2A_20170613.tif")
    show(page, later, earlier)
    assert page.locator("#images .date").all_inner_texts() == ["2017-06-13", "2019-07-02"]
    assert ask(page, "What changed?") == "the forest is gone"
    show(page, scene(tmp_path, "S2A_20160101.tif", 2))
    assert page.locator("#images .date").all_inner_texts() == ["2017-06-13", "2019-07-02", "2016-01-01"], (
        "what was shown before stays before"
    )
    page.get_by_role("button", name="New conversation").click()
    show(page, later, earlier)
    ask(page, WHERE)
    assert page.locator(".rows button").inner_text() == "1 forest, on S2A_20190702.tif"
    page.get_by_role("button", name="Image 1").click()
    assert page.locator("#boxes polygon").count() == 0
    page.locator(".rows button").click()
    assert page.locator("#boxes polygon").count() == 1 and "S2A_20190702" in page.locator("#facts").inner_text()


def test_stop_escape_and_leaving_end_the_work(browser: Any, page: Page, url: str, tmp_path: Path) -> None:
    image = scene(tmp_path)
    show(page, image)
    for stop in (
        "$('stop').click()",
        "$('stop').dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}))",
    ):
        page.get_by_label("Question").fill(WHERE)
        page.evaluate(f"$('form').requestSubmit(); {stop}")
        page.locator("#send").wait_for()
        assert page.get_by_label("Question").input_value() == WHERE and page.locator(".said").count() == 0
    leaving = opened(browser, url)
    show(leaving, image)
    leaving.get_by_label("Question").fill(WHERE)
    leaving.evaluate("$('form').requestSubmit()")
    leaving.close()
    page.wait_for_function("fetch('/health').then((answer) => answer.json()).then((state) => state.inside === 0)")
    assert ask(page, WHERE) == "forest box"


@pytest.fixture(scope="module")
def locked(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that wants a key, of a model whose limits are known, with answers of three tokens at most."""
    folder = tmp_path_factory.mktemp("limited") / "model"
    shutil.copytree(tiny_checkpoint, folder)
    image = ImageRef("chips.parquet", "c", "sentinel-2", "ms", tuple(L2A), 64, 64, None)
    turns = ((COVER, "dense forest"), (WHERE, "forest"))
    Limits.of([Sample("s", "c", "sentinel-2", "ms", (image,), (turn,), ("cover",), 1) for turn in turns]).scored(
        {"overall": {"accuracy": 0.61, "n": 50}}
    ).save(folder)
    (folder / "scores.json").write_text(json.dumps({"overall": {"accuracy": 0.61, "n": 50}}))
    with served(folder, "--api-key", "open sesame", "--max-new-tokens", "3") as address:
        yield address


def test_a_key_is_asked_for_and_limits_scores_and_cut_answers_are_shown(
    browser: Any, locked: str, tmp_path: Path
) -> None:
    page = opened(browser, locked)
    key = page.locator("#key")
    key.fill("wrong")
    key.press("Enter")
    page.locator("#lock-why", has_text="not one of this server's").wait_for()
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.press("Escape")
    page.locator("#alert", has_text="This server wants a key").wait_for()
    page.set_input_files("#file", scene(tmp_path))
    key.fill("open sesame")
    page.get_by_role("button", name="Use it").click()
    page.locator("#figure").wait_for()
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.get_by_role("button", name="About the model").click()
    about = page.get_by_role("dialog").inner_text()
    for said in (
        "earthdial",
        "Trained on images of sentinel-2 (ms)",
        "cover (2 in training)",
        "61.0% right of 50",
        "3 tokens at most",
    ):
        assert said in about
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "about-open"
    ask(page, WHERE)
    assert page.locator(".after .note").inner_text() == "Cut at 3 tokens, the longest answer of this server."
    assert "not taught about ships" in ask(page, "How many ships?")
    outside = page.locator(".said.outside")
    assert outside.locator(".with").inner_text() == "Outside of what this model was taught"
    page.reload()
    page.wait_for_selector("#ideas button")
    assert page.locator("dialog[open]").count() == 0, "the key is kept while the tab is open"
    page.context.close()


FOCUS = """() => {
  const { activeElement: one } = document, style = getComputedStyle(one);
  const seen = style.outlineStyle !== "none" || style.borderColor !== "rgba(0, 0, 0, 0)";
  return [one.id || one.className || one.tagName, seen];
}"""


def test_it_works_on_a_telephone_by_keyboard_and_for_a_screen_reader(browser: Any, url: str, tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    image, unknown = scene(tmp_path), write(tmp_path / "bands.tif", reflectance(3))
    for width, theme in ((390, "dark"), (320, "light"), (1280, "light")):
        # axe is a script of its own, which the page's policy rightly refuses.
        page = opened(browser, url, viewport={"width": width, "height": 800}, color_scheme=theme, bypass_csp=True)

        def check(what: str, page: Page = page, width: int = width) -> None:
            found = Axe().run(page, options={"resultTypes": ["violations", "passes"]}).response
            grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
            assert not grave and len(found["passes"]) > 10, (what, grave)
            assert page.evaluate("document.documentElement.scrollWidth") == width, what

        page.wait_for_selector("#ideas button")
        check("empty")
        page.get_by_role("button", name="About the model").click()
        check("about")
        page.keyboard.press("Escape")
        show(page, image)
        ask(page, WHERE)
        check("answer")
        page.set_input_files("#file", unknown)
        page.locator("#wrong").wait_for()
        check("error")
        assert page.locator("#talk").get_attribute("aria-live") is None, "nobody is read every token"
        page.context.close()


def test_it_can_be_used_by_the_keyboard_alone(page: Page, tmp_path: Path) -> None:
    seen = []
    for _ in range(9):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUS))
    assert [name for name, _ in seen[:6]] == ["skip", "about-open", "anew", "theme", "choose", "talk"]
    assert all(visible for _, visible in seen)
    page.locator("#about-open").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "about-close"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "about-open"
    page.locator("#choose").focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(scene(tmp_path))
    page.locator("#figure").wait_for()
    page.get_by_role("button", name="False colour").focus()
    page.keyboard.press("Space")
    page.locator('#picture[alt$="shown as false colour"]').wait_for()
    assert page.evaluate("document.activeElement.textContent") == "False colour", "focus stays where it was"
    page.get_by_label("Question").focus()
    page.keyboard.type(WHERE)
    page.keyboard.press("Enter")
    page.locator(".after").wait_for()
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.textContent") == "Copy"
