"""What stands beside every export: the card, the ledger of licences and the page of statistics."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tasks.core import tables
from tasks.core.stage import read_json, write_json
from tasks.dialogue import conversations
from tasks.exchange.exports.licences import hub_name
from tasks.exchange.exports.options import Options
from tasks.exchange.exports.run import LAYOUTS, Exported, export
from tests.fixtures import exportable_dataset

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an answer that is markup, a source whose name is, and one whose licence is not share-alike."""
    data = exportable_dataset.write(tmp_path_factory.mktemp("built"), chips=8)
    path = data / "qa/sentinel-2/a/conversations.parquet"
    rows = tables.read(path).to_pylist()
    answer = "<script>document.title = 'taken'</script>"
    rows[0]["turns"][0]["answer"] = answer
    rows[0]["conversations"] = conversations.dump([("What covers most of this image?", answer)], ["[s2_ms_10]"])
    tables.write_rows(rows, conversations.SCHEMA, path)
    ledger = read_json(data / "labels/sentinel-1/a/licences.json")
    scenes = ledger["scenes"]["sentinel-1-scenes"]
    scenes |= {"licence": "CC-BY-4.0", "attribution": "A | B\n<b>lab</b>", "url": "https://example.org/licence"}
    for part in ("a", "b"):
        write_json(data / f"labels/sentinel-1/{part}/licences.json", ledger)
    return data


@pytest.fixture(scope="module")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    out = tmp_path_factory.mktemp("exports") / "out"
    return out, export("huggingface", data, out, Options())


def test_the_card_s_front_matter_is_what_the_hub_reads(exported: tuple[Path, Exported]) -> None:
    card = pytest.importorskip("huggingface_hub").DatasetCard.load(exported[0] / "README.md")
    assert card.data.license == ["cc-by-4.0", "odbl", "other"]
    assert card.data.language == ["en"] and card.data.size_categories == ["n<1K"]
    assert "visual-question-answering" in card.data.task_categories
    (config,) = card.data.to_dict()["configs"]
    for files in config["data_files"]:
        assert list(exported[0].glob(files["path"])), files
    assert [files["split"] for files in config["data_files"]] == ["train", "validation", "test"]


@pytest.mark.parametrize("form", LAYOUTS)
def test_every_layout_has_its_card_with_splits_that_are_there(form: str, data: Path, tmp_path: Path) -> None:
    export(form, data, tmp_path / form, Options())
    text = (tmp_path / form / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    for config in front.get("configs", []):
        assert all(list((tmp_path / form).glob(files["path"])) for files in config["data_files"])
    assert (tmp_path / form / "statistics.html").is_file() and (tmp_path / form / "licences.json").is_file()


def test_the_card_s_tables_add_up_and_name_every_source_and_notice(exported: tuple[Path, Exported]) -> None:
    folder, done = exported
    text = (folder / "README.md").read_text()
    rows = re.findall(r"(?m)^\| ([\w-]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", text)
    assert {row[0] for row in rows} == set(done.tally.kinds)
    assert sum(int(row[4]) for row in rows) == done.tally.count() == sum(int(n) for row in rows for n in row[1:4])
    assert exportable_dataset.NOTICE in text and "OpenStreetMap contributors" in text
    assert "**Share-alike.** synthetic is under a licence" in text and "(ODbL-1.0)" in text
    assert "| A \\| B <b>lab</b> |" in text, "a credit does not break its table"


def test_kinds_that_are_answered_without_the_picture_are_marked_in_every_row_card_and_page(
    data: Path, exported: tuple[Path, Exported], tmp_path: Path
) -> None:
    unmeasured = (exported[0] / "README.md").read_text()
    assert "was not measured of this data set" in unmeasured
    marks = tmp_path / "data"
    shutil.copytree(data, marks)
    write_json(marks / "blind/marks.json", {"lead": 0.05, "marked": ["presence"], "kinds": {}})
    export("huggingface", marks, tmp_path / "out", Options())
    for path in (tmp_path / "out/data").glob("*.parquet"):
        for row in tables.read(path, ["question_types", "guessable"]).to_pylist():
            assert row["guessable"] == [kind == "presence" for kind in row["question_types"]]
    assert "| presence * |" in (tmp_path / "out/README.md").read_text()
    assert "presence *</span>" in (tmp_path / "out/statistics.html").read_text()
    lines = (exported[0] / "data").glob("*.parquet")
    assert all(row is None for path in lines for row in tables.read(path, ["guessable"])["guessable"].to_pylist())


def test_the_ledger_has_every_source_once_over_all_sensors(exported: tuple[Path, Exported]) -> None:
    found = json.loads((exported[0] / "licences.json").read_text())
    sources = {entry["name"]: entry for entry in found["sources"]}
    assert list(sources) == ["synthetic", "sentinel-1-scenes", "sentinel-2-scenes"]
    assert sources["synthetic"]["items"] == 2 and sources["synthetic"]["share_alike"]
    assert not sources["sentinel-1-scenes"]["share_alike"]
    assert found["licences"] == ["cc-by-4.0", "odbl", "other"]


@pytest.mark.parametrize(
    ("licence", "name"),
    [("ODbL-1.0", "odbl"), ("CC0-1.0", "cc0-1.0"), ("CDLA-Permissive-1.0", "cdla-permissive-1.0"), ("various", "other"),
     ("unknown", "other"), ("CC-BY-SA-4.0", "cc-by-sa-4.0")],
)  # fmt: skip
def test_licences_have_the_hub_s_names(licence: str, name: str) -> None:
    assert hub_name(licence) == name


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_stands_alone_runs_nothing_and_fits_a_phone(exported: tuple[Path, Exported], width: int) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    folder, done = exported
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.goto((folder / "statistics.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.title() == "Earthloom instruction data: statistics"
        assert page.locator("#kinds .bar-row").count() == len(done.tally.kinds)
        numbers = page.locator("#kinds .bar-number").all_inner_texts()
        assert sum(int(number) for number in numbers) == done.tally.count()
        parts = page.locator("#answers .bar-track i").evaluate_all("all => all.map(one => one.title)")
        assert "<script>document.title = 'taken'</script>: 1" in parts
        assert page.locator("#licences article").count() == 3
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
