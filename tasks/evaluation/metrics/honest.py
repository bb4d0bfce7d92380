"""The honest protocol: each task's statistics by group of questions."""

from collections.abc import Callable
from typing import Any

from tasks.evaluation.metrics import captioning, change, classification, detection
from tasks.evaluation.metrics.bootstrap import MetricSums
from tasks.evaluation.metrics.coco_files import coco
from tasks.evaluation.metrics.predictions import Predictions
from tasks.evaluation.metrics.text_normalisation import label_set, prose

Scorer = Callable[[Predictions, str], dict[str, MetricSums]]


def grounding(predictions: Predictions, form: str) -> dict[str, MetricSums]:
    """The boxes in a description, and its text without them."""
    column = detection.boxes_of(predictions)
    answers, truths = predictions.texts("answer"), predictions.texts(predictions.truth)
    text = captioning.scored([prose(text) for text in answers], [[prose(text)] for text in truths])
    return {"": detection.scored(*detection.both(predictions, column, form)), "description": text}


SCORERS: dict[str, Scorer] = {
    "classification": lambda predictions, form: classification.classification(predictions),
    "vqa": lambda predictions, form: classification.vqa(predictions),
    "detection": detection.detection,
    "grounding": grounding,
    "captioning": lambda predictions, form: captioning.captioning(predictions),
    "region_captioning": lambda predictions, form: captioning.captioning(predictions),
    "change": change.change,
}
"""Each task's statistics by group, `kind/name`; the group "" is the file as a whole."""


def file_level_scores(predictions: Predictions, form: str) -> dict[str, Any]:
    """What is no sum over rows: the confusion of classes, ranked average precision, the published CIDEr-D."""
    task = predictions.task
    if task == "classification" or (task == "change" and change.kind(predictions) == "classes"):
        truths = predictions.frame[predictions.truth].fill_null("").unique().to_list()
        mark = predictions.mark or classification.separator(truths)
        if not any(len(label_set(truth, mark)) > 1 for truth in truths):
            return {"confusion": classification.confusion(predictions)}
    if task == "detection" and (ranked := detection.ranked(predictions, form)):
        figures = {} if predictions.coco is None else {"as_published": {"coco": coco(predictions.coco)}}
        return {"by_confidence": ranked, **figures}
    if task in ("captioning", "region_captioning") or (task == "change" and change.kind(predictions) == "captions"):
        cider = captioning.published_cider(predictions.texts("answer"), predictions.references())
        return {"as_published": {"cider_d": cider}}
    return {}
