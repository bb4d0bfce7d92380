"""Marks and scores of held-out answers, by the very functions that `earthloom score` uses."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.stage import atomic
from tasks.evaluation.metrics import classification
from tasks.evaluation.metrics.answer_variety import answer_variety
from tasks.evaluation.metrics.bootstrap import MetricSums
from tasks.evaluation.metrics.predictions import Predictions
from tasks.evaluation.metrics.text_normalisation import normalise_text
from tasks.vlm.controls import CONTROLS, ControlName

GROUPS = {"by_type": "question_type", "by_modality": "modality", "by_sensor": "sensor"}
"""Name of each kind of group in scores.json, and the column that names it."""
DIGITS = 4
Row = dict[str, Any]


class Majority:
    """Most frequent training answer to the same question, or else to questions of its type. Ties go by the
    alphabet.
    """

    def __init__(self, answers: Iterable[tuple[str, str, str]]) -> None:
        """From (question type, question, answer) of the training side."""
        counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for question_type, question, answer in answers:
            counts[question_type, question][normalise_text(answer)] += 1
            counts[question_type, ""][normalise_text(answer)] += 1
        self._best = {key: min(seen, key=lambda answer: (-seen[answer], answer)) for key, seen in counts.items()}

    def answer(self, question_type: str, question: str) -> str:
        """The answer; empty if the training side knows nothing of the type."""
        return self._best.get((question_type, question)) or self._best.get((question_type, ""), "")


class MarkedAnswers:
    """Answers to held-out questions, marked: the model's own, those of its controls, and the majority's."""

    def __init__(
        self, rows: Sequence[Row], majority: Majority, controls: Sequence[ControlName], bootstrap: int, seed: int
    ) -> None:
        """Mark every answer.

        Args:
            rows: of `tasks.evaluation.runner.predictions.rows_of`.
            majority: of the training side.
            controls: that the questions were asked again with.
            bootstrap: resamplings of the test chips behind each confidence interval.
            seed: of the resampling.
        """
        guesses = [majority.answer(row["question_type"], row["question"]) for row in rows]
        self._rows = [{**row, "majority_answer": guess} for row, guess in zip(rows, guesses, strict=True)]
        texts = [{name: value for name, value in row.items() if not isinstance(value, list)} for row in self._rows]
        frame = pl.DataFrame(texts, infer_schema_length=None)
        self.bootstrap, self.seed = bootstrap, seed
        self.predictions = Predictions(Path("predictions.parquet"), "vqa", frame, "annotation")
        self.columns = {"accuracy": ("answer", "correct")}
        """Name of each score, and the columns of its answers and of their marks."""
        for control in (CONTROLS[name] for name in controls):
            self.columns[control.key] = (control.column, control.mark_column)
        self.columns["majority"] = ("majority_answer", "majority_correct")
        self._answered = {name: self._with(answer) for name, (answer, _) in self.columns.items()}

    def _with(self, column: str) -> Predictions:
        """The same questions, answered by a column."""
        return self.predictions.answered(self.predictions.frame[column].fill_null(""))

    def rows(self) -> list[Row]:
        """The rows with the majority's answer, and for each column of answers whether they are right."""
        marks = {
            mark: classification.correct(self._answered[name]).tolist() for name, (_, mark) in self.columns.items()
        }
        return [
            {**row, **{name: marked[place] for name, marked in marks.items()}} for place, row in enumerate(self._rows)
        ]

    def not_asked(self) -> dict[str, int]:
        """Questions that a control could not be asked of, by control; they count as wrong answers of it."""
        return {name: self.predictions.frame[answer].null_count() for name, (answer, _) in self.columns.items()}

    def scores(self) -> dict[str, Any]:
        """Scores of all questions together, and by question type, modality and sensor."""
        sums = {name: classification.exact(answered) for name, answered in self._answered.items()}
        scores = {"overall": self._score(np.arange(len(self.predictions)), sums)}
        for name, column in GROUPS.items():
            scores[name] = {key: self._score(at, sums) for key, at in self.predictions.rows_of(column).items()}
        return scores

    def _score(self, where: NDArray[np.int64], sums: Mapping[str, MetricSums]) -> dict[str, Any]:
        """Accuracy beside its controls, 0 to 1, its interval over chips, and the alarm of a constant answer."""
        part = self.predictions.rows(where)
        asked = [name for name, (answer, _) in self.columns.items() if part.frame[answer].null_count() < len(part)]
        own = sums["accuracy"].rows(where)
        low, high = own.intervals(self.predictions.groups(), self.bootstrap, self.seed)["accuracy"]
        return {
            "n": len(part),
            "chips": part.frame["image_id"].n_unique(),
            **{name: _share(sums[name].rows(where).scores()["accuracy"]) for name in asked},
            "ci95": [_share(low), _share(high)],
            "constant_answer": answer_variety(part)["constant_answer_alarm"],
        }


def _share(percent: float) -> float:
    return round(percent / 100, DIGITS)


def above_controls(score: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether an accuracy is above every control beside it."""
    return all(score["accuracy"] > score[name] for name in names if name != "accuracy" and name in score)


def beside_blind(by_type: Mapping[str, Any], marks: Mapping[str, Any]) -> dict[str, Any]:
    """Scores by question type, each with what blind solvers reach there: the stage `blind` says which ones it marks.

    Args:
        by_type: question type -> its score.
        marks: as in data/blind/marks.json.

    Returns:
        The same with `blind: {solver, score, low, high, chance, sure, marked}` beside each type that was asked.
    """
    out = {}
    for name, score in by_type.items():
        found = marks["kinds"].get(name)
        blind = {}
        if found is not None:
            best = found[found["best"]]
            figures = {name: best[name] for name in ("score", "low", "high", "chance", "sure")}
            blind = {"blind": {"solver": found["best"], **figures, "marked": found["marked"]}}
        out[name] = {**score, **blind}
    return out


def write_csv(scores: Mapping[str, Any], names: Iterable[str], path: Path) -> None:
    """Scores as a flat table, one row a group: what `dvc plots` draws."""
    names = list(names)
    groups: list[tuple[str, str, Mapping[str, Any]]] = [("overall", "overall", scores["overall"])]
    for group in GROUPS:
        groups += [(group.removeprefix("by_"), name, score) for name, score in scores[group].items()]
    with atomic(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["group", "name", "n", *names, "low", "high"])
        for group, title, score in groups:
            writer.writerow([group, title, score["n"], *(score.get(name, "") for name in names), *score["ci95"]])
