"""Boxes of many answers at once: read, overlapped and matched one to one.

Boxes are those of `tasks.dialogue.boxes`: rotated, with its one angle convention. There an answer with a wrong box is
an error; here a wrong box is a wrong prediction, counted, and the others of its answer still count.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from tasks.dialogue import boxes as core
from tasks.dialogue.box_spellings import rewritten

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Size = tuple[float, float]
"""Width and height of an image in pixels."""
MIN_IOU = 0.25
"""The lowest IoU that any metric asks for."""


@dataclass(frozen=True)
class BoxTable:
    """The boxes of a column of texts."""

    boxes: Array
    """(boxes, 5) as in `tasks.dialogue.boxes`."""
    row: Rows
    """The row that each stands in, (boxes,), ascending."""
    place: Rows
    """Its place among the brackets of its row, (boxes,)."""
    written: Rows
    """Brackets of each row, wrong ones included, (rows,)."""
    four: int
    """Boxes without an angle, read as 0."""
    cut_short: int
    """Texts whose brackets do not match, mostly an answer that ended within its last box: that box is no prediction."""
    beyond: int
    """Boxes with a number below 0 or above the grid; scored as they stand."""
    spelt: dict[str, int]
    """Boxes in the spelling of another model, by its name."""
    unread: dict[str, int]
    """What stands for a place and could not be read, by what is missing; each is written, and no box."""
    typical: float
    """The middle one of the boxes' largest numbers, as they are written in brackets; 0 without a box."""

    @property
    def wrong(self) -> Rows:
        """Brackets of each row that are no box, (rows,)."""
        return self.written - np.bincount(self.row, minlength=len(self.written))


def find(texts: Sequence[str], form: str = "earthdial", sizes: Sequence[Size | None] | None = None) -> BoxTable:
    """Every box of every text. A bracket without four or five finite numbers is written, but is no box.

    Args:
        texts: of models, or truths.
        form: of their brackets.
        sizes: width and height of each row's image in pixels; for spellings in pixels.
    """
    return _find(tuple(texts), form, None if sizes is None else tuple(sizes))


@lru_cache(maxsize=8)
def _find(texts: tuple[str, ...], form: str, sizes: tuple[Size | None, ...] | None) -> BoxTable:
    chosen = core.form(form)
    numbers: list[list[float]] = []
    where: list[tuple[int, int]] = []
    units: list[Size] = []
    written = np.zeros(len(texts), dtype=np.int64)
    four = cut_short = 0
    spelt: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    for row, text in enumerate(texts):
        size = sizes[row] if sizes is not None else None
        of_row = size if chosen.pixels else (float(chosen.grid), float(chosen.grid))
        read = rewritten(text, of_row, size)
        spelt.update(read.spelt)
        unread.update(read.unread)
        inners = [inner for inner in core.INNERMOST.findall(read.text) if inner.strip()]
        written[row] = len(inners) + len(read.unread)
        cut_short += read.text.count("[") != read.text.count("]")
        for place, inner in enumerate(inners):
            values = _numbers(inner)
            if values is not None:
                four += len(values) == 4
                numbers.append([*values, 0.0][:5])
                where.append((row, place))
                units.append(of_row or (1.0, 1.0))
    # Fractions of the image, whatever grid the form writes in: IoU of both forms is then one computation.
    table = np.array(numbers, dtype=np.float64).reshape(-1, 5)
    if chosen.sides:
        table[:, 2:4] += table[:, :2]
    corners = table[:, :4] / np.tile(np.array(units, dtype=np.float64).reshape(-1, 2), 2)
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    places = np.array(where, dtype=np.int64).reshape(-1, 2)
    known = not chosen.pixels or sizes is not None
    beyond = int(((corners < 0) | (corners > 1)).any(axis=1).sum()) if known else 0
    boxes = core.canonical(np.column_stack([(low + high) / 2, high - low, table[:, 4]]))
    typical = float(np.median(table[:, :4].max(axis=1))) if len(table) else 0.0
    counts = dict(spelt), dict(unread)
    return BoxTable(boxes, places[:, 0], places[:, 1], written, four, cut_short, beyond, *counts, typical)


def _numbers(inner: str) -> list[float] | None:
    try:
        values = [float(part) for part in inner.replace("\N{MINUS SIGN}", "-").split(",")]
    except ValueError:
        return None
    # A sum finds the NaN that a maximum can miss.
    near = max(map(abs, values)) <= core.MAX_COORDINATE and not math.isnan(sum(values))
    return values if len(values) in (4, 5) and near else None


@dataclass(frozen=True)
class Overlaps:
    """Pairs of a predicted and a true box of the same row that may overlap by `MIN_IOU` or more."""

    predicted: Rows
    true: Rows
    iou: Array


def overlaps(predicted: BoxTable, true: BoxTable) -> Overlaps:
    """Every pair whose IoU can reach `MIN_IOU`; rectangles that are equal overlap fully, also without an area."""
    first, second = _pairs(predicted.row, true.row, len(predicted.written))
    a, b = predicted.boxes[first], true.boxes[second]
    half_a, half_b = _half_extents(a), _half_extents(b)
    low = np.maximum(a[:, :2] - half_a, b[:, :2] - half_b)
    high = np.minimum(a[:, :2] + half_a, b[:, :2] + half_b)
    equal = np.asarray(np.isclose(a, b, rtol=0, atol=1e-12).all(axis=1))
    # What the upright frames of two boxes share bounds what the boxes share; for upright boxes it is that.
    area_a, area_b = a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    shared = np.minimum(np.clip(high - low, 0, None).prod(axis=1), np.minimum(area_a, area_b))
    near = np.asarray((shared >= (MIN_IOU - 1e-6) * (area_a + area_b - shared)) & (shared > 0) | equal)
    first, second, a, b, equal, shared = (values[near] for values in (first, second, a, b, equal, shared))
    # Polygons are intersected only where a box is turned: for upright boxes `shared` is exact already.
    turned = (a[:, 4] != 0) | (b[:, 4] != 0)
    if turned.any():
        shared[turned] = shapely.area(shapely.intersection(core.polygons(a[turned]), core.polygons(b[turned])))
    # Equal rectangles without area have 0 / 0; a true point that is answered exactly is right.
    union = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - shared
    iou = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    iou[equal] = 1
    return Overlaps(first, second, iou)


def _pairs(predicted: Rows, true: Rows, rows: int) -> tuple[Rows, Rows]:
    """Numbers of the predicted and the true box of each pair within a row; both sides are sorted by row."""
    counts = np.bincount(true, minlength=rows)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    repeats = counts[predicted]
    first = np.repeat(np.arange(len(predicted)), repeats)
    within = np.arange(len(first)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return first, np.repeat(starts[predicted], repeats) + within


def _half_extents(boxes: Array) -> Array:
    """Half the extent along x and y of turned boxes, (boxes, 2)."""
    cosine, sine = np.abs(np.cos(np.deg2rad(boxes[:, 4]))), np.abs(np.sin(np.deg2rad(boxes[:, 4])))
    width, height = boxes[:, 2], boxes[:, 3]
    return np.column_stack([width * cosine + height * sine, width * sine + height * cosine]) / 2


def by_row(pairs: Overlaps, predicted: BoxTable, true: BoxTable) -> list[Array]:
    """The overlaps of each row, (brackets written, true boxes): a bracket that is no box overlaps nothing."""
    counts = np.bincount(true.row, minlength=len(true.written))
    first = np.concatenate([[0], np.cumsum(counts)])
    tables = [np.zeros((written, count)) for written, count in zip(predicted.written, counts, strict=True)]
    rows = predicted.row[pairs.predicted]
    places = predicted.place[pairs.predicted]
    for row, place, truth, iou in zip(rows, places, pairs.true - first[rows], pairs.iou, strict=True):
        tables[row][place, truth] = iou
    return tables


def matched(pairs: Overlaps, predicted: BoxTable, true: BoxTable, threshold: float) -> Rows:
    """Most pairs with at least this IoU in which no box stands twice: how many in each row, (rows,).

    The size of the largest one-to-one matching (Hopcroft and Karp); a Hungarian assignment that prefers more pairs
    to better ones has the same number.
    """
    # Coordinates are whole numbers of a grid, so an IoU of exactly 0.5 is common: rounding must not decide it.
    keep = pairs.iou >= threshold - 1e-9
    shape = (max(1, len(predicted.boxes)), max(1, len(true.boxes)))
    graph = csr_array((np.ones(keep.sum()), (pairs.predicted[keep], pairs.true[keep])), shape=shape)
    partner = maximum_bipartite_matching(graph, perm_type="column")[: len(predicted.boxes)]
    return np.bincount(predicted.row[partner >= 0], minlength=len(predicted.written))
