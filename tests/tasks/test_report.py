"""The report: what stands on the page, made from a small synthetic dataset by the stage's own command."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from tasks import report as stage
from tasks.core.errors import MissingInputError
from tasks.evaluation.metrics.guesses import BESIDE
from tasks.evaluation.names import MODELS
from tasks.pages.charts import percent
from tasks.pages.loss_charts import smooth, thin
from tasks.pages.report_text import against_controls, count, verdict
from tasks.pages.svg import ticks
from tests.conftest import ROOT
from tests.fixtures import report_dataset
from tests.tasks.pages.runs_on_disk import run

SENSORS = ("sentinel-2", "sentinel-1", "landsat")
FETCHED = {"src", "href", "srcset", "data", "poster", "action", "xlink:href", "background"}


class Reader(HTMLParser):
    """Text, fetched addresses, ids and script elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.cards: list[str] = []
        self._mute = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what an element says and asks for."""
        self.tags.append(tag)
        self._mute = tag == "style"
        named = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in FETCHED]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "img":
            self.images.append(named)
        if "data-chip" in named:
            self.cards.append(named["data-chip"] or "")

    def handle_data(self, data: str) -> None:
        """Collect text that is shown."""
        if not self._mute:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All text that is shown, blanks folded."""
        return " ".join(" ".join(self.words).split())


def report(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the stage in `root` as DVC would."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(root)}
    command = [sys.executable, "-m", "tasks.report"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic dataset, without a report; not to be changed."""
    root = tmp_path_factory.mktemp("dataset")
    report_dataset.make(root)
    return root


@pytest.fixture(scope="session")
def reported(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset with its report; not to be changed."""
    root = Path(shutil.copytree(dataset, tmp_path_factory.mktemp("reported") / "root"))
    done = report(root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="session")
def html(reported: Path) -> str:
    """The page."""
    return (reported / "data/report/index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(html: str) -> Reader:
    """The page, read."""
    return read(html)


@pytest.fixture(scope="session")
def board(reported: Path) -> str:
    """The board beside it."""
    return (reported / "data/report/board.html").read_text(encoding="utf-8")


def read(html: str) -> Reader:
    """A page, read."""
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.mark.parametrize(("name", "other"), [("index.html", "board.html"), ("board.html", "index.html")])
def test_nothing_is_fetched_and_the_report_and_its_board_lead_to_each_other(
    reported: Path, name: str, other: str
) -> None:
    html = (reported / "data/report" / name).read_text(encoding="utf-8")
    page = read(html)
    assert {a.partition(":")[0] for a in page.addresses if not a.startswith("#")} == {"data", other}
    assert not re.search(r"url\(\s*['\"]?(?!#)", html)
    assert "@import" not in html
    assert not {"script", "iframe", "object", "embed", "base"} & set(page.tags)
    assert len(html) < 8_000_000


@pytest.mark.parametrize("name", ["index.html", "board.html"])
def test_every_link_inside_the_page_leads_somewhere(reported: Path, name: str) -> None:
    page = read((reported / "data/report" / name).read_text(encoding="utf-8"))
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_board_has_the_stages_own_answers_and_no_run_that_lies_beside_it(reported: Path, board: str) -> None:
    predictions = pl.read_parquet(reported / "data/evaluate/earthdial/predictions.parquet")
    text = read(board).text
    assert f"answers scored {count(2 * predictions.height)}" in text and "models 2 on 1 benchmark" in text
    assert "RS-MoE, demo against EarthDial, demo" in text
    assert "the same model without the image" in text and "the same model with another image" in text
    assert "812 m from training" in text


def test_every_picture_says_what_it_shows(page: Reader) -> None:
    assert page.images
    assert all(image["alt"] for image in page.images)


def test_the_headline_counts_the_dataset(reported: Path, page: Reader) -> None:
    data = reported / "data"
    ledgers = [pl.read_parquet(data / f"select/{sensor}/ledger.parquet") for sensor in SENSORS]
    turns = sum(pl.read_parquet(path).explode("turns").height for path in data.glob("qa/*/*/conversations.parquet"))
    overall = json.loads((data / "evaluate/earthdial/scores.json").read_text())["overall"]
    kept = sum(ledger.filter(pl.col("verdict") == "kept").height for ledger in ledgers)
    for number, name in (
        ("3", "scenes"),
        (count(sum(ledger.height for ledger in ledgers)), "candidate windows"),
        (count(kept), "kept"),
        (count(turns), "questions"),
        (percent(overall["accuracy"]), "right on test"),
    ):
        assert f"{name} {number}".replace("\u202f", " ") in page.text.replace("\u202f", " ")
    summary = json.loads((data / "summary/report.json").read_text())
    assert summary["candidates"] == 3 * 36 and summary["pairs"] == turns
    assert summary["bytes"] == (data / "report/index.html").stat().st_size


def test_the_funnel_reconciles_for_every_sensor(reported: Path, page: Reader) -> None:
    sums = re.findall(r"(\d+) candidates = (\d+) kept ((?:\+ \d+ \w+ )*)reconciles", page.text)
    assert len(sums) == len(SENSORS)
    for sensor, (candidates, kept, rest) in zip(SENSORS, sums, strict=True):
        summary = json.loads((reported / f"data/summary/select@{sensor}.json").read_text())
        dropped = {name: int(number) for number, name in re.findall(r"\+ (\d+) (\w+)", rest)}
        assert (int(candidates), int(kept), dropped) == (summary["candidates"], summary["kept"], summary["dropped"])
        assert int(candidates) == int(kept) + sum(dropped.values())


def test_every_window_is_drawn_and_counted_in_the_legend(reported: Path, html: str) -> None:
    drawn = re.findall(r"<title>(.+?) \((\d+) windows\)</title></path>", html)
    assert sum(int(number) for _, number in drawn) == 3 * 36
    assert {"dropped: too much cloud", "dropped: too few labels", "training", "test"} <= {what for what, _ in drawn}
    legend = html[html.index('<ul class="legend"') : html.index('<div class="sites">')]
    assert sum(map(int, re.findall(r"<b>(\d+)</b>", legend))) == 3 * 36


def test_labels_of_a_source_are_drawn_in_its_colour_with_its_licence_beside(reported: Path, html: str) -> None:
    drawn = re.findall(r'<path class="said s(\d) p(\d)" d="[^"]+"><title>(.+?): (.+?) of the window \((\d+) lab', html)
    labelled = pl.concat(
        [pl.read_parquet(path) for path in sorted((reported / "data/labels").glob("*/*/labels.parquet"))],
        how="vertical_relaxed",
    ).filter(~pl.col("derived"))
    assert {source for _, _, source, _, _ in drawn} == set(labelled["source"])
    assert sum(int(count) for *_, count in drawn) == labelled["chip_id"].n_unique()
    assert {(step, what) for _, step, _, what, _ in drawn} == {("0", "more than two thirds")}
    assert "<td>CC-BY-4.0</td><td>2021</td>" in html


def test_the_gallery_shows_the_models_own_answers_beside_the_blank_ones(reported: Path, page: Reader) -> None:
    predictions = pl.read_parquet(reported / "data/evaluate/earthdial/predictions.parquet")
    assert len(page.cards) == len(set(page.cards)) == 3 * report_dataset.PARAMS["report"]["gallery"]
    shown = predictions.filter(pl.col("image_id").is_in(page.cards))
    assert page.text.count("without the image: ") == shown.height > 0
    assert page.text.count("\u2713") == shown["correct"].sum()
    assert page.text.count("\u2717") == (~shown["correct"]).sum()


def test_series_stand_as_strips_of_dated_pictures_with_what_is_asked_of_them(html: str, reported: Path) -> None:
    section = html[html.index('<section id="series">') :].partition("</section>")[0]
    shown = re.findall(r'data-series="([^"]+)"', section)
    table = pl.read_parquet(reported / "data/series/series.parquet")
    assert len(shown) == report_dataset.PARAMS["report"]["series"] and set(shown) <= set(table["series_id"])
    assert section.count("<figcaption><b>2026-01-02</b>") == 2 * len(shown)
    talks = pl.read_parquet(reported / "data/series/conversations.parquet").filter(pl.col("chip_id").is_in(shown))
    assert section.count('class="gpt"') == talks["turns"].list.len().sum() > 0
    dropped = pl.read_parquet(reported / "data/series/dropped.parquet")
    assert all(f"{reason} {number}" in section for reason, number in dropped.group_by("reason").len().iter_rows())


def test_charts_are_left_as_pictures_for_dvc_plots(reported: Path) -> None:
    plots = {path.stem: path.read_text() for path in (reported / "data/report/plots").glob("*.svg")}
    assert {
        "loss-train-1",
        "loss-moe-2",
        "funnel-landsat",
        "scores-earthdial-by-type",
        "scores-rsmoe-by-group",
    } <= set(plots)
    for drawing in plots.values():
        assert ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"


def test_what_is_derived_is_marked(page: Reader) -> None:
    assert "spectral-rules derived" in page.text
    assert "water derived" in page.text
    assert "asset \u2018scl\u2019" in page.text
    assert "unreadable : cut short" in page.text


def test_text_from_the_catalog_stays_text(html: str) -> None:
    assert "All of it <is> synthetic" not in html
    assert "All of it &lt;is&gt; synthetic" in html


@pytest.mark.parametrize("model", MODELS)
def test_scores_and_certificate_are_those_of_the_artifacts(reported: Path, page: Reader, model: str) -> None:
    scores = json.loads((reported / "data/evaluate" / model / "scores.json").read_text())
    assert f"{MODELS[model].title.removesuffix(', demo')} answers {percent(scores['overall']['accuracy'])}" in page.text
    for name, score in [("all", scores["overall"]), *scores["by_type"].items()]:
        low, high = (percent(value) for value in score["ci95"])
        row = f"{name} {score['n']} {percent(score['accuracy'])} {low} to {high} "
        beside = " ".join(percent(score[control]) for control in BESIDE if control in score)
        over = score["over_best"]
        edges = " ".join(signed(value) for value in (over["difference"], over["ci95"][0]))
        assert f"{row}{beside} +{edges}".replace("+\u2212", "\u2212") in page.text
    marked = [name for name, score in scores["by_type"].items() if score.get("blind", {}).get("marked")]
    assert len(marked) == 1 and page.text.count("blind solver 71.0 %, chance 50.0 %") == len(MODELS)
    assert f"beats balanced chance on {marked[0]}:" in page.text
    assert "812 m between the nearest training and test chips" in page.text
    assert "synthetic, 10 parameters" in page.text and "synthetic, 16 parameters" in page.text


def test_what_a_model_was_taught_stands_where_that_is_on_record(page: Reader) -> None:
    assert page.text.count("What EarthDial, demo was taught") == 1 and "What RS-MoE" not in page.text
    assert "Trained on images of sentinel-2 (ms); one image at a time." in page.text
    assert "presence 1 Is there any water? yes" in page.text


def test_the_experts_are_shown_with_what_it_costs_to_swap_them_and_with_their_texts(page: Reader, html: str) -> None:
    assert "It matters who is asked: a wrong expert costs 0.450 (0.430 to 0.470) nats a token" in page.text
    assert "The router knows some of it: with its weights the mixture is 0.100" in page.text
    assert "theme 1.000 1.500 1.600" in page.text and "relation no text no text no text" in page.text
    assert "one of the wrong experts 1.450 +0.450 0.430 to 0.470" in page.text
    assert "prompts of two experts" in page.text and "largest weight on the right expert" not in page.text
    assert page.text.count("theme Fields <are> here. 0.70 object (nothing) 0.20 relation They touch. 0.10") == 4
    assert page.text.count("joined : Fields") == page.text.count("mixed : Fields") == 2
    assert html.count("[caption] Describe &lt;it&gt;.") == 4
    assert html.count('<article class="chip routed">\n<div class="pictures"><figure><img') == 4


def test_the_parameters_of_every_part_stand_beside_the_sizes_of_the_paper(page: Reader) -> None:
    text = page.text.replace("\u202f", " ")
    assert "vision encoder 6 985 952 256 985 952 256 ViT-g/14, frozen" in text
    assert "together 16 2 437 368 963 7 976 158 339" in text


def test_two_runs_leave_the_same_bytes_whatever_runs_of_benchmarks_lie_there(
    dataset: Path, reported: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(dataset, tmp_path / "elsewhere"))
    run(tmp_path, "Other", "aid", {"question": ["What?"], "answer": ["Port"], "annotation": ["Port"]})
    shutil.move(tmp_path / "runs", root / "data/benchmarks-runs")
    assert report(root).returncode == 0
    for name in ("data/report/index.html", "data/report/board.html"):
        assert (root / name).read_bytes() == (reported / name).read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "scenes/landsat/items.parquet",
        "scenes/landsat/thumbnails/SYNTHETIC_landsat.png",
        "select/sentinel-2/ledger.parquet",
        "summary/select@sentinel-1.json",
        "chips/sentinel-2/a/quarantine.parquet",
        "split/certificate.json",
        "stats/sentinel-1.json",
        "train/2/log.csv",
        "moe/2/log.csv",
        "routing/routing.json",
        "series/series.parquet",
        "evaluate/rsmoe/scores.json",
        "evaluate/earthdial/predictions.parquet",
        "evaluate/earthdial/scores.json",
    ],
)
def test_a_missing_input_is_named(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    root = Path(shutil.copytree(dataset, tmp_path / "root", copy_function=os.link))
    (root / "data" / path).unlink()
    monkeypatch.chdir(root)
    with pytest.raises(MissingInputError) as refused:
        stage.run()
    assert f"{Path('data') / path} is not there; run `dvc repro`" in str(refused.value)
    assert refused.value.exit_code == 1
    assert not (root / "data/report/index.html").exists()


def test_a_ledger_of_another_run_is_refused(dataset: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(dataset, tmp_path / "root"))
    path = root / "data/summary/select@landsat.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {"kept": summary["kept"] + 1}))
    done = report(root)
    assert done.returncode == 1
    assert "they are of different runs" in done.stderr


def signed(value: float) -> str:
    """Points with the page's minus."""
    return f"{100 * value:.1f}".replace("-", "\u2212")


def _score(difference: float, half: float, control: str = "no_image") -> dict[str, object]:
    over = {"control": control, "score": 0.6, "difference": difference, "ci95": [difference - half, difference + half]}
    return {"n": 100, "accuracy": 0.6 + difference, "ci95": [0.4, 0.8], control: 0.6, "over_best": over}


@pytest.mark.parametrize(
    ("score", "mood", "sentence"),
    [
        # The interval of the score itself reaches far below the control; that of the paired difference does not.
        (_score(0.1, 0.05), "better", "beats the best control, the same model without the image (60.0 %), by 10.0"),
        (_score(0.04, 0.05), "level", "not surely better than the best control, the same model without the image"),
        (_score(0.04, 0.05, "same_scene"), "level", "training answer to it in the same scene (60.0 %): 4.0 points"),
        (_score(-0.1, 0.05, "neighbours"), "worse", "(60.0 %): \u221210.0 points (95 % interval of the difference"),
    ],
)  # fmt: skip
def test_the_verdict_is_honest(score: dict[str, object], mood: str, sentence: str) -> None:
    assert against_controls(score) == mood
    found, text = verdict({"overall": score, "by_type": {"presence": score}})
    assert found == mood
    assert sentence in text
    assert ("no question type on which it surely beats every control" in text) == (mood != "better")
    below = "1 of 1 question types lie below their best control: \u2018presence\u2019." in text
    assert below == (mood == "worse")


def test_smoothing_starts_unbiased_and_thinning_keeps_the_last() -> None:
    points = [(float(step), 2.0) for step in range(1000)]
    assert all(value == pytest.approx(2.0) for _, value in smooth(points, 0.99))
    assert len(thin(points, 100)) <= 101 and thin(points, 100)[-1] == points[-1]
    assert thin([]) == []


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(0.38 <= value <= 2.3 for value in ticks(0.38, 2.3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["index.html", "board.html"])
def test_a_browser_shows_it_without_complaint(reported: Path, tmp_path: Path, name: str) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    address = (reported / "data/report" / name).as_uri()
    picture = tmp_path / "page.png"
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0", "--hide-scrollbars",
        "--window-size=1280,3000", f"--screenshot={picture}", address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert picture.stat().st_size > 50_000, done.stderr
    assert "CONSOLE" not in done.stderr
