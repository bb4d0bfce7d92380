"""A row of the board, and what the rows say together: the facts on top and the paragraph under them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tasks.evaluation.datasets.registry import HELD_OUT
from tasks.evaluation.names import HEADLINES
from tasks.pages.examples import Example
from tasks.pages.leak_marks import Leak
from tasks.pages.report_text import count
from tasks.pages.scored_runs import CONTROL_TITLES, TITLES, Scored

BESIDE = ("controls", "input", "ci95", "confusion", "as_published", "calibration", "by_confidence", "extracted")
"""Parts of the scores that are no group of questions."""


@dataclass(frozen=True)
class Row:
    """One model on one benchmark, as the table shows it."""

    scored: Scored
    leak: Leak
    score_bar: Markup
    examples: list[Example]

    @property
    def best_control(self) -> tuple[str, float] | None:
        """The control that is hardest to beat."""
        over = self.scored.over_best
        return None if over is None else (over["control"], over["score"])

    @property
    def groups(self) -> list[Mapping[str, Any]]:
        """Scores of the groups of questions, by type or size."""
        return list(_groups(self.scored.honest))


def _groups(honest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name, value in honest.items():
        if name in BESIDE or not isinstance(value, dict):
            continue
        groups = {name: value} if "n" in value else value
        for title, scores in groups.items():
            metric = next((one for one in HEADLINES if one in scores), None)
            if metric is not None:
                interval = scores.get("ci95", {}).get(metric)
                yield {"name": title.replace("_", " "), "n": scores["n"], "metric": TITLES[metric],
                       "value": scores[metric], "interval": interval}  # fmt: skip


def facts(rows: Sequence[Row]) -> list[Mapping[str, str]]:
    """The numbers a reader takes away."""
    above = sum(row.scored.against_controls == "better" for row in rows)
    with_controls = sum(row.scored.against_controls != "alone" for row in rows)
    alarms = sum(bool(row.scored.answers["constant_answer_alarm"]) for row in rows)
    states = [row.leak.state for row in rows]
    checked = len(rows) - states.count("unchecked") - states.count("unknown")
    answers = sum(row.scored.n for row in rows)
    models = len({row.scored.run.model for row in rows})
    benchmarks = len({row.scored.run.benchmark for row in rows})
    shown = [
        (count(models), _noun(models, "model"), f"on {benchmarks} {_noun(benchmarks, 'benchmark')}"),
        (count(answers), "answers scored", "each one kept, with its question"),
        (f"{above} of {with_controls}", "beat their best control", "by the 95 % interval of the difference"),
        (count(alarms), _noun(alarms, "constant-answer alarm"), "the model hardly looks"),
        (f"{states.count('leaky')} of {checked}", "scores leaky", f"{len(rows) - checked} could not be checked"),
    ]
    return [{"value": value, "name": name, "note": note} for value, name, note in shown]


def _noun(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


def verdict(rows: Sequence[Row]) -> str:
    """What the table says, in one paragraph."""
    sentences = []
    weak = [row for row in rows if row.scored.against_controls in ("level", "worse")]
    if weak:
        worst = min(weak, key=lambda row: row.scored.value - (row.best_control or ("", 0.0))[1])
        name, bar = worst.best_control or ("", 0.0)
        which = f"{worst.scored.run.model} on {worst.scored.run.title}"
        figures = f"{worst.scored.value:.1f} against {bar:.1f} for {CONTROL_TITLES[name]}"
        sentences.append(
            f"The score cannot be told from what needs no look at the image: {figures}."
            if len(rows) == 1
            else f"{len(weak)} of {len(rows)} scores cannot be told from what needs no look at the image; the furthest "
            f"behind is {which}, {figures}."
        )
    else:
        sentences.append("Every score lies surely above the best of its controls.")
    own = [row for row in rows if row.scored.legacy_metric == "accuracy"]
    # The demo's types of question are none that EarthDial's scorer could know.
    partial = [row for row in own if row.scored.legacy_n < row.scored.n and row.scored.run.benchmark != HELD_OUT.name]
    if partial:
        least = min(partial, key=lambda row: row.scored.legacy_n / row.scored.n)
        sentences.append(
            f"EarthDial\u2019s own scorer leaves out {count(least.scored.n - least.scored.legacy_n)} of the "
            f"{count(least.scored.n)} questions of {least.scored.run.title}, and gives {_own(least):.1f} for the rest "
            f"where {least.scored.value:.1f} of all are right."
        )
    cheated = [row for row in own if row.scored.legacy["controls"].get("every_class", {}).get("accuracy", 0) > 99]
    if cheated:
        where = "" if len(rows) == 1 else f" on {len(cheated)} of these files"
        sentences.append(
            f"To naming every class at once EarthDial\u2019s own scorer gives more than 99{where}; the scores here "
            "give it what it is worth."
        )
    return " ".join(sentences)


def _own(row: Row) -> float:
    return float(row.scored.legacy["accuracy"])
