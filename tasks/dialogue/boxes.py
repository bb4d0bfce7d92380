"""Boxes in text: one parser and one writer, for training, evaluation and chat.

Inside the code boxes are an array (N, 5): centre x, centre y, width, height as fractions of the image, and an angle.
**The angle** is in degrees, within [-45, 45), from the x axis towards the y axis, which points down: clockwise on the
screen. Every rectangle has exactly one such form, and one whose sides follow the axes has angle 0, whatever was
written: EarthDial's data has 90 on a third of such boxes (spec, section 1.5). The rectangle turns about its centre in
the frame of the fractions, as in EarthDial's scorer: on an image that is not square its corners are not right angles.

In text two forms are written. `FORMS["internvl"]`, the default: whole numbers 0 to 1000, `[[x1, y1, x2, y2], [...]]`, a
fifth number where a box is turned. `FORMS["earthdial"]`: 0 to 100, always with the angle, 0 to 179, each box in
brackets of its own, `[[x1, y1, x2, y2, a]][[...]]`. Three more are read: 0 to 1, pixels, COCO's pixels with width and
height; and whatever `box_spellings` knows by its signs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import Polygon, mapping
from shapely.geometry.base import BaseGeometry

from tasks.core.errors import EarthloomError
from tasks.dialogue.box_spellings import rewritten

Boxes = NDArray[np.float64]
INNERMOST = re.compile(r"\[([^\[\]]*)\]")
MAX_BOXES = 10_000
"""Boxes of one text; more is not an answer."""
DECIMALS = 7
"""Of a degree: about a centimetre."""
MAX_COORDINATE = 1e6
"""Larger numbers cannot be a position in or near an image."""


class BoxError(EarthloomError, ValueError):
    """A text that should hold boxes holds none, or one that is not a box."""


@dataclass(frozen=True)
class ParsedBoxes:
    """The boxes read from a text, and why the rest of it could not be read as boxes."""

    boxes: Boxes
    refused: tuple[str, ...]
    """One reason for each bracket that is not a box."""


@dataclass(frozen=True)
class Form:
    """How boxes are written."""

    name: str
    grid: int
    """Units of the whole image along either side."""
    always_angle: bool
    own_brackets: bool
    """Each box in double brackets of its own."""
    pixels: bool = False
    """Numbers are pixels: fractions need the size of the image, overlaps of boxes of one image do not."""
    sides: bool = False
    """The third and fourth number are width and height, not a corner."""


FORMS = {
    "internvl": Form("internvl", 1000, always_angle=False, own_brackets=False),
    "earthdial": Form("earthdial", 100, always_angle=True, own_brackets=True),
}
READ = {
    **FORMS,
    "unit": Form("unit", 1, always_angle=False, own_brackets=False),
    "pixels": Form("pixels", 1, always_angle=False, own_brackets=False, pixels=True),
    "coco": Form("coco", 1, always_angle=False, own_brackets=False, pixels=True, sides=True),
}
"""Also those that no model here writes."""
DEFAULT = "internvl"


def form(name: str) -> Form:
    """A form by its name.

    Raises:
        BoxError: no form has that name.
    """
    if name not in READ:
        raise BoxError(f"boxes have no form '{name}'; allowed: {', '.join(READ)}")
    return READ[name]


def parse(text: str, form_name: str = DEFAULT) -> Boxes:
    """All boxes of a text, in its order: (N, 5), in the one form of this module.

    Brackets may be double or triple, boxes separated or not; a minus may be Unicode's. Corners may come in any order.
    Numbers beyond the grid are kept, for `outside` to find: published truths go up to 131 of 100.

    Raises:
        BoxError: there is no box, or a bracket in brackets is not four or five numbers, or is cut short.
    """
    found = find(text, form_name)
    if found.refused:
        raise BoxError("; ".join(found.refused[:3]) + (" ..." if len(found.refused) > 3 else ""))
    return found.boxes


def find(text: str, form_name: str = DEFAULT) -> ParsedBoxes:
    """As `parse`, of a text that may be a model's: what is not a box is reported beside the boxes, to be counted.

    The last box of an answer that reached its maximum length is cut short: 63 of 1,601 published answers have one.

    Raises:
        BoxError: there is no form of that name.
    """
    chosen = form(form_name)
    grid = chosen.grid
    read = rewritten(text, None if chosen.pixels else (grid, grid))
    text = read.text
    brackets = INNERMOST.findall(text)
    if len(brackets) > MAX_BOXES:
        return ParsedBoxes(np.empty((0, 5)), (f"{len(brackets)} boxes in one text, {MAX_BOXES} at most",))
    rows: list[list[float]] = []
    refused = [*read.unread]
    for bracket in brackets:
        try:
            rows.append(_numbers(bracket))
        except BoxError as error:
            refused.append(str(error))
    if text.count("[") != text.count("]"):
        refused.append(f"{_short(text, end=True)} ends within a box, or its brackets do not match")
    elif not brackets:
        refused.append(f"no box in {_short(text)}; a box is [[x1, y1, x2, y2]]")
    table = np.array(rows).reshape(-1, 5)
    if chosen.sides:
        table[:, 2:4] += table[:, :2]
    edges, angle = table[:, :4] / grid, table[:, 4]
    low, high = np.minimum(edges[:, :2], edges[:, 2:]), np.maximum(edges[:, :2], edges[:, 2:])
    return ParsedBoxes(canonical(np.column_stack([(low + high) / 2, high - low, angle])), tuple(refused))


def _numbers(bracket: str) -> list[float]:
    """x1, y1, x2, y2 and the angle."""
    parts = bracket.replace("\N{MINUS SIGN}", "-").split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        raise BoxError(f"[{_short(bracket)}] is not a box of numbers") from None
    if len(values) not in (4, 5):
        raise BoxError(f"[{_short(bracket)}] has {len(values)} numbers; a box has 4, or 5 with its angle")
    if not np.isfinite(values).all():
        raise BoxError(f"[{_short(bracket)}] has a number that is none")
    if max(map(abs, values)) > MAX_COORDINATE:
        raise BoxError(f"[{_short(bracket)}] has a number that is no place in an image")
    return values if len(values) == 5 else [*values, 0.0]


def _short(text: str, end: bool = False) -> str:
    if len(text) <= 60:
        return repr(text)
    return repr("..." + text[-57:] if end else text[:57] + "...")


def canonical(boxes: Boxes) -> Boxes:
    """The same rectangles with angles within [-45, 45): a quarter turn swaps the sides."""
    out = np.array(boxes, dtype=np.float64).reshape(-1, 5)
    quarters = np.floor((out[:, 4] + 45) / 90)
    out[:, 4] -= 90 * quarters
    odd = quarters % 2 == 1
    out[odd, 2:4] = out[odd, 3:1:-1]
    return out


def outside(boxes: Boxes, tolerance: float = 1e-9) -> NDArray[np.bool_]:
    """Which boxes reach beyond the image, (N,)."""
    points = corners(boxes, 1, 1)
    return np.asarray(((points < -tolerance) | (points > 1 + tolerance)).any((1, 2)))


def write(boxes: Boxes, form_name: str = DEFAULT) -> str:
    """Boxes as text; `parse` gives them back to half a unit of the grid and half a degree.

    Raises:
        BoxError: the form is only read.
    """
    chosen = form(form_name)
    if form_name not in FORMS:
        raise BoxError(f"boxes are read as '{form_name}', and not written so")
    out = canonical(boxes)
    corners_ = np.concatenate([out[:, :2] - out[:, 2:4] / 2, out[:, :2] + out[:, 2:4] / 2], axis=1)
    units = np.rint(corners_ * chosen.grid).astype(int).tolist()
    angles = (np.rint(out[:, 4]).astype(int) % 180).tolist()
    rows = [
        f"[{', '.join(map(str, [*unit, angle] if angle or chosen.always_angle else unit))}]"
        for unit, angle in zip(units, angles, strict=True)
    ]
    return "".join(f"[{row}]" for row in rows) if chosen.own_brackets else f"[{', '.join(rows)}]"


def corners(boxes: Boxes, width: float, height: float) -> NDArray[np.float64]:
    """The four corners of each box in pixels of an image, (N, 4, 2) as (x, y), clockwise from the upper left."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 5)
    unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    local = unit * boxes[:, None, 2:4]
    turn = np.deg2rad(boxes[:, 4])[:, None]
    x = local[..., 0] * np.cos(turn) - local[..., 1] * np.sin(turn)
    y = local[..., 0] * np.sin(turn) + local[..., 1] * np.cos(turn)
    return np.stack([(x + boxes[:, :1]) * width, (y + boxes[:, 1:2]) * height], axis=-1)


def polygons(boxes: Boxes) -> NDArray[Any]:
    """The boxes as shapely polygons in fractions of the image, (N,)."""
    return np.asarray(shapely.polygons(corners(boxes, 1, 1)))


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union of every box of `a` with every one of `b`, (len(a), len(b)); 0 if both are empty."""
    first, second = polygons(a)[:, None], polygons(b)[None]
    shared = shapely.area(shapely.intersection(first, second))
    union = shapely.area(first) + shapely.area(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def to_geojson(
    boxes: Boxes, transform: Any, crs: Any, width: int, height: int, labels: Sequence[str] | None = None
) -> dict[str, Any]:
    """The boxes as a GeoJSON FeatureCollection in lon/lat (RFC 7946), a feature each with its `label`.

    Args:
        boxes: (N, 5).
        transform: affine of the image, from (column, row) to the coordinates of `crs`.
        crs: anything pyproj understands.
        width, height: of the image in pixels.
        labels: one for each box.

    Raises:
        BoxError: boxes and labels differ in number.
    """
    names = list(labels) if labels is not None else [""] * len(boxes)
    if len(names) != len(boxes):
        raise BoxError(f"{len(boxes)} boxes, but {len(names)} labels")
    points = corners(boxes, width, height)
    x, y = transform @ (points[..., 0], points[..., 1])
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    features = [
        {"type": "Feature", "geometry": _geometry(*ring), "properties": {"label": name}}
        for *ring, name in zip(lon, lat, names, strict=True)
    ]
    return {"type": "FeatureCollection", "features": features}


def _geometry(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> dict[str, Any]:
    """A polygon whose outer ring runs counter-clockwise; two where it crosses the antimeridian (RFC 7946, 3.1.9)."""
    shape: BaseGeometry = Polygon(np.stack([lon, lat], axis=-1))
    if np.ptp(lon) > 180 or np.abs(lon).max() > 180:
        whole = Polygon(np.stack([lon % 360, lat], axis=-1))
        east, west = (shapely.intersection(whole, shapely.box(left, -90, left + 180, 90)) for left in (0, 180))
        shape = shapely.union_all([east, shapely.transform(west, lambda points: points - [360, 0])])
    rounded = shapely.transform(shapely.orient_polygons(shape), lambda points: points.round(DECIMALS))
    return dict(mapping(rounded))
