"""The board as a page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from tasks.evaluation.datasets import registry
from tasks.evaluation.metrics.best_control import CONSTANTS
from tasks.evaluation.metrics.guesses import SCORED
from tasks.pages import score_bars
from tasks.pages.best_model import beside_best
from tasks.pages.board_text import Row, facts, verdict
from tasks.pages.comparison import compare_models
from tasks.pages.examples import Example, choose, examples
from tasks.pages.leak_marks import LEAKAGE, leak
from tasks.pages.runs import RUNS, ModelRun, find
from tasks.pages.scored_runs import CACHE, CONTROL_TITLES, LEGACY_TITLES, TITLES, Scored, scored
from tasks.pages.svg import key_mark
from tasks.pages.templates import environment
from tasks.pages.thumbnails import IMPORTED, thumbnails

HERE = Path(__file__).parent
STYLE = HERE / "style.css"
"""The report's: one look for both."""
EXAMPLES = 4
"""Right answers shown of each run, and as many wrong ones."""
FLIPS = 8
"""Gains shown of each benchmark of a comparison, and as many losses."""
TASKS = {
    "classification": "scene classification",
    "vqa": "questions about an image",
    "detection": "referred objects",
    "grounding": "grounded descriptions",
    "captioning": "captions",
    "region_captioning": "captions of a region",
    "change": "change and disaster",
}
MODALITIES = {
    "rgb": "True colour",
    "rgb-nir": "True colour and near infrared",
    "multispectral": "Multispectral",
    "sar": "Radar",
    "thermal": "Thermal infrared",
    "hyperspectral": "Hyperspectral",
    "rgb-temporal": "True colour over time",
    "sar-temporal": "Radar over time",
}


@dataclass(frozen=True)
class Group:
    """Benchmarks of one modality and task."""

    title: str
    rows: list[Row]


@dataclass(frozen=True)
class BoardInputs:
    """Where the board's inputs lie."""

    runs: Path | None = RUNS
    """None for the demo's own questions alone."""
    leakage: Path | None = LEAKAGE
    """None to read no result of `earthloom leakage`."""
    imported: Path = IMPORTED
    demo: Path | None = None
    """Folder of the runs that stage `evaluate` leaves, one a model; None for where it does."""
    cache: Path = CACHE
    """Of scores."""


def page(places: BoardInputs | None = None, against: tuple[str, str] | None = None, back: str | None = None) -> str:
    """The board as a page with nothing outside it; the same inputs give the same bytes.

    Args:
        places: where its inputs lie.
        against: two models, the second of which is compared with the first.
        back: address of the page that leads here, if there is one.

    Raises:
        EarthloomError: there is nothing to show, or a run cannot be scored; says which.
    """
    filters = {
        "score": lambda value: f"{value:.1f}",
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "code": lambda text: Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text)))),
    }
    values = {**context(places or BoardInputs(), against), "back": back}
    return environment(HERE, **filters).get_template("board_page.html.j2").render(values)


def context(places: BoardInputs, against: tuple[str, str] | None) -> dict[str, Any]:
    """Everything the templates show."""
    found = [scored(run, places.cache) for run in find(places.runs, places.demo)]
    compared = compare_models(found, *against, FLIPS) if against else []
    rows = [_row(one, places) for one in found]
    for one in compared:
        _illustrate(one.second.run, [*one.gained, *one.lost], places)
    return {
        "style": Markup(STYLE.read_text() + (HERE / "board.css").read_text()),
        "groups": _grouped(rows),
        "rows": rows,
        "beside_best": beside_best(found),
        "facts": facts(rows),
        "verdict": verdict(rows),
        "scale": score_bars.scale(),
        "titles": TITLES,
        "legacy_titles": LEGACY_TITLES,
        "control_titles": CONTROL_TITLES,
        "drawn": _drawn(found),
        "control_key": [
            (key_mark(control), control.title) for name, control in SCORED.items() if name in _drawn(found)
        ],
        "constants_drawn": any(name in CONSTANTS for name in _drawn(found)),
        "against": against,
        "compared": compared,
        "published": _published(),
        "datasets": len({registry.get(name).dataset for name in {f.benchmark for f in registry.figures()}}),
    }


def _row(one: Scored, places: BoardInputs) -> Row:
    picked = examples(one, choose(one, EXAMPLES))
    _illustrate(one.run, picked, places)
    return Row(one, leak(one.run, places.leakage), score_bars.score_bar(one), picked)


def _drawn(rows: Sequence[Scored]) -> set[str]:
    """Marks that some bar has: what the key has to explain."""
    found = {name for row in rows for name in row.controls}
    found |= {"legacy" for row in rows if row.legacy_metric is not None}
    return found | {"published" for row in rows if row.published is not None}


def _illustrate(run: ModelRun, picked: Sequence[Example], places: BoardInputs) -> None:
    pictures = thumbnails(run, [example.key for example in picked], places.imported)
    for example in picked:
        example.pictures.extend(pictures.get(example.key, []))


def _grouped(rows: Sequence[Row]) -> list[Group]:
    groups: dict[tuple[int, int, str], list[Row]] = {}
    modalities, tasks_ = list(MODALITIES), list(TASKS)
    for row in rows:
        run = row.scored.run
        if run.modality in MODALITIES:
            title = f"{MODALITIES[run.modality]}: {TASKS[run.task]}"
            key = modalities.index(run.modality), tasks_.index(run.task), title
        else:
            key = -1, -1, run.title
        groups.setdefault(key, []).append(row)
    return [Group(key[2], groups[key]) for key in sorted(groups)]


def _published() -> list[tuple[registry.Benchmark, tuple[registry.Figure, ...]]]:
    found = [(row, registry.published(name)) for name, row in registry.benchmarks().items()]
    return [(row, figures) for row, figures in found if figures]
