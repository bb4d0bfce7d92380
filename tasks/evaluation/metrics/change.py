"""Honest scores of answers about two or more dates: classes, boxes, captions or masks, whichever the file holds."""

import json
import re
from collections.abc import Sequence

import numpy as np

from tasks.core.errors import PredictionsError
from tasks.dialogue import boxes as core
from tasks.evaluation.metrics import captioning, classification, detection
from tasks.evaluation.metrics.bootstrap import Array, MetricSums, detected, ratio
from tasks.evaluation.metrics.predictions import MASKS, Predictions
from tasks.evaluation.metrics.text_normalisation import normalise_text, prose

UNCHANGED = re.compile(
    r"no (significant |obvious |visible |semantic )?(change|difference)|nothing has changed|(the )?same|identical"
    r"|unchanged|remain(s|ed)? (the same|unchanged)|not changed|no changes"
)
"""How the references of LEVIR-MCI and its kin say that nothing changed."""
MAX_CLASS_WORDS = 4
"""Words of an answer that can still be the name of a class."""


def kind(predictions: Predictions) -> str:
    """What the file asks for: `boxes`, `classes` or `captions`, by its references."""
    references = [captioning.usable(row) for row in predictions.references()]
    firsts = [row[0] for row in references if row]
    if firsts and all(core.INNERMOST.search(text) and not prose(text) for text in firsts):
        return "boxes"
    alone = all(len(row) <= 1 for row in references)
    return "classes" if alone and all(len(text.split()) <= MAX_CLASS_WORDS for text in firsts) else "captions"


def change(predictions: Predictions, form: str) -> dict[str, MetricSums]:
    """The scores of the file's kind; with masks their IoU besides."""
    asked = kind(predictions)
    if asked == "boxes":
        groups = {"": detection.scored(*detection.both(predictions, predictions.truth, form))}
    elif asked == "classes":
        single = classification.single_label(predictions)
        groups = {"": single}
        finer = classification.answers(predictions)
        if len(finer.scores()) > 1:
            groups["answers"] = finer
    else:
        references = predictions.references()
        answers = predictions.texts("answer")
        groups = {"": captioning.scored(answers, references), "changed": changed(answers, references)}
    if set(MASKS) <= set(predictions.frame.columns):
        groups["masks"] = masks(predictions)
    return groups


def changed(answers: Sequence[str], references: Sequence[Sequence[str]]) -> MetricSums:
    """Whether an answer reports a change at all: precision, recall and F1 of "changed"; most references decide."""
    rows = []
    for answer, row_references in zip(answers, references, strict=True):
        texts = captioning.usable(row_references)
        said = says_changed(answer)
        # A reference word for word is right by definition, whatever the other references say.
        agreed = [says_changed(text) for text in texts if normalise_text(text) == normalise_text(answer)]
        true = agreed[0] if agreed else sum(map(says_changed, texts)) * 2 >= max(1, len(texts))
        rows.append([float(said and true), float(said), float(true), float(said == true), 1.0])

    def metrics(sums: Array) -> dict[str, Array]:
        found = detected(sums[..., 0], sums[..., 1], sums[..., 2])
        return {"accuracy": ratio(sums[..., 3], sums[..., 4]), **found}

    return MetricSums.of_rows(np.array(rows), metrics)


def says_changed(text: str) -> bool:
    """Whether a caption reports a change; an empty one does not."""
    return bool(normalise_text(text)) and not UNCHANGED.search(normalise_text(text))


def masks(predictions: Predictions) -> MetricSums:
    """IoU and F1 of the changed pixels of all images together.

    Raises:
        PredictionsError: a mask is not a rectangle of 0 and 1, or two of a row differ in shape.
    """
    rows = []
    for row, (true, predicted) in enumerate(zip(*(predictions.texts(name) for name in MASKS), strict=True), start=1):
        expected, predicted_mask = (_mask(text, f"{predictions.path}, row {row}") for text in (true, predicted))
        if expected.shape != predicted_mask.shape:
            raise PredictionsError(
                f"{predictions.path}, row {row}: the mask has {expected.shape}, "
                f"the answer's {predicted_mask.shape} pixels"
            )
        rows.append([float((expected & predicted_mask).sum()), float(predicted_mask.sum()), float(expected.sum())])

    def metrics(sums: Array) -> dict[str, Array]:
        hits, predicted, actual = sums[..., 0], sums[..., 1], sums[..., 2]
        return {
            "iou": ratio(hits, predicted + actual - hits, empty=100.0),
            "f1": ratio(2 * hits, predicted + actual, empty=100.0),
        }

    return MetricSums.of_rows(np.array(rows), metrics)


def _mask(text: str, where: str) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    try:
        pixels = np.array(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise PredictionsError(f"{where}: a mask is not a list of rows of 0 and 1: {error}") from error
    if pixels.ndim != 2 or not np.isin(pixels, (0, 1)).all():
        raise PredictionsError(f"{where}: a mask is not a list of rows of 0 and 1")
    return pixels.astype(bool)
