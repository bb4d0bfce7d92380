"""The site of the docs: built without a network, every link leads somewhere, nothing is loaded from elsewhere."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def build(checkout: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(checkout / "mkdocs.yml"), "-d", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    built = build(ROOT, out)
    assert built.returncode == 0, built.stderr
    return out


class Page(HTMLParser):
    """What a page loads, what it links to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given["id"]} if "id" in given else set()
        self.loads |= {given["src"]} if "src" in given else set()
        if "href" in given:
            (self.links if tag == "a" else self.loads).add(given["href"])


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert [url for page in pages.values() for url in page.loads if urlsplit(url).netloc] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert styles and re.findall(r"""(?:url\(|@import)\s*["']?https?:""", styles) == []


def test_every_link_of_the_site_leads_to_a_page_and_a_heading_that_are_there(pages: dict[Path, Page]) -> None:
    gone = []
    for path, page in pages.items():
        for link in page.links | page.loads:
            parts = urlsplit(link)
            if parts.scheme or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchors = pages[target].anchors if target in pages and parts.fragment else {parts.fragment}
            if not target.is_file() or unquote(parts.fragment) not in anchors | {"", "__skip"}:
                gone.append((path.name, link))
    assert gone == []


def test_what_the_docs_link_to_outside_their_folder_is_on_the_site(site: Path) -> None:
    for name in ("SECURITY.html", "benchmarks/index.html", "infra/index.html", "infra/proxy/nginx.conf"):
        assert (site / "repository" / name).is_file(), name


def test_a_notebook_is_a_page_with_its_code_and_outputs(site: Path) -> None:
    text = (site / "tutorial/scene-to-answer.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in text and "contradicted" in text and 'href="scene-to-answer.ipynb' in text


def test_the_search_index_holds_what_the_pages_say(site: Path) -> None:
    docs = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))["docs"]
    assert {"for-regions.html", "tutorial/scene-to-answer.html"} <= {entry["location"].split("#")[0] for entry in docs}
    assert any("winter wheat" in entry["text"] for entry in docs)


def test_a_link_to_nowhere_and_a_page_without_a_place_end_the_build(tmp_path: Path) -> None:
    for name in ("mkdocs.yml", "README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("docs", "infra", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "docs/new.md").write_text("# New\n\n[gone](how-to/gone.md), [nowhere](../infra/nowhere.md)\n")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode == 1
    for what in ("new.md", "how-to/gone.md", "../infra/nowhere.md"):
        assert what in built.stderr


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_in_a_browser_it_searches_asks_nobody_else_and_fits_a_phone(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "for-analysts", "for-regions", "for-fine-tuning", "tutorial/scene-to-answer"):
            page.goto(f"{address}/{name}.html", wait_until="load")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        page.set_viewport_size({"width": 1280, "height": 900})
        page.get_by_role("textbox", name="Search").click()
        page.keyboard.type("winter wheat")
        expect(page.locator(".md-search-result__item").first).to_contain_text("wheat")
        assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
        browser.close()
