"""EarthDial's published answers scored: `python -m benchmarks.published_scores FOLDER`.

FOLDER has a folder for each task with its files in it, as EarthDial's repository ships its results. Prints, as
Markdown: our legacy protocol beside the rerun of EarthDial's own scorer and its paper, all rows; the honest protocol
with 95 % intervals for the same files; and what one constant answer earns, with the alarm. Files without known
figures are scored too. Ends with 1 if a legacy score is not the rerun's.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import polars as pl

from benchmarks.published_figures import PUBLISHED, UHI, UHI_ROWS, WITHOUT_FILES, Figures, Published, tolerance
from tasks.evaluation.metrics.answer_variety import answer_variety, shown
from tasks.evaluation.metrics.controls import constants
from tasks.evaluation.metrics.predictions import Predictions, read
from tasks.evaluation.metrics.score import Scores, ScoringSettings, metric_sums, score
from tasks.evaluation.names import Task

LEGACY, HONEST = ScoringSettings("legacy"), ScoringSettings("honest")
BESIDE = {"controls", "input", "ci95", "confusion", "as_published", "calibration", "by_confidence", "excluded",
          "extracted"}  # fmt: skip
"""Entries of the scores that are no groups of questions."""
NONE = "-"
HEADLINE = ("accuracy", "rouge1", "precision@0.25", "rougeL", "f1@0.25")
"""The metric that a constant answer is shown by, where no published figure tells: the first that the scores have."""


@dataclass(frozen=True)
class Scored:
    """One file under both protocols."""

    name: str
    predictions: Predictions
    legacy: Scores
    honest: Scores

    @property
    def known(self) -> Published:
        """Its published figures; none of them if nothing is known."""
        return next((known for known in PUBLISHED if known.name == self.name), Published(self.name, 0, {}))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bootstrap", type=int, default=HONEST.draws, help="resamplings behind each interval")
    told = parser.parse_args(arguments)
    files = [file for task in get_args(Task) for file in sorted((told.folder / task).glob("*.json*"))]
    if not files:
        parser.error(f"{told.folder} has no folder of a task ({', '.join(get_args(Task))}) with JSON files in it")
    scored = [_scored(file, told.bootstrap) for file in files]
    if UHI not in [one.name for one in scored]:
        scored.append(_retyped(told.bootstrap))
    rows = [row for one in scored for row in legacy_rows(one)]
    off = sum(row[-1] == "**no**" for row in rows)
    print("## Legacy: EarthDial's own definitions\n")
    print(table(("file", "group", "n", "metric", "rerun", "ours", "difference", "paper", "equal"), rows))
    print(f"\nNo files at hand for these rows of the rerun: {WITHOUT_FILES}.")
    print("\n## Honest: the same files\n")
    print(f"In brackets the 95 % interval of {told.bootstrap} bootstrap resamples.\n")
    print("\n\n".join(honest_tables(scored)))
    print("\nHonest figures that the rerun states too:\n")
    print(table(("file", "group", "metric", "rerun", "ours", "difference"), map_rows(scored, stated_rows)))
    print("\n## One answer to every question, and the alarm\n")
    header = ("file", "every answer", "metric", "legacy", "of the file", "honest", "of the file", "alarm")
    print(table(header, map_rows(scored, constant_rows)))
    return int(off > 0)


def map_rows(scored: Iterable[Scored], rows: Callable[[Scored], Iterable[list[str]]]) -> list[list[str]]:
    return [row for one in scored for row in rows(one)]


def _scored(file: Path, draws: int) -> Scored:
    predictions = read(file, file.parent.name)
    honest = ScoringSettings("honest", draws=draws)
    return Scored(
        f"{file.parent.name}/{file.stem}", predictions, score(predictions, LEGACY), score(predictions, honest)
    )


def _retyped(draws: int) -> Scored:
    """The published answers about heat islands, which this project holds as figures."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{UHI}.json"
        file.parent.mkdir()
        file.write_text(json.dumps(UHI_ROWS))
        return _scored(file, draws)


def groups(scores: Scores, prefix: str = "") -> Iterator[tuple[str, Scores]]:
    """The nested groups of a table of scores, by path; the whole is ""."""
    yield prefix, {name: value for name, value in scores.items() if isinstance(value, float)}
    for name, value in scores.items():
        if isinstance(value, dict) and name not in BESIDE:
            yield from groups(value, f"{prefix}/{name}" if prefix else name)


def at(scores: Scores, group: str) -> Scores:
    """The scores of a group by its path."""
    for step in group.split("/") if group else []:
        scores = scores[step]
    return scores


def legacy_rows(one: Scored) -> Iterator[list[str]]:
    for group, metrics in groups(one.legacy):
        n = at(one.legacy, group).get("n", "")
        for metric, ours in metrics.items():
            rerun, difference, equal = beside(one.known.rerun, group, metric, ours)
            paper = one.known.paper.get(group, {}).get(metric, NONE)
            yield [one.name, group or "all", str(n), metric, rerun, f"{ours:.2f}", difference, paper, equal]


def beside(figures: Figures, group: str, metric: str, ours: float) -> tuple[str, str, str]:
    """A printed figure, how far ours is from it, and whether they are equal to its digits."""
    printed = figures.get(group, {}).get(metric)
    if printed is None:
        return NONE, NONE, NONE
    off = ours - float(printed)
    return printed, f"{off:+.2f}".replace("-0.00", "+0.00"), "yes" if abs(off) <= tolerance(printed) else "**no**"


def stated_rows(one: Scored) -> Iterator[list[str]]:
    for group, metrics in one.known.honest.items():
        for metric in metrics:
            ours = at(one.honest, group)[metric]
            rerun, difference, _ = beside(one.known.honest, group, metric, ours)
            yield [one.name, group or "all", metric, rerun, f"{ours:.2f}", difference]


def honest_tables(scored: Iterable[Scored]) -> Iterator[str]:
    """A table for each set of metrics that occurs; metrics of boxes apart by their threshold."""
    found: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for one in scored:
        for group, metrics in groups(one.honest):
            told = at(one.honest, group)
            for names in by_threshold(metrics):
                cells = [interval(told[name], told.get("ci95", {}).get(name)) for name in names]
                found[names].append([one.name, group or "all", str(told["n"]), *cells])
    for names, rows in found.items():
        yield table(("file", "group", "n", *names), rows)


def by_threshold(metrics: Iterable[str]) -> Iterator[tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in metrics:
        found[name.partition("@")[2]].append(name)
    yield from map(tuple, found.values())


def interval(value: float, edges: list[float] | None) -> str:
    return f"{value:.2f} ({edges[0]:.1f} to {edges[1]:.1f})" if edges else f"{value:.2f}"


def constant_rows(one: Scored) -> Iterator[list[str]]:
    """The file with its commonest answer to every question, and with each constant that it admits."""
    alarm = yes(answer_variety(one.predictions)["constant_answer_alarm"])
    yield [one.name, "its own answers", *[""] * 5, alarm]
    answers = one.predictions.frame["answer"]
    offered = {"commonest answer": answers.mode().sort()[0], **constants(one.predictions, HONEST.form)}
    kinds = {answer: kind for kind, answer in reversed(offered.items())}
    for answer, kind in sorted(kinds.items(), key=lambda told: list(offered).index(told[1])):
        constant = one.predictions.answered(pl.repeat(answer, len(answers), dtype=pl.String, eager=True))
        metrics, figures = [], []
        for settings, mine in ((LEGACY, one.legacy), (HONEST, one.honest)):
            scores = metric_sums(constant, settings)[""].scores()
            metric = next(name for name in (*one.known.rerun.get("", {}), *HEADLINE) if name in scores)
            metrics.append(metric)
            figures += [f"{scores[metric]:.2f}", f"{mine[metric]:.2f}"]
        alarm = yes(answer_variety(constant)["constant_answer_alarm"])
        metric = " / ".join(dict.fromkeys(metrics))
        yield [one.name, f"{kind}: `{shown(answer)[:48]}`", metric, *figures, alarm]


def yes(told: bool) -> str:
    return "**fires**" if told else "silent"


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table of Markdown."""
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
