"""Average precision as COCO's evaluation defines it (Lin et al., ECCV 2014): boxes by falling confidence, 101 recalls.

One image (of one class) at a time the most confident box chooses first, and takes the free true box that it overlaps
most, of equal ones the last; at most `MAX_BOXES` boxes an image count. True boxes that are ignored, such as crowds,
are no miss, and what matches them is no false alarm; a crowd may be matched many times. On upright boxes the figures
are pycocotools' own, which a test holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
MAX_BOXES = 100
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is read off."""
TOLERANCE = 1e-10
"""An IoU this near a threshold reaches it: coordinates are often whole numbers, and rounding must not decide."""


@dataclass(frozen=True)
class ScoredImage:
    """The boxes of one class in one image."""

    confidence: Array
    """Of each predicted box, (predicted,)."""
    iou: Array
    """Overlap of every predicted with every true box, (predicted, true); with a crowd its share within the crowd."""
    ignored: Mask
    """True boxes that are neither missed nor asked for, (true,)."""
    crowd: Mask
    """True boxes that stand for many, (true,); all are ignored."""
    aside: Mask
    """Predicted boxes that are no false alarm if they match nothing, (predicted,)."""


@dataclass(frozen=True)
class Curve:
    """What one class and threshold come to, as fractions."""

    precision: float
    recall: float


def plain(confidence: Array, iou: Array) -> ScoredImage:
    """An image without crowds."""
    false = np.zeros(iou.shape[1], dtype=bool)
    return ScoredImage(confidence, iou, false, false, np.zeros(len(confidence), dtype=bool))


def curve(images: Sequence[ScoredImage], threshold: float, most: int = MAX_BOXES) -> Curve | None:
    """Average precision and largest recall over images; None where no true box is asked for.

    Args:
        images: of one class.
        threshold: least IoU of a match.
        most: boxes of an image that count, the most confident ones.
    """
    asked = sum(int((~image.ignored).sum()) for image in images)
    if not asked:
        return None
    confidences, hits, counted = [], [], []
    for image in images:
        order = np.argsort(-image.confidence, kind="mergesort")[:most]
        hit, aside = _matched(image, order, threshold)
        confidences.append(image.confidence[order])
        hits.append(hit)
        counted.append(~aside)
    ranked = np.argsort(-np.concatenate(confidences), kind="mergesort")
    kept = ranked[np.concatenate(counted)[ranked]]
    right = np.cumsum(np.concatenate(hits)[kept])
    if not len(right):
        return Curve(0.0, 0.0)
    recall, precision = right / asked, right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    read = np.where(places < len(best), best[np.minimum(places, len(best) - 1)], 0.0)
    return Curve(float(read.mean()), float(recall[-1]))


def _matched(image: ScoredImage, order: NDArray[np.int64], threshold: float) -> tuple[Mask, Mask]:
    """Which of the ordered boxes are right, and which do not count, (boxes,) each."""
    hit, aside = np.zeros(len(order), dtype=bool), image.aside[order].copy()
    free = np.ones(len(image.ignored), dtype=bool)
    for place, box in enumerate(order):
        reached = (image.iou[box] >= threshold - TOLERANCE) & (free | image.crowd)
        asked = reached & ~image.ignored
        candidates = asked if asked.any() else reached
        if not candidates.any():
            continue
        values = np.where(candidates, image.iou[box], -1.0)
        truth = len(values) - 1 - int(np.argmax(values[::-1]))
        free[truth] = False
        hit[place] = aside[place] = False
        if image.ignored[truth]:
            aside[place] = True
        else:
            hit[place] = True
    return hit, aside
