"""COCO's files: results of detectors and captioners, and the annotations that are their truth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.average_precision import Array, ScoredImage, curve
from tasks.evaluation.metrics.prediction_files import content_of, from_rows, text_of

THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = {"": (0.0, 1e10), "_small": (0.0, 32.0**2), "_medium": (32.0**2, 96.0**2), "_large": (96.0**2, 1e10)}
"""Pixels of a true box: those of the definition."""
MOST = (1, 10, 100)
"""Boxes of an image for which average recall is noted."""
Record = Mapping[str, Any]


@dataclass(frozen=True)
class CocoBoxes:
    """Results and annotations as they stand, in pixels, by image and category."""

    found: Mapping[tuple[Any, Any], Sequence[Record]]
    true: Mapping[tuple[Any, Any], Sequence[Record]]
    categories: Sequence[Any]
    images: Sequence[Any]


@dataclass(frozen=True)
class CocoPredictions:
    """Rows for the scorer."""

    frame: pl.DataFrame
    truth: str
    noted: dict[str, Any]
    boxes: CocoBoxes | None


def annotations(path: Path) -> Record | None:
    """A COCO annotation file; None if it is something else."""
    if path.suffix.lower() not in (".json", ".gz") or not path.is_file():
        return None
    try:
        found = json.loads(text_of(content_of(path), path))
    except (json.JSONDecodeError, RecursionError):
        return None
    wanted = isinstance(found, dict) and all(isinstance(found.get(name), list) for name in ("images", "annotations"))
    return found if wanted else None


def results(frame: pl.DataFrame, path: Path, truth: Record, other: Path, task: str) -> CocoPredictions:
    """The results of a file beside a COCO annotation file: a row an image for captions, an image and class for boxes.

    Raises:
        PredictionsError: they are not COCO's results for the task, or name images or classes that are not annotated.
    """
    if task in ("captioning", "region_captioning", "change"):
        return _captions(frame, path, truth, other)
    if task != "detection":
        raise PredictionsError(f"{other} is a COCO annotation file: --task is detection or captioning, not {task}")
    if {"segmentation", "keypoints"} & set(frame.columns) and "bbox" not in frame.columns:
        raise PredictionsError(f"{path} has masks or keypoints; only boxes (`bbox`) are scored")
    if missing := sorted({"image_id", "category_id", "bbox", "score"} - set(frame.columns)):
        raise PredictionsError(f"{path} has no field {missing[0]!r}, which COCO's results of detection have")
    return _boxes(frame, path, truth, other)


def _captions(frame: pl.DataFrame, path: Path, truth: Record, other: Path) -> CocoPredictions:
    if not {"image_id", "caption"} <= set(frame.columns):
        raise PredictionsError(f"{path} has not `image_id` and `caption`, which COCO's results of captions have")
    references: dict[str, list[str]] = {}
    for record in truth["annotations"]:
        if "caption" not in record:
            raise PredictionsError(f"{other} has annotations without `caption`; is it the file of the captions?")
        references.setdefault(str(record["image_id"]), []).append(str(record["caption"]))
    said: dict[str, str | None] = dict(zip(frame["image_id"].to_list(), frame["caption"].to_list(), strict=True))
    if len(said) < len(frame):
        raise PredictionsError(f"{path}: an image has several captions; keep one of each")
    noted = _told(other, "'caption' of its image are the references", set(said) - set(references), "image")
    rows = [
        {"image_id": image, "id": image, "answer": said.get(image), "references": texts}
        for image, texts in references.items()
    ]
    if not set(said) & set(references):
        raise PredictionsError(f"{path} and {other} have no image in common")
    if unanswered := len(set(references) - set(said)):
        noted["truths_without_answer"] = unanswered
    return CocoPredictions(from_rows(rows), "references", noted, None)


def _boxes(frame: pl.DataFrame, path: Path, truth: Record, other: Path) -> CocoPredictions:
    sizes = {str(image["id"]): (image.get("width"), image.get("height")) for image in truth["images"]}
    names = {str(one["id"]): str(one.get("name", one["id"])) for one in truth.get("categories", [])}
    true: dict[tuple[Any, Any], list[Record]] = {}
    for record in truth["annotations"]:
        if "bbox" not in record:
            raise PredictionsError(f"{other} has annotations without `bbox`; is it the file of the instances?")
        true.setdefault((str(record["image_id"]), str(record["category_id"])), []).append(record)
    categories = list(names) or sorted({category for _, category in true})
    found: dict[tuple[Any, Any], list[Record]] = {}
    strangers: set[str] = set()
    for row, record in enumerate(frame.iter_rows(named=True), start=1):
        box = _numbers(record["bbox"], f"{path}, row {row}: bbox", 4)
        score = _numbers(record["score"], f"{path}, row {row}: score", 1)[0]
        key = str(record["image_id"]), str(record["category_id"])
        if key[0] not in sizes or key[1] not in categories:
            strangers.add(key[0] if key[0] not in sizes else f"category {key[1]}")
            continue
        found.setdefault(key, []).append({"bbox": box, "score": score})
    if not found:
        raise PredictionsError(f"{path} and {other} have no image and category in common")
    noted = _told(other, "its annotations are the truth; crowds count in `coco` alone", strangers, "image or category")
    rows = []
    for image, category in sorted({*found, *true}, key=lambda key: (key[0], categories.index(key[1]))):
        own = [record for record in true.get((image, category), []) if not record.get("iscrowd")]
        said = found.get((image, category), [])
        rows.append(
            {
                "id": f"{image} {category}",
                "image_id": image,
                "question": names.get(category, category),
                "answer": _written(said, sizes[image]),
                "gt_bbox": _written(own, sizes[image]),
                "confidences": [record["score"] for record in said],
            }
        )
    order = sorted((image["id"] for image in truth["images"]), key=lambda name: (isinstance(name, str), name))
    raw = CocoBoxes(found, true, categories, [str(name) for name in order])
    return CocoPredictions(from_rows(rows), "gt_bbox", noted, raw)


def _told(other: Path, what: str, strangers: set[str], kind: str) -> dict[str, Any]:
    noted: dict[str, Any] = {
        "fields": "fields of COCO's results",
        "truth_file": f"{other.name}: COCO annotations, {what}",
    }
    if strangers:
        noted["answers_without_truth"] = len(strangers)
        noted["first_answers_without_truth"] = sorted(strangers)[:10]
        noted["without_truth"] = f"each an {kind} that is not annotated; left out"
    return noted


def _numbers(text: str | None, where: str, count: int) -> list[float]:
    try:
        value = json.loads(text or "null")
        values = [float(item) for item in (value if isinstance(value, list) else [value])]
    except (ValueError, TypeError):
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise PredictionsError(f"{where} is {text!r:.60}, not {count} finite numbers")
    return values


def _written(records: Sequence[Record], size: tuple[Any, Any]) -> str:
    """Boxes in hundredths of the image, in EarthDial's form."""
    width, height = (float(side) if side else 1000.0 for side in size)
    texts = []
    for record in records:
        x, y, w, h = (float(number) for number in record["bbox"])
        texts.append(
            f"[[{100 * x / width!r}, {100 * y / height!r}, {100 * (x + w) / width!r}, {100 * (y + h) / height!r}, 0]]"
        )
    return "".join(texts)


def coco(boxes: CocoBoxes) -> dict[str, float]:
    """The twelve figures of COCO's evaluation, 0 to 100; those of sizes that no true box has are left out."""
    ious = {key: _iou(boxes.found.get(key, []), boxes.true.get(key, [])) for key in {*boxes.found, *boxes.true}}
    scores: dict[str, float] = {}
    for name, area in AREAS.items():
        classes = [
            [_image(boxes, (image, category), ious, area) for image in boxes.images if (image, category) in ious]
            for category in boxes.categories
        ]
        table = [[curve(images, threshold) for threshold in THRESHOLDS] for images in classes]
        rows = [[one for one in row if one is not None] for row in table if any(row)]
        if not rows:
            continue
        scores[f"ap{name}"] = _mean([one.precision for row in rows for one in row])
        if not name:
            scores["ap50"] = _mean([row[0].precision for row in rows])
            scores["ap75"] = _mean([row[5].precision for row in rows])
            for most in MOST:
                found = [curve(images, threshold, most) for images in classes for threshold in THRESHOLDS]
                scores[f"ar{most}"] = _mean([one.recall for one in found if one is not None])
        else:
            scores[f"ar{name}"] = _mean([one.recall for row in rows for one in row])
    return scores


def _mean(values: Sequence[float]) -> float:
    return 100 * float(np.mean(values))


def _image(
    boxes: CocoBoxes, key: tuple[Any, Any], ious: Mapping[tuple[Any, Any], Array], area: tuple[float, float]
) -> ScoredImage:
    true, found = boxes.true.get(key, []), boxes.found.get(key, [])
    crowd = np.array([bool(record.get("iscrowd")) for record in true], dtype=bool)
    sizes = np.array([record.get("area", record["bbox"][2] * record["bbox"][3]) for record in true], dtype=float)
    said = np.array([record["bbox"][2] * record["bbox"][3] for record in found], dtype=float)
    ignored = crowd | (sizes < area[0]) | (sizes > area[1])
    confidence = np.array([record["score"] for record in found], dtype=float)
    return ScoredImage(confidence, ious[key], ignored, crowd, (said < area[0]) | (said > area[1]))


def _iou(found: Sequence[Record], true: Sequence[Record]) -> Array:
    """Of boxes [x, y, width, height], (found, true); with a crowd the share of the found box that lies in it."""
    a = np.array([record["bbox"] for record in found], dtype=float).reshape(-1, 1, 4)
    b = np.array([record["bbox"] for record in true], dtype=float).reshape(1, -1, 4)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    own, other = a[..., 2:].prod(-1), b[..., 2:].prod(-1)
    crowd = np.array([bool(record.get("iscrowd")) for record in true], dtype=bool)
    union = np.where(crowd, np.broadcast_to(own, shared.shape), own + other - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
