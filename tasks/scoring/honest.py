"""The honest protocol: each task's tallies by group."""

from collections.abc import Callable
from typing import Any

from tasks.scoring import captions, changes, labels, regions
from tasks.scoring.read import Predictions
from tasks.scoring.tally import Tally
from tasks.scoring.texts import label_set, prose

Scorer = Callable[[Predictions, str], dict[str, Tally]]


def grounding(predictions: Predictions, form: str) -> dict[str, Tally]:
    """The boxes in a description, and its text without them."""
    column = regions.boxes_of(predictions)
    answers, truths = predictions.texts("answer"), predictions.texts(predictions.truth)
    text = captions.scored([prose(text) for text in answers], [[prose(text)] for text in truths])
    return {"": regions.scored(*regions.both(predictions, column, form)), "description": text}


SCORERS: dict[str, Scorer] = {
    "classification": lambda predictions, form: labels.classification(predictions),
    "vqa": lambda predictions, form: labels.vqa(predictions),
    "detection": regions.detection,
    "grounding": grounding,
    "captioning": lambda predictions, form: captions.captioning(predictions),
    "region_captioning": lambda predictions, form: captions.captioning(predictions),
    "change": changes.change,
}
"""Each task's tallies by group, `kind/name`; the group "" is the file as a whole."""


def besides(predictions: Predictions, form: str) -> dict[str, Any]:
    """What is no sum over rows: the confusion of classes, ranked average precision, the published CIDEr-D."""
    task = predictions.task
    if task == "classification" or (task == "change" and changes.kind(predictions) == "classes"):
        truths = predictions.frame[predictions.truth].fill_null("").unique().to_list()
        mark = labels.separator(truths)
        if not any(len(label_set(truth, mark)) > 1 for truth in truths):
            return {"confusion": labels.confusion(predictions)}
    if task == "detection" and (ranked := regions.ranked(predictions, form)):
        return {"by_confidence": ranked}
    if task in ("captioning", "region_captioning") or (task == "change" and changes.kind(predictions) == "captions"):
        told = captions.published_cider(predictions.texts("answer"), predictions.references())
        return {"as_published": {"cider_d": told}}
    return {}
