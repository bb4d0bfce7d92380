"""How other models write boxes, a row a spelling: each is rewritten as the brackets that `tasks.dialogue.boxes` reads.

A spelling whose signs name its scale is read whatever else the text has. What only its numbers could tell (0 to 1, to
100, to 1000, or pixels) is no spelling: there the form is given.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import shapely

NUMBER = r"[-\N{MINUS SIGN}]?(?:\d+(?:\.\d*)?|\.\d+)"
DIGITS = re.compile(NUMBER)
FOREIGN = re.compile(r"[{(<;]|\d\s+-?[\d.]|\d\s*\]\s*,\s*\[|(?:,[^\[\],]*){7}")
"""Without one of these a text has no spelling but the plain brackets."""
Units = tuple[float, float]
"""Units of the image along x and along y."""
Corners = Callable[[Sequence[float]], Sequence[float] | None]


def _corners(numbers: Sequence[float]) -> Sequence[float] | None:
    """x1, y1, x2, y2 and an angle if there is a fifth; of eight numbers the smallest rectangle around them."""
    return rectangle(numbers) if len(numbers) == 8 else numbers if len(numbers) in (4, 5) else None


def _rows_first(numbers: Sequence[float]) -> Sequence[float] | None:
    """From y1, x1, y2, x2."""
    return (numbers[1], numbers[0], numbers[3], numbers[2]) if len(numbers) == 4 else None


def _bins(numbers: Sequence[float]) -> Sequence[float] | None:
    """From the numbers of cells, to their middles."""
    return [number + 0.5 for number in numbers] if len(numbers) == 4 else None


@dataclass(frozen=True)
class Spelling:
    """One way to write a box."""

    name: str
    """Who writes so."""
    pattern: re.Pattern[str]
    """One box, its numbers included."""
    grid: float | None
    """Units of the image along either side; None for pixels, which need its size."""
    corners: Corners = _corners
    """From the numbers, in their order."""


PAIR = rf"\(\s*{NUMBER}\s*,\s*{NUMBER}\s*\)"
SPELLINGS = (
    Spelling("GeoChat", re.compile(rf"\{{\s*(?:<\s*{NUMBER}\s*>[\s,]*){{4,8}}(?:\|[\s<]*{NUMBER}[\s>]*)?\}}"), 100),
    Spelling("Florence-2", re.compile(r"(?:<loc_\d+>\s*){4}"), 1000, _bins),
    Spelling("PaliGemma", re.compile(r"(?:<loc\d{4}>\s*){4}"), 1024, _rows_first),
    Spelling("Qwen-VL", re.compile(rf"<quad>\s*{PAIR}(?:[\s,]*{PAIR}){{3}}\s*(?:</quad>)?"), 1000),
    Spelling("Qwen-VL", re.compile(rf"(?:<box>|<\|box_start\|>)\s*{PAIR}[\s,]*{PAIR}(?:</box>|<\|box_end\|>)?"), 1000),
    Spelling("DeepSeek-VL2", re.compile(rf"(?<=<\|det\|>)\[?\[\s*{NUMBER}(?:\s*,\s*{NUMBER}){{3}}\s*\]\]?"), 999),
    Spelling("Gemini", re.compile(r"""\{[^{}]*["']box_2d["']\s*:\s*\[([^\[\]]*)\][^{}]*\}"""), 1000, _rows_first),
    Spelling("Qwen2.5-VL", re.compile(r"""\{[^{}]*["']bbox_2d["']\s*:\s*\[([^\[\]]*)\][^{}]*\}"""), None),
)  # fmt: skip
"""In the order they are looked for. The quotes around a key of JSON may be Python's."""
POINTS = re.compile(r"<patch_index_\d+>|<points?\s[^>]*>|\{\s*<\s*\d|<loc_?\d|<box>\s*\(|<\|box_start\|>\s*\(|<quad>")
"""What stands for places and cannot be read: KOSMOS-2's patches, Molmo's points, and the start of a box cut short."""
SIDES = re.compile(r'\{[^{}]*"(?:x1|xmin|x_min|left)"\s*:[^{}]*\}')
NAMED = (("x1", "xmin", "x_min", "left"), ("y1", "ymin", "y_min", "top"),
         ("x2", "xmax", "x_max", "right"), ("y2", "ymax", "y_max", "bottom"))  # fmt: skip
"""Keys of the four sides where an object names them."""
LINE = re.compile(rf"^[ \t]*((?:{NUMBER}[ \t]+){{7}}{NUMBER})(?:[ \t]+\S.*)?$", re.MULTILINE)
"""A line of DOTA's labels: eight numbers, the class, how difficult it is."""
EIGHT = re.compile(rf"\[\s*(?:{NUMBER}\s*,\s*){{7}}{NUMBER}\s*\]")
FOUR_POINTS = re.compile(rf"\[\s*(?:[\[(]\s*{NUMBER}\s*,\s*{NUMBER}\s*[\])][\s,]*){{4}}\]")
"""A quadrilateral as four pairs."""
TWO_POINTS = re.compile(
    rf"\[\s*\[\s*{NUMBER}\s*,\s*{NUMBER}\s*\]\s*,\s*\[\s*{NUMBER}\s*,\s*{NUMBER}\s*\]\s*\]|{PAIR}[\s,]*{PAIR}"
)
"""Two corners as pairs, in brackets or not."""
SPACED = re.compile(rf"\[\s*{NUMBER}(?:\s+{NUMBER}){{3,7}}\s*\]")
"""Numbers between spaces, as numpy prints them."""
SEMICOLONS = re.compile(r"\[[\d\s,.-]+(?:;[\d\s,.-]+)+\]")
"""Several boxes in one pair of brackets, as CogVLM writes."""


@dataclass(frozen=True)
class Rewritten:
    """A text whose boxes are all in brackets."""

    text: str
    spelt: tuple[str, ...]
    """Whose spelling each rewritten box had."""
    unread: tuple[str, ...]
    """What stands for a place and could not be read, with what is missing."""


def rewritten(text: str, units: Units | None, size: Units | None = None) -> Rewritten:
    """The text with every known spelling as `[[x1, y1, x2, y2, angle]]`.

    Args:
        text: of a model, or a truth.
        units: of the image in the brackets; None for pixels of an image whose size is not known.
        size: width and height of the image in pixels, for spellings in pixels.
    """
    if not FOREIGN.search(text):
        return Rewritten(text, (), ())
    spelt: list[str] = []
    unread: list[str] = []
    for spelling in SPELLINGS:
        text = spelling.pattern.sub(partial(_written, spelling, units, size, spelt, unread), text)
    text = SIDES.sub(partial(_by_name, spelt), text)
    text = SPACED.sub(lambda match: ", ".join(match[0].split()).replace("[, ", "[").replace(", ]", "]"), text)
    for name, pattern in (("quadrilateral", FOUR_POINTS), ("quadrilateral", EIGHT), ("pairs", TWO_POINTS)):
        text = pattern.sub(partial(_plain, name, spelt), text)
    text = LINE.sub(partial(_plain, "quadrilateral", spelt), text)
    text = SEMICOLONS.sub(lambda match: match[0].replace(";", "], ["), text)
    unread += [f"{mark.strip()[:12]}: a place of no known scale, or cut short" for mark in POINTS.findall(text)]
    return Rewritten(text, tuple(spelt), tuple(unread))


def numbers_in(text: str) -> list[float]:
    """All numbers of a text."""
    return [float(number.replace("\N{MINUS SIGN}", "-")) for number in DIGITS.findall(text)]


def _written(
    spelling: Spelling, units: Units | None, size: Units | None, spelt: list[str], unread: list[str],
    match: re.Match[str],
) -> str:  # fmt: skip
    box = spelling.corners(numbers_in(match[1] if match.re.groups else match[0]))
    if box is None:
        return match[0]
    given = size if spelling.grid is None else (spelling.grid, spelling.grid)
    if units is None and spelling.grid is None:
        given = units = (1.0, 1.0)  # pixels beside pixels
    if given is None or units is None:
        unread.append(
            f"{spelling.name}: {'pixels' if spelling.grid is None else 'fractions'}, and no size of the image"
        )
        return ""
    scaled = [value * units[place % 2] / given[place % 2] for place, value in enumerate(box[:4])]
    spelt.append(spelling.name)
    return _brackets([*scaled, *box[4:]])


def _by_name(spelt: list[str], match: re.Match[str]) -> str:
    try:
        fields = json.loads(match[0])
        sides = [next(fields[name] for name in names if name in fields) for names in NAMED]
        box = [float(side) for side in sides]
    except (ValueError, TypeError, StopIteration):
        return match[0]
    spelt.append("named sides")
    return _brackets(box)


def _plain(name: str, spelt: list[str], match: re.Match[str]) -> str:
    numbers = numbers_in(match[1] if match.re.groups else match[0])
    box = rectangle(numbers) if len(numbers) == 8 else numbers
    if box is None:
        return match[0]
    spelt.append(name)
    return _brackets(box)


def _brackets(box: Sequence[float]) -> str:
    return f"[[{', '.join(repr(float(number)) for number in box)}]]"


def rectangle(numbers: Sequence[float]) -> list[float] | None:
    """The smallest rectangle around four corners: x1, y1, x2, y2 before it is turned, and the angle in degrees.

    Of a rectangle it is that itself; an irregular quadrilateral of DOTA becomes what its OBB task scores. None where
    the corners have no area.
    """
    points = np.array(numbers, dtype=np.float64).reshape(4, 2)
    if not np.isfinite(points).all() or np.abs(points).max() > 1e9:
        return None
    turned = shapely.oriented_envelope(shapely.MultiPoint(points))
    if not isinstance(turned, shapely.Polygon) or turned.area == 0:
        return None
    ring = np.asarray(turned.exterior.coords)[:4]
    first, second = ring[1] - ring[0], ring[2] - ring[1]
    width, height = float(np.hypot(*first)), float(np.hypot(*second))
    angle = float(np.rad2deg(np.arctan2(first[1], first[0])))
    x, y = ring.mean(axis=0).tolist()
    if abs(angle / 90 - round(angle / 90)) < 1e-9:
        angle = 90.0 * round(angle / 90)
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2, angle]
