"""The legacy protocol: EarthDial's published scorer, faults included (spec, sections 5.1 and 5.4).

Its faults are kept on purpose: "accuracy" is recall of tokens, commas counted; "mAP" is precision without one-to-one
matching; ROUGE is a mean over references where METEOR is the best of them. Never read these figures alone.
"""

import re
from collections.abc import Callable

import numpy as np
import shapely
from nltk.translate.meteor_score import meteor_score
from numpy.typing import NDArray

from tasks.core.errors import PredictionsError
from tasks.dialogue.box_spellings import rewritten
from tasks.evaluation.metrics import rouge
from tasks.evaluation.metrics.bootstrap import Array, MetricSums, codes, joined, means, ratio
from tasks.evaluation.metrics.detection import boxes_of
from tasks.evaluation.metrics.predictions import Predictions
from tasks.evaluation.metrics.tokens import recall_tokens, stemmer, word_tokens
from tasks.evaluation.metrics.wordnet import wordnet

VQA_TYPES = ("comp", "presence", "rural_urban")
SIZES = ("small", "medium", "large")
MAX_TRUE_BOXES = 50
"""Grounding skips an image with this many true boxes or more."""
INTEGERS = re.compile(r"\[\s*(\d+(?:,\s*\d+)*)\s*\]")
THRESHOLDS = (0.5, 0.25)
MIN_IOU = min(THRESHOLDS)
MAX_COORDINATE = 10**9
"""Larger coordinates are no place in or near an image."""
MAX_PAIRS = 1_000_000
"""Pairs of boxes that are overlapped at once, to bound the memory."""
IOU_TOLERANCE = 1e-6
"""IoUs this near a threshold are measured with the reference's arithmetic."""
FIVE = re.compile(r"\[\s*(\d+),\s*(\d+),\s*(\d+),\s*(\d+),\s*(\d+)\s*\]")
BOXED = re.compile(r"<box>\[\[.*?\]\]</box>|\[\[.*?\]\]")
TAG = re.compile(r"</?ref>")
BoxNumbers = list[list[int]]


def recall(answer: str, truth: str) -> float:
    """Share of the truth's tokens, repetitions and commas included, that the answer has anywhere."""
    # Spec, section 5.1: matched tokens are a set, the truth's are a list, so that repeated commas cost a
    # perfect answer points, and naming every class at once scores as much as it: 84.2 on BigEarthNet RGB for both.
    expected = recall_tokens(truth)
    common = set(expected) & set(recall_tokens(answer))
    return len(common) / len(expected) if common else 0.0


def classification(predictions: Predictions) -> dict[str, MetricSums]:
    """`accuracy`: mean recall of tokens."""
    return {"": means({"accuracy": by_distinct(predictions, recall)})}


def vqa(predictions: Predictions) -> dict[str, MetricSums]:
    """The same by question type; only `VQA_TYPES` count, all together as the micro mean.

    Raises:
        PredictionsError: the file tells no types, or none of those that count.
    """
    column = predictions.type_column()
    if column is None:
        raise PredictionsError(f"{predictions.path} has no field 'vqa_type', which the legacy protocol goes by")
    sums = means({"accuracy": by_distinct(predictions, recall)})
    types = predictions.rows_of(column)
    counted = {name: types[name] for name in VQA_TYPES if name in types}
    if not counted:
        raise PredictionsError(
            f"{predictions.path}: no question is of a type that the legacy protocol counts ({', '.join(VQA_TYPES)}); "
            f"its types are {', '.join(list(types)[:20])}"
        )
    every = sums.rows(np.concatenate(list(counted.values())))
    return {"": every, **{name: sums.rows(rows) for name, rows in counted.items()}}


def captioning(predictions: Predictions) -> dict[str, MetricSums]:
    """ROUGE-1 and -L F1 averaged over all references, empty ones too; METEOR of the best reference."""
    return {"": _captions(predictions.texts("answer"), predictions.references())}


def _captions(answers: list[str], references: list[list[str]]) -> MetricSums:
    rows = np.zeros((len(answers), 3))
    for row, (answer, texts) in enumerate(zip(answers, references, strict=True)):
        words, tokens = word_tokens(answer), [word_tokens(text) for text in texts]
        pairs = [(rouge.tokens(" ".join(text)), rouge.tokens(" ".join(words))) for text in tokens]
        # Divided by the number of references, empty ones too (spec, section 5.4): five equal ones and an empty one
        # cannot give more than 5/6. METEOR beside it takes the best of them.
        rows[row, 0] = sum(rouge.rouge1(*pair).f1 for pair in pairs) / len(texts)
        rows[row, 1] = sum(rouge.rouge_l(*pair).f1 for pair in pairs) / len(texts)
        rows[row, 2] = meteor_score(tokens, words, stemmer=stemmer(), wordnet=wordnet())
    return means({"rouge1": rows[:, 0], "rougeL": rows[:, 1], "meteor": rows[:, 2]})


def region_captioning(predictions: Predictions) -> dict[str, MetricSums]:
    """ROUGE-1 and -L precision, recall and F1 against the one reference; METEOR of the words between spaces."""
    return {"": _regions(predictions.texts("answer"), predictions.texts(predictions.truth))}


def _regions(answers: list[str], truths: list[str]) -> MetricSums:
    rows = np.zeros((len(answers), 7))
    for row, (answer, truth) in enumerate(zip(answers, truths, strict=True)):
        pair = rouge.tokens(truth), rouge.tokens(answer)
        first, longest = rouge.rouge1(*pair), rouge.rouge_l(*pair)
        rows[row, :3] = first.f1, first.precision, first.recall
        rows[row, 3:6] = longest.f1, longest.precision, longest.recall
        rows[row, 6] = meteor_score([truth.split()], answer.split(), stemmer=stemmer(), wordnet=wordnet())
    names = [name + part for name in ("rouge1", "rougeL") for part in ("", "_precision", "_recall")]
    return means(dict(zip([*names, "meteor"], rows.T, strict=True)))


def detection(predictions: Predictions) -> dict[str, MetricSums]:
    """Precision of boxes at IoU 0.5 and 0.25 against any true box, by size and by one or several true boxes.

    Raises:
        PredictionsError: the file has no true box.
    """
    truths = [_integers(text) for text in predictions.texts(predictions.truth)]
    if not any(truths):
        raise PredictionsError(
            f"{predictions.path}: '{predictions.truth}' holds no box in any row; is --task detection right?"
        )
    answers = [_integers(text) for text in predictions.texts("answer")]
    if not any(answers) and any(rewritten(text, (100, 100)).spelt for text in predictions.texts("answer")):
        raise PredictionsError(
            f"{predictions.path}: no answer has boxes in EarthDial's brackets, which alone the legacy protocol reads; "
            "the honest one reads those of other models"
        )
    sums = _precision(answers, truths)
    single = np.array([len(boxes) == 1 for boxes in truths])
    groups = {"single": sums.rows(single), "multiple": sums.rows(~single)}
    if "size_group" in predictions.frame.columns:
        sizes = predictions.rows_of("size_group")
        groups = {**{size: sums.rows(sizes.get(size, np.array([], dtype=np.int64))) for size in SIZES}, **groups}
    return {"": sums, **groups}


def grounding(predictions: Predictions) -> dict[str, MetricSums]:
    """Precision of the boxes in a description, and ROUGE and METEOR of its text without them.

    Raises:
        PredictionsError: the file has no true box.
    """
    answers, truths = predictions.texts("answer"), predictions.texts(predictions.truth)
    expected = [_five(text) for text in predictions.texts(boxes_of(predictions))]
    if not any(expected):
        raise PredictionsError(
            f"{predictions.path}: no row has a true box of five whole numbers; is --task grounding right?"
        )
    few = np.array([len(boxes) < MAX_TRUE_BOXES for boxes in expected])
    boxes = _precision([_five(text) for text in answers], expected).rows(few)
    described = [row for row, text in enumerate(truths) if len(_five(text)) < MAX_TRUE_BOXES]
    text = _regions(
        [without_boxes(answers[row]) for row in described], [without_boxes(truths[row]) for row in described]
    )
    return {"": boxes, "description": text}


def change(predictions: Predictions) -> dict[str, MetricSums]:
    """Every change script of the reference that the file admits: recall, captions, boxes.

    Captions take the first reference alone where the second is empty. Boxes count at IoU 0.25, the angle of a
    predicted box set to 0; the figure at 0.5 stands beside it.
    """
    answers = predictions.texts("answer")
    references = predictions.references()
    truths = [texts[0] for texts in references]
    if any(map(_integers, truths)) and not any(BOXED.sub("", text).strip() for text in truths):
        flat = [[[*box[:-1], 0] for box in _integers(text)] for text in answers]
        return {"": _precision(flat, [_integers(text) for text in truths])}
    used = [texts if len(texts) > 1 and texts[1] else texts[:1] for texts in references]
    accuracy = means({"accuracy": np.array([recall(*pair) for pair in zip(answers, truths, strict=True)])})
    return {"": joined(accuracy, _captions(answers, used))}


def _integers(text: str) -> BoxNumbers:
    """Every bracket of whole numbers, however many they are: one that is not five is a box that matches nothing."""
    return [[_whole(part) for part in inner.split(",")] for inner in INTEGERS.findall(text)]


def _five(text: str) -> BoxNumbers:
    return [[_whole(part) for part in box] for box in FIVE.findall(text)]


def _whole(digits: str) -> int:
    """A whole number; beyond any image they are all the same."""
    bare = digits.strip().lstrip("0")
    return int(bare or 0) if len(bare) <= len(str(MAX_COORDINATE)) else MAX_COORDINATE


def without_boxes(text: str) -> str:
    """A description without its boxes and tags."""
    return BOXED.sub("", TAG.sub("", text))


def _precision(answers: list[BoxNumbers], truths: list[BoxNumbers]) -> MetricSums:
    """Share of all predicted boxes that overlap any true box of their row."""
    statistics = np.zeros((len(answers), len(THRESHOLDS) + 1))
    statistics[:, -1] = [len(boxes) for boxes in answers]
    predicted, row, _ = _table([[box for box in boxes if len(box) == 5] for boxes in answers])
    true, _, starts = _table([_usable(boxes) for boxes in truths])
    # Not one to one: every predicted box may match the same true box, and true boxes that nothing matches cost
    # nothing. What the published scorer calls mAP is this precision.
    counts = np.diff(starts)[row]
    best = np.zeros(len(predicted))
    # Each predicted box beside every true box of its row, so many pairs at a time.
    for part in np.split(np.arange(len(predicted)), np.flatnonzero(np.diff(np.cumsum(counts) // MAX_PAIRS)) + 1):
        first = np.repeat(part, counts[part])
        place = np.arange(len(first)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        np.maximum.at(best, first, _iou(predicted[first], true[starts[row[first]] + place]))
    for column, threshold in enumerate(THRESHOLDS):
        statistics[:, column] = np.bincount(row[best >= threshold], minlength=len(answers))

    def metrics(sums: Array) -> dict[str, Array]:
        return {f"precision@{t}": ratio(sums[..., column], sums[..., -1]) for column, t in enumerate(THRESHOLDS)}

    return MetricSums.of_rows(statistics, metrics)


def _table(rows: list[BoxNumbers]) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """All boxes, (boxes, 5); the row of each, (boxes,); where each row's begin, and the end, (rows + 1,)."""
    counts = np.array([len(boxes) for boxes in rows], dtype=np.int64)
    table = np.array([box for boxes in rows for box in boxes], dtype=np.float64).reshape(-1, 5)
    return table, np.repeat(np.arange(len(rows)), counts), np.concatenate([[0], np.cumsum(counts)])


def _usable(expected: BoxNumbers) -> BoxNumbers:
    """True boxes up to the first that is not five numbers: there the reference gives the predicted box up."""
    wrong = next((number for number, box in enumerate(expected) if len(box) != 5), len(expected))
    return expected[:wrong]


def _iou(first: Array, second: Array) -> Array:
    """IoU of pairs, (pairs,); 0 for a rectangle without area, and for pairs that cannot reach `MIN_IOU`.

    Where rounding could decide, near a threshold, the union is measured as the reference measures it.
    """
    area_a, area_b = (np.abs((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) for boxes in (first, second))
    corners_a, corners_b = _corners(first), _corners(second)
    # What the upright frames share bounds what the boxes share: most pairs need no more than that.
    sides = np.minimum(corners_a.max(1), corners_b.max(1)) - np.maximum(corners_a.min(1), corners_b.min(1))
    bound = np.minimum(np.clip(sides, 0, None).prod(axis=1), np.minimum(area_a, area_b))
    near = (bound >= (MIN_IOU - IOU_TOLERANCE) * (area_a + area_b - bound)) & (bound > 0)
    a, b = (np.asarray(shapely.polygons(corners[near])) for corners in (corners_a, corners_b))
    shared = shapely.area(shapely.intersection(a, b))
    iou = shared / ((area_a + area_b)[near] - shared)
    close = np.abs(iou[:, None] - np.array(THRESHOLDS)).min(axis=1) < IOU_TOLERANCE
    pairs = zip(first[near][close], second[near][close], strict=True)
    iou[close] = [_reference_iou(_reference_polygon(one), _reference_polygon(other)) for one, other in pairs]
    overlap = np.zeros(len(first))
    overlap[near] = iou
    return overlap


def _reference_polygon(box: Array) -> shapely.Polygon:
    """One box, turned as the reference turns it: a matrix product rounds otherwise than the same sums written out.

    One of its GeoChat answers lies exactly at IoU 0.5, where the last digit decides.
    """
    rectangle = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    cosine, sine = np.cos(np.radians(box[4])), np.sin(np.radians(box[4]))
    turned = np.dot(rectangle - middle, np.array([[cosine, -sine], [sine, cosine]])) + middle
    return shapely.Polygon(turned.tolist())


def _reference_iou(one: shapely.Polygon, other: shapely.Polygon) -> float:
    """The overlap by the polygons' own union, not by their areas."""
    return float(one.intersection(other).area / one.union(other).area)


def _corners(boxes: Array) -> Array:
    """Corners, (boxes, 4, 2), turned anticlockwise on the screen, as the reference turns them."""
    x, y = boxes[:, [0, 2, 2, 0]], boxes[:, [1, 1, 3, 3]]
    middle_x, middle_y = (boxes[:, [0]] + boxes[:, [2]]) / 2, (boxes[:, [1]] + boxes[:, [3]]) / 2
    cosine, sine = np.cos(np.radians(boxes[:, [4]])), np.sin(np.radians(boxes[:, [4]]))
    x, y = x - middle_x, y - middle_y
    return np.stack([x * cosine + y * sine + middle_x, y * cosine - x * sine + middle_y], axis=-1)


SCORERS: dict[str, Callable[[Predictions], dict[str, MetricSums]]] = {
    "classification": classification,
    "vqa": vqa,
    "detection": detection,
    "grounding": grounding,
    "captioning": captioning,
    "region_captioning": region_captioning,
    "change": change,
}
"""Each task's statistics by group; the group "" is the file as a whole."""


def by_distinct(predictions: Predictions, score: Callable[[str, str], float]) -> NDArray[np.float64]:
    """`score(answer, truth)` of every row, (rows,), computed once for each distinct pair."""
    frame = predictions.frame.select("answer", predictions.truth)
    index, first = codes(frame)
    pairs = frame[first].fill_null("")
    scores = [score(answer, truth) for answer, truth in zip(pairs["answer"], pairs[predictions.truth], strict=True)]
    return np.array(scores)[index]
