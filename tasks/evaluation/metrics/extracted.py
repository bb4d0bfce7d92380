"""The second figure: the same answers after a fixed extraction, beside the strict one and never in its place.

A model that was not taught to answer in a word says "The answer is yes." The strict figure calls that wrong; this one
says how often the right thing was meant. The rule is that of `extraction`, by the kind of answer that is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from tasks.evaluation.datasets.samples import AnswerType
from tasks.evaluation.metrics.bootstrap import codes
from tasks.evaluation.metrics.classification import CHOICE, MAX_CLASSES, separator
from tasks.evaluation.metrics.extraction import extract
from tasks.evaluation.metrics.predictions import Predictions, listed
from tasks.evaluation.metrics.text_normalisation import class_name, label_set, normalise_text, number

TASKS = ("classification", "vqa")
"""Tasks whose answers are compared as they stand; captions and boxes are found in any sentence."""
RULE = "after extraction: thoughts removed, then the one yes or no, number, letter or class that the answer names"
LETTER = frozenset("ABCDEFGHIJ")
Options = tuple[str, ...]
KINDS = frozenset(get_args(AnswerType))
"""What `answer_type` may be; others, such as VQA's "other", say nothing here."""


@dataclass(frozen=True)
class Extracted:
    """Answers after extraction."""

    predictions: Predictions
    none: int
    """Answers in which nothing, or more than one thing, was found."""


def extracted(predictions: Predictions) -> Extracted:
    """The same questions with what each answer names; empty where that is nothing, or not one thing."""
    frame, column = predictions.frame, predictions.type_column()
    wanted = [name for name in ("answer_type", "options", column) if name is not None and name in frame.columns]
    index, first = codes(frame.select("answer", predictions.truth, *wanted))
    rows = frame[first].fill_null("")
    truths = predictions.frame.select(predictions.truth, *([column] if column else [])).fill_null("").unique()
    classes: dict[str, set[str]] = {}
    for truth, *kinds in truths.iter_rows():
        classes.setdefault(kinds[0] if kinds else "", set()).add(truth)
    mark = predictions.mark or separator(truths[predictions.truth].to_list())
    several = predictions.task == "classification" and any(
        len(label_set(truth, mark)) > 1 for truths_ in classes.values() for truth in truths_
    )
    offered = {name: _options(found, mark, several) for name, found in classes.items()}
    lettered = {name: {text.strip() for text in found} - {""} <= LETTER for name, found in classes.items()}
    texts = []
    for row in rows.iter_rows(named=True):
        group = row[column] if column else ""
        noted = str(row.get("answer_type"))
        kind = noted if noted in KINDS else _kind(row[predictions.truth], several, lettered[group])
        given = listed(row.get("options") or "")
        found = extract(row["answer"], kind, given or offered[group], "earthdial")
        texts.append(_joined(found, given or offered[group], mark) if kind == "labels" else found)
    answers = np.array(texts, dtype=object)[index].tolist()
    return Extracted(predictions.answered(answers), sum(not text for text in answers))


def _options(truths: set[str], mark: str, several: bool) -> Options:
    """The classes that the truths of a file name, each once; none where they are free text."""
    names = {part.strip() for truth in truths for part in (truth.split(mark) if several else [truth])}
    spelt = {class_name(name): name for name in sorted(names, reverse=True) if name}
    words = [name for name in spelt.values() if number(name) is None and normalise_text(name) not in ("yes", "no")]
    return tuple(sorted(words)) if len(words) <= MAX_CLASSES else ()


def _kind(truth: str, several: bool, lettered: bool) -> str:
    plain = normalise_text(truth)
    if several:
        return "labels"
    if plain in ("yes", "no"):
        return "yes_no"
    if number(truth) is not None:
        return "number"
    return CHOICE if lettered else "class"


def _joined(found: str, options: Sequence[str], mark: str) -> str:
    """Labels parted as the truths are: `extract` has them in the order of the options, parted by commas."""
    if mark == ",":
        return found
    rest, names = found, []
    for option in options:
        if rest == option or rest.startswith(f"{option}, "):
            names.append(option)
            rest = rest[len(option) + 2 :]
    return f"{mark} ".join(names)
