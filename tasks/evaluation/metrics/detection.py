"""Honest scores of boxes: one-to-one precision, recall and F1, and average precision, rotated, by size."""

from typing import Any

import numpy as np

from tasks.core.errors import PredictionsError
from tasks.dialogue import boxes as core
from tasks.evaluation.metrics.average_precision import curve, plain
from tasks.evaluation.metrics.bootstrap import Array, MetricSums, detected
from tasks.evaluation.metrics.box_matching import BoxTable, Size, by_row, find, matched, overlaps
from tasks.evaluation.metrics.prediction_files import CONFIDENCES
from tasks.evaluation.metrics.predictions import Predictions, numbers

STRICT = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""COCO's thresholds, 0.5 to 0.95."""
THRESHOLDS = (0.25, *STRICT)
SPAN = "0.5:0.95"
FEW = 3
"""Boxes of either side under which a scale is not judged by a few small boxes."""
APART = 8.0
"""Times by which the typical reach of answers and truths differs where they are surely of different scales."""
SIZE_FIELDS = (("width", "height"), ("image_width", "image_height"), ("img_width", "img_height"))
"""Where a file tells the size of the image."""
INNERMOST_FOUR = r"\[[^\[\],]+(,[^\[\],]+){3,4}\]"
"""A bracket of four or five parts, as a box has."""


def detection(predictions: Predictions, form: str) -> dict[str, MetricSums]:
    """All boxes, by the size group of the question, and by one or several true boxes."""
    predicted, true = both(predictions, predictions.truth, form)
    sums = scored(predicted, true)
    several = true.written > 1
    groups = {"": sums, "by_count/single": sums.rows(true.written == 1), "by_count/multiple": sums.rows(several)}
    if "size_group" in predictions.frame.columns:
        sizes = predictions.rows_of("size_group").items()
        groups |= {f"by_size/{size}": sums.rows(rows) for size, rows in sizes if size}
    return {name: part for name, part in groups.items() if len(part)}


def boxes_of(predictions: Predictions) -> str:
    """The column of a grounding's true boxes: `obj_ids` if boxes stand there, as in the published files."""
    columns = predictions.frame.columns
    held = "obj_ids" in columns and predictions.frame["obj_ids"].str.contains(INNERMOST_FOUR).any()
    return "obj_ids" if held else predictions.truth


def both(predictions: Predictions, column: str, form: str) -> tuple[BoxTable, BoxTable]:
    """Predicted and true boxes.

    Raises:
        PredictionsError: a true box is none, or the file has no true box at all.
    """
    texts = predictions.texts(column)
    sizes = sizes_of(predictions)
    true = find(texts, predictions.truth_form or form, sizes)
    bare = [row for row, text in enumerate(texts) if not true.written[row] and text.strip(" []")]
    if bare or not true.written.any():
        row = bare[0] if bare else 0
        raise PredictionsError(
            f"{predictions.path}: '{column}' of row {row + 1} holds no box, but {texts[row][:80]!r}; "
            f"a row without objects has an empty one, and a file has some box (is --task {predictions.task} right?)"
        )
    if (bad := np.flatnonzero(true.wrong)).size:
        why = f" ({next(iter(true.unread))})" if true.unread else ""
        raise PredictionsError(
            f"{predictions.path}: {len(bad)} rows have a true box that is not four or five numbers, first row "
            f"{bad[0] + 1}: {texts[bad[0]][:80]!r}{why}"
        )
    return find(predictions.texts("answer"), form, sizes), true


def refuse_unreadable(predictions: Predictions, column: str, form: str) -> None:
    """Refuse a file whose answers would all be wrong by how they are written, and not by the model's fault.

    Raises:
        PredictionsError: no answer can be read, or answers and truths are surely written in different scales: boxes
            from 0 to 1 never meet boxes from 0 to 100.
    """
    predicted, true = both(predictions, column, form)
    if predicted.unread and not len(predicted.boxes):
        raise PredictionsError(
            f"{predictions.path}: no box of the answers can be read: {next(iter(predicted.unread))}; give fields "
            "`width` and `height` of the image in pixels, or --boxes pixels where truths are pixels too"
        )
    grids = {core.form(name).grid for name in (predictions.truth_form or form, form)}
    low, high = sorted((predicted.typical, true.typical))
    if len(grids) == 1 and low and min(len(predicted.boxes), len(true.boxes)) >= FEW and high > APART * low:
        raise PredictionsError(
            f"{predictions.path}: boxes of the answers typically reach {predicted.typical:g}, those of the truth "
            f"{true.typical:g}: they are written in different scales; say which with --boxes and --truth-boxes"
        )


def sizes_of(predictions: Predictions) -> list[Size | None] | None:
    """Width and height of each row's image in pixels, where the file tells them."""
    for names in SIZE_FIELDS:
        if set(names) <= set(predictions.frame.columns):
            pairs = zip(*(predictions.texts(name) for name in names), strict=True)
            found = [numbers(f"[{', '.join(pair)}]") for pair in pairs]
            return [(one[0], one[1]) if len(one) == 2 and min(one) > 0 else None for one in found]
    return None


def scored(predicted: BoxTable, true: BoxTable) -> MetricSums:
    """Matches at each threshold, predicted boxes (wrong ones included) and true boxes of each row."""
    pairs = overlaps(predicted, true)
    columns = [matched(pairs, predicted, true, threshold) for threshold in THRESHOLDS]
    return MetricSums.of_rows(np.column_stack([*columns, predicted.written, true.written]).astype(np.float64), _metrics)


def _metrics(sums: Array) -> dict[str, Array]:
    hits, predicted, actual = sums[..., :-2], sums[..., -2, None], sums[..., -1, None]
    found = detected(hits, predicted, actual)
    curves = {**found, "ap": found["precision"] * found["recall"] / 100}
    metrics: dict[str, Array] = {}
    for column, threshold in enumerate((0.25, 0.5)):
        metrics |= {f"{name}@{threshold}": values[..., column] for name, values in curves.items()}
    return metrics | {f"{name}@{SPAN}": values[..., 1:].mean(-1) for name, values in curves.items()}


def ranked(predictions: Predictions, form: str) -> dict[str, float]:
    """Average precision by the confidences that the file gives, a list for each row; empty if it gives none.

    Raises:
        PredictionsError: a row has not one confidence for each box.
    """
    column = next((name for name in CONFIDENCES if name in predictions.frame.columns), None)
    if column is None:
        return {}
    predicted, true = both(predictions, predictions.truth, form)
    confidences = [numbers(text) for text in predictions.texts(column)]
    for row, values in enumerate(confidences):
        if len(values) != predicted.written[row] or not np.isfinite(values).all():
            raise PredictionsError(
                f"{predictions.path}, row {row + 1}: {predicted.written[row]} boxes, but {column} has {len(values)} "
                "numbers; give one for each box"
            )
    tables = by_row(overlaps(predicted, true), predicted, true)
    images = [plain(np.array(values), iou) for values, iou in zip(confidences, tables, strict=True)]
    found = {threshold: curve(images, threshold) for threshold in THRESHOLDS}
    reached = {threshold: 100 * one.precision if one else 0.0 for threshold, one in found.items()}
    strict = float(np.mean([reached[threshold] for threshold in STRICT]))
    return {"ap@0.25": reached[0.25], "ap@0.5": reached[0.5], f"ap@{SPAN}": strict}


def oddities(predictions: Predictions, column: str, form: str, kind: str) -> dict[str, Any]:
    """Counts of what was odd about the boxes of a column."""
    found = find(predictions.texts(column), form, sizes_of(predictions))
    further = {f"{kind}_boxes_spelt_as": found.spelt, f"{kind}_boxes_unread": found.unread}
    return {
        f"{kind}_boxes": int(found.written.sum()),
        f"{kind}_boxes_malformed": int(found.wrong.sum()),
        f"{kind}_boxes_without_angle": found.four,
        f"{kind}_boxes_beyond_range": found.beyond,
        f"{kind}_boxes_cut_short": found.cut_short,
        **{name: counts for name, counts in further.items() if counts},
    }
