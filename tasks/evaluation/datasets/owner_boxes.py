"""From the boxes of owners' files to the one form of tasks.dialogue.boxes: (cx, cy, w, h, angle) in fractions.

That form turns a rectangle in the frame of the fractions. A tilted rectangle of an image that is not square is no
rectangle there; it is held by the smallest one around its corners, as a model could answer it.
"""

import math
from collections.abc import Sequence

import numpy as np
import shapely

from tasks.dialogue import boxes as text_boxes

Box = tuple[float, float, float, float, float]


def upright(sides: Sequence[float], width: float, height: float) -> Box:
    """A box from x1, y1, x2, y2, corners in any order, in pixels or in whatever unit `width` and `height` are in."""
    x1, y1, x2, y2 = sides
    return ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, abs(x2 - x1) / width, abs(y2 - y1) / height, 0.0)


def turned(cx: float, cy: float, w: float, h: float, radians: float, width: float, height: float) -> Box:
    """A box of sides `w`, `h` about a centre, all in pixels, turned clockwise as seen on the screen."""
    cosine, sine = math.cos(radians), math.sin(radians)
    halves = ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2))
    return tilted([(cx + x * cosine - y * sine, cy + x * sine + y * cosine) for x, y in halves], width, height)


def tilted(points: Sequence[tuple[float, float]], width: float, height: float) -> Box:
    """A box from its four corners in pixels.

    Raises:
        ValueError: not four corners, or they enclose no area.
    """
    if len(points) != 4:
        raise ValueError(f"a box has four corners, {len(points)} were given")
    ring = np.array(points) / [width, height]
    envelope = shapely.oriented_envelope(shapely.MultiPoint(ring))
    if envelope.area == 0:
        raise ValueError(f"the corners {points} enclose no area")
    a, b, c = shapely.get_coordinates(envelope)[:3]
    (dx, dy), (cx, cy) = b - a, (a + c) / 2
    box = (cx, cy, math.hypot(dx, dy), math.dist(b, c), math.degrees(math.atan2(dy, dx)))
    return _as_tuple(text_boxes.canonical(np.array([box]))[0])


def read(text: str) -> list[Box]:
    """All boxes of EarthDial's form in a truth.

    Raises:
        BoxError: there is none, or one is malformed.
    """
    return [_as_tuple(row) for row in text_boxes.parse(text, "earthdial")]


def write(boxes: Sequence[Box]) -> str:
    """Boxes in EarthDial's form, in which truths are published."""
    return text_boxes.write(np.array(boxes, dtype=np.float64).reshape(-1, 5), "earthdial")


def _as_tuple(row: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Box:
    cx, cy, w, h, angle = (float(value) for value in row)
    return (cx, cy, w, h, angle)
