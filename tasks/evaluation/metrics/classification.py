"""Honest scores of answers that are a class, a set of classes, a step on a scale or a number."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.metrics.bootstrap import Array, MetricSums, codes, detected, joined, ratio
from tasks.evaluation.metrics.choices import letters
from tasks.evaluation.metrics.predictions import Predictions, listed
from tasks.evaluation.metrics.text_normalisation import class_name, label_set, normalise_text, number, same
from tasks.evaluation.metrics.values import ALTERNATIVES

MAX_CLASSES = 1000
"""Beyond this the answers are free text: no macro-F1, no confusion."""
SCALES = (
    ("no damage", "minor damage", "major damage", "destroyed"),
    ("none", "one", "two", "many"),
    ("low", "medium", "high"),
    ("none", "low", "medium", "high"),
)
"""Ordered answers: the damage levels and counts of xBD's questions, and steps of size or risk."""
RANGES = (0, 10, 100, 1000)
"""Upper ends of RSVQA's ranges of counts (Lobry et al., IEEE TGRS 2020): 0, 1-10, 11-100, 101-1000, more."""
CHOICE = "choice"
"""`answer_type` of a question among lettered options."""
TOLERANCE = 0.05
"""Relative error that relaxed accuracy allows a number (ChartQA, Masry et al., ACL 2022)."""


def separator(truths: Sequence[str]) -> str:
    """How lists of classes are separated in this file: by semicolons if any truth has one, else by commas."""
    return ";" if any(";" in truth for truth in truths) else ","


def classification(predictions: Predictions) -> dict[str, MetricSums]:
    """Classes, or sets of them if any truth is a list."""
    truths = predictions.frame[predictions.truth].fill_null("").unique().to_list()
    mark = predictions.mark or separator(truths)
    if any(len(label_set(truth, mark)) > 1 for truth in truths):
        return {"": multi_label(predictions, mark)}
    single = single_label(predictions)
    if {normalise_text(truth) for truth in truths} - {""} == {"yes", "no"}:
        return {"": joined(answers(predictions), single)}
    return {"": single}


def single_label(predictions: Predictions) -> MetricSums:
    """Exact accuracy, the mean of the classes' recall, and macro-F1 over the classes that occur in the truth."""
    index, pairs = _pairs(predictions)
    labels = [(class_name(answer), class_name(truth)) for answer, truth in pairs]
    classes = sorted({truth for _, truth in labels})
    correct = np.array([bool(truth) and answer == truth for answer, truth in labels], dtype=float)
    if len(classes) > MAX_CLASSES:
        return MetricSums.of(np.column_stack([correct, np.ones(len(labels))]), index, _accuracy)
    place = {name: number for number, name in enumerate(classes)}
    answered, expected = np.zeros((2, len(labels), len(classes)))
    for row, (answer, truth) in enumerate(labels):
        expected[row, place[truth]] = 1
        if answer in place:
            answered[row, place[answer]] = 1
    hit = answered * expected * correct[:, None]

    def metrics(sums: Array) -> dict[str, Array]:
        hits, predicted, actual = np.moveaxis(sums[..., 2:].reshape(*sums.shape[:-1], 3, len(classes)), -2, 0)
        return {
            **_accuracy(sums[..., :2]),
            "balanced_accuracy": _mean_where(ratio(hits, actual), actual > 0),
            "macro_f1": _mean_where(ratio(2 * hits, predicted + actual), actual > 0),
        }

    return MetricSums.of(np.column_stack([correct, np.ones(len(labels)), hit, answered, expected]), index, metrics)


def multi_label(predictions: Predictions, mark: str) -> MetricSums:
    """Whole sets, micro- and macro-F1, and mAP over the classes that occur in the truth.

    Answers carry no confidences, so that a class's precision-recall curve is one point, and its average precision
    is precision times recall: nothing is granted for images that the answer does not name.
    """
    index, pairs = _pairs(predictions)
    label_sets = [(label_set(answer, mark), label_set(truth, mark)) for answer, truth in pairs]
    classes = sorted(frozenset().union(*(truth for _, truth in label_sets)))
    place = {name: number for number, name in enumerate(classes)}
    answered, expected = np.zeros((2, len(label_sets), len(classes)))
    for row, (answer, truth) in enumerate(label_sets):
        expected[row, [place[name] for name in truth]] = 1
        answered[row, [place[name] for name in answer if name in place]] = 1
    unknown_labels = np.array([sum(name not in place for name in answer) for answer, _ in label_sets], dtype=float)
    correct = np.array([bool(truth) and answer == truth for answer, truth in label_sets], dtype=float)

    def metrics(sums: Array) -> dict[str, Array]:
        hits, predicted, actual = np.moveaxis(sums[..., 3:].reshape(*sums.shape[:-1], 3, len(classes)), -2, 0)
        return {
            **_accuracy(sums[..., :2]),
            "micro_f1": ratio(2 * hits.sum(-1), predicted.sum(-1) + actual.sum(-1) + sums[..., 2]),
            "macro_f1": _mean_where(ratio(2 * hits, predicted + actual), actual > 0),
            "map": _mean_where(ratio(hits, predicted) * ratio(hits, actual) / 100, actual > 0),
        }

    columns = [correct, np.ones(len(label_sets)), unknown_labels, answered * expected, answered, expected]
    return MetricSums.of(np.column_stack(columns), index, metrics)


def vqa(predictions: Predictions) -> dict[str, MetricSums]:
    """Exact accuracy of all questions and of each type, and what the type's truths admit besides."""
    groups = {"": exact(predictions)}
    column = predictions.type_column()
    if column is None:
        return {"": answers(predictions)}
    for name, where in predictions.rows_of(column).items():
        groups[f"by_type/{name or 'untyped'}"] = answers(predictions.rows(where)).at_rows(where)
    return groups


def exact(predictions: Predictions) -> MetricSums:
    """Exact accuracy: as texts, as numbers, as sets where the truth is a list."""
    index, pairs = _pairs(predictions)
    mark = predictions.mark or ","
    correct = [bool(truth.strip()) and same(answer, truth, mark) for answer, truth in pairs]
    return MetricSums.of(np.column_stack([np.array(correct, float), np.ones(len(pairs))]), index, _accuracy)


def correct(predictions: Predictions) -> NDArray[np.bool_]:
    """Which answers are right by `exact`, (rows,)."""
    sums = exact(predictions)
    return np.asarray(sums.distinct[sums.index, 0] > 0)


def answers(predictions: Predictions) -> MetricSums:
    """Exact accuracy, and for numbers, yes or no, and ordered scales what they admit besides."""
    index, pairs = _pairs(predictions)
    truths = {normalise_text(truth) for _, truth in pairs} - {""}
    if truths and all(number(truth) is not None for truth in truths):
        return _numbers(index, pairs)
    if truths and truths <= {"yes", "no"}:
        return _yes_or_no(index, pairs)
    levels = set(map(class_name, truths))
    scale = next((scale for scale in SCALES if len(levels) > 1 and levels <= set(map(class_name, scale))), None)
    return exact(predictions) if scale is None else _ordinal(index, pairs, scale)


def _numbers(index: Any, pairs: list[tuple[str, str]]) -> MetricSums:
    rows = []
    for answer, truth in pairs:
        said, true = number(answer), number(truth)
        if said is None or true is None:
            rows.append([0.0, 0.0, 0.0, 1.0])
        else:
            near, alike = abs(said - true) <= TOLERANCE * abs(true), _range(said) == _range(true)
            rows.append([float(said == true), float(near), float(alike), 1.0])

    def metrics(sums: Array) -> dict[str, Array]:
        names = ("accuracy", "relaxed_accuracy", "range_accuracy")
        return {name: ratio(sums[..., column], sums[..., 3]) for column, name in enumerate(names)}

    return MetricSums.of(np.array(rows), index, metrics)


def _range(value: float) -> tuple[bool, int]:
    return value < 0, bisect_left(RANGES, abs(value))


def _yes_or_no(index: Any, pairs: list[tuple[str, str]]) -> MetricSums:
    rows = []
    for answer, truth in pairs:
        said, true = normalise_text(answer), normalise_text(truth)
        yes = said == true == "yes"
        rows.append([float(said == true != ""), 1.0, float(yes), float(said == "yes"), float(true == "yes")])

    def metrics(sums: Array) -> dict[str, Array]:
        return {**_accuracy(sums[..., :2]), **detected(sums[..., 2], sums[..., 3], sums[..., 4])}

    return MetricSums.of(np.array(rows), index, metrics)


def _ordinal(index: Any, pairs: list[tuple[str, str]], scale: Sequence[str]) -> MetricSums:
    """Steps on a scale; an answer that is no step is as wrong as the scale is long."""
    steps = {class_name(step): place for place, step in enumerate(scale)}
    rows = []
    for answer, truth in pairs:
        true = steps.get(class_name(truth))
        said = steps.get(class_name(answer))
        off = abs(said - true) if said is not None and true is not None else len(scale) - 1
        rows.append([float(off == 0), 1.0, float(off <= 1 and said is not None), 1 - off / (len(scale) - 1)])

    def metrics(sums: Array) -> dict[str, Array]:
        near = {"within_one": ratio(sums[..., 2], sums[..., 1]), "closeness": ratio(sums[..., 3], sums[..., 1])}
        return {**_accuracy(sums[..., :2]), **near}

    return MetricSums.of(np.array(rows), index, metrics)


def confusion(predictions: Predictions) -> dict[str, dict[str, int]]:
    """How often each true class was answered by each class; answers that are no class together as `(other)`."""
    index, pairs = _pairs(predictions)
    counts = np.bincount(index, minlength=len(pairs))
    shown = {class_name(truth): normalise_text(truth) for _, truth in reversed(pairs)}
    counted: dict[str, dict[str, int]] = {}
    if len(shown) > MAX_CLASSES:
        return counted
    for (answer, truth), count in zip(pairs, counts.tolist(), strict=True):
        row = counted.setdefault(shown[class_name(truth)], {})
        name = shown.get(class_name(answer), "(other)")
        row[name] = row.get(name, 0) + count
    return {truth: dict(sorted(row.items())) for truth, row in sorted(counted.items())}


def _pairs(predictions: Predictions) -> tuple[Any, list[tuple[str, str]]]:
    """Which distinct (answer, truth) each row is, and those pairs; choices as their letters."""
    frame = predictions.frame
    lettered = {"answer_type", "options"} <= set(frame.columns) and (frame["answer_type"] == CHOICE).any()
    several = [ALTERNATIVES] if ALTERNATIVES in frame.columns else []
    frame = frame.select("answer", predictions.truth, *(["answer_type", "options"] if lettered else []), *several)
    index, first = codes(frame)
    rows = frame[first].fill_null("")
    pairs = list(zip(rows["answer"], rows[predictions.truth], strict=True))
    if several:
        pairs = [
            (answer, _right(answer, truth, text))
            for (answer, truth), text in zip(pairs, rows[ALTERNATIVES], strict=True)
        ]
    if lettered:
        choices = zip(pairs, rows["answer_type"], rows["options"], strict=True)
        pairs = [_chosen(*pair, listed(options)) if kind == CHOICE else pair for pair, kind, options in choices]
    return index, pairs


def _right(answer: str, truth: str, alternatives: str) -> str:
    """The truth that an answer is, of several that are right; the first if it is none."""
    return next((one for one in listed(alternatives) if same(answer, one)), truth)


def _chosen(answer: str, truth: str, options: Sequence[str]) -> tuple[str, str]:
    right = letters(truth, options)
    return ", ".join(sorted(letters(answer, options))), ", ".join(sorted(right)) if right else truth


def _accuracy(sums: Array) -> dict[str, Array]:
    return {"accuracy": ratio(sums[..., 0], sums[..., 1])}


def _mean_where(values: Array, where: Any) -> Array:
    """Mean over the last axis of the values that count; 0 if none does."""
    total = np.where(where, values, 0).sum(-1)
    counted = where.sum(-1)
    return np.asarray(np.divide(total, counted, out=np.zeros_like(total, dtype=np.float64), where=counted > 0))
