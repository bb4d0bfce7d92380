"""Answers to look at: some that were right, some that were wrong, the same ones every time."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.dialogue import boxes
from tasks.dialogue.conversations import IMAGE
from tasks.earth.grid import stable_hash
from tasks.evaluation.metrics.answer_variety import shown
from tasks.pages.scored_runs import Scored
from tasks.vlm.controls import CONTROLS

TAG = re.compile(r"\[[A-Za-z][\w.]*\]|</?(?:ref|box|p)>")
WRONG, RIGHT = 1e-9, 100 - 1e-9


@dataclass(frozen=True)
class Outline:
    """A box over an image: corners as an SVG path in fractions."""

    css: str
    path: str


@dataclass(frozen=True)
class Example:
    """One question with its truth and what was answered."""

    key: str
    question: str
    truth: str
    answer: str
    score: float
    """The headline metric of this answer alone, 0 to 100."""
    kind: str
    """Type of the question, if it has one."""
    controls: tuple[tuple[str, str], ...] = ()
    """(how, answer) of the same model in each control that the run has."""
    other: str | None = None
    """What the other model of a comparison says."""
    outlines: tuple[Outline, ...] = ()
    pictures: list[str] = field(default_factory=list)

    @property
    def mood(self) -> str:
        """right, wrong or partly."""
        return "right" if self.score >= RIGHT else "wrong" if self.score <= WRONG else "partly"


def choose(row: Scored, count: int) -> list[int]:
    """Rows of the `count` best and the `count` worst answers; among equals images and types of question take turns."""
    scored = np.flatnonzero(~np.isnan(row.row_scores))
    best = [number for number in dealt(row, scored, -row.row_scores[scored])[:count] if row.row_scores[number] > WRONG]
    rest = scored[~np.isin(scored, best)]
    worst = [number for number in dealt(row, rest, row.row_scores[rest])[:count] if row.row_scores[number] < RIGHT]
    return [*best, *worst]


def dealt(row: Scored, rows: NDArray[np.int64], sort_keys: NDArray[np.float64]) -> list[int]:
    """Rows by `order`, (rows,), the least first; equals are dealt so that images and then types of question take turns.

    Which of the same image and type comes first is decided by a hash of its name: not by hand, and the same every time.
    """
    kinds, keys, groups = types(row), names(row), row.predictions.groups()
    ranked = sorted(
        zip(np.round(sort_keys, 6).tolist(), rows.tolist(), strict=True),
        key=lambda pair: (pair[0], stable_hash(f"example/{keys[pair[1]]}")),
    )
    of_kind, of_image = Counter[tuple[float, str]](), Counter[tuple[float, int]]()
    turns: list[tuple[float, int, int, int]] = []
    for value, number in ranked:
        image = number if groups is None else int(groups[number])
        turns.append((value, of_image[value, image], of_kind[value, kinds[number]], number))
        of_image[value, image] += 1
        of_kind[value, kinds[number]] += 1
    return [number for *_, number in sorted(turns, key=lambda turn: turn[:3])]


def types(row: Scored) -> list[str]:
    """Type of each row's question, empty if there is none."""
    column = row.predictions.type_column()
    return row.predictions.texts(column) if column else [""] * len(row.predictions)


def names(row: Scored) -> list[str]:
    """The key of each row, or its number in the file."""
    keys = row.predictions.keys()
    return keys.to_list() if keys is not None else [f"row {number + 1}" for number in range(len(row.predictions))]


def examples(row: Scored, rows: Sequence[int], other: Scored | None = None) -> list[Example]:
    """The rows as examples; `other` is another model's run in the same order."""
    columns = row.predictions.frame.columns
    kinds, keys = types(row), names(row)
    picked = row.predictions.rows(np.array(rows, dtype=np.int64))
    references = picked.references()
    questions = picked.texts("question") if "question" in columns else [""] * len(rows)
    controls = {
        control.short: picked.frame[column].to_list()
        for control in CONTROLS.values()
        if (column := next((column for column in control.columns if column in columns), None))
    }
    others: list[str | None] = [None] * len(rows)
    if other is not None:
        others = list(other.predictions.rows(np.array(rows, dtype=np.int64)).texts("answer"))
    out = []
    for place, number in enumerate(rows):
        truths = [text for text in references[place] if text.strip()]
        answer = picked.texts("answer")[place]
        out.append(
            Example(
                key=keys[number],
                question=shown(bare(questions[place])),
                truth=shown(truths[0]) if truths else "",
                answer=shown(answer),
                score=float(row.row_scores[number]),
                kind=kinds[number],
                controls=tuple((how, shown(said[place])) for how, said in controls.items() if said[place] is not None),
                other=None if others[place] is None else shown(str(others[place])),
                outlines=_outlines(row, truths, answer),
            )
        )
    return out


def bare(question: str) -> str:
    """A question as people read it: no tags, no `<image>`, no escaped line ends."""
    return " ".join(TAG.sub(" ", question.replace(IMAGE, " ").replace("\\n", " ")).split())


def _outlines(row: Scored, truths: Sequence[str], answer: str) -> tuple[Outline, ...]:
    """True and answered boxes of a task that asks for them."""
    if row.metric != "f1@0.5":
        return ()
    both: list[tuple[str, str]] = [("true", truths[0] if truths else ""), ("said", answer)]
    found = [(css, boxes.find(text, row.run.form).boxes) for css, text in both]
    return tuple(Outline(css, _path(boxes.corners(some, 1, 1))) for css, some in found if len(some))


def _path(corners: Any) -> str:
    return "".join(f"M{'L'.join(f'{x:.4f} {y:.4f}' for x, y in ring)}Z" for ring in corners.tolist())
