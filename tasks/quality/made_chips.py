"""Made-up chips of every kind of source: their masks are drawn first, and everything else is measured of these."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.dialogue.facts import ChipFacts, Label, SourceInfo
from tasks.earth.grid import stable_hash
from tasks.earth.label_masks import SIDE, Box, pack
from tasks.earth.sensors import SENSORS
from tasks.earth.spectral_rules import CLASSES, bands_of
from tasks.quality.made_pixels import measured

Plane = NDArray[np.bool_]
Made = tuple[list[Label], list[SourceInfo]]
COVER = (
    "tree cover", "shrubland", "grassland", "cropland", "built-up", "bare ground", "snow and ice", "water",
    "herbaceous wetland", "mangrove", "moss and lichen",
)  # fmt: skip
MAPPED = (
    "farmland", "forest", "meadow", "residential area", "scrub", "water", "wetland", "orchard", "vineyard",
    "industrial area", "quarry", "cemetery", "golf course",
)  # fmt: skip
LINES = ("railway", "motorway", "river", "power line", "track")
POINTS = ("wind turbine", "storage tank", "parking lot", "swimming pool", "lighthouse")
TAGS = (
    "Broad-leaved forest", "Coniferous forest", "Mixed forest", "Pastures", "Peatbogs", "Water bodies", "Vineyards",
    "Non-irrigated arable land", "Complex cultivation patterns", "Sea and ocean",
)  # fmt: skip
LOOKED_FOR = ("wind turbine", "storage tank", "solar farm", "parking lot", "lighthouse", "stadium", "swimming pool")
CHANGES = ("forest loss since 2000", "forest gain 2000 to 2012")
PLACES: Sequence[tuple[str | None, float, float]] = (
    ("Germany", 12.6, 52.5), ("Portugal", -7.9, 39.4), ("United States of America", -87.4, 30.7), ("Kenya", 36.8, -1.3),
    ("Malaysia", 116.5, 5.4), ("Brazil", -51.2, -30.0), ("Australia", 149.1, -35.3), ("Finland", 25.5, 62.2),
    (None, 6.1, 50.8),
)  # fmt: skip
COMPASS = ("north-west", "north", "north-east", "west", "centre", "east", "south-west", "south", "south-east")
EACH = 20
"""Made-up chips of each kind of source and sensor that the published figures are of."""
CELL = 640.0
"""Metres of a cell of the grid."""


def place_of(plane: Plane) -> str:
    """Third of the chip, in each direction, that holds the centre of mass."""
    rows, columns = np.nonzero(plane)
    row, column = (min(int((axis.mean() + 0.5) / SIDE * 3), 2) for axis in (rows, columns))
    return COMPASS[3 * row + column]


def area(name: str, source: str, plane: Plane, kind: str = "area", **more: Any) -> Label:
    """A label that covers a share of the chip."""
    return Label(
        name, source, kind, float(plane.mean()), more.pop("count", None), place_of(plane), mask=pack(plane), **more
    )


def partition(draw: random.Random, names: Sequence[str]) -> dict[str, Plane]:
    """The whole chip shared out among some of the classes, in patches around points."""
    seeds = [(draw.random() * SIDE, draw.random() * SIDE, draw.choice(names)) for _ in range(draw.randint(4, 9))]
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    nearest = np.argmin([(x - a) ** 2 + (y - b) ** 2 for a, b, _ in seeds], axis=0)
    chosen = np.array([name for *_, name in seeds], dtype=object)[nearest]
    return {name: plane for name in names if (plane := np.asarray(chosen == name, dtype=bool)).mean() >= 0.02}


def rectangle(draw: random.Random, small: bool) -> Box:
    """A box in the chip, on the borders of cells."""
    low, high = (1, 2) if small else (5, 14)
    width, height = draw.randint(low, high), draw.randint(low, high)
    left, top = draw.randint(0, SIDE - width), draw.randint(0, SIDE - height)
    return left / SIDE, top / SIDE, (left + width) / SIDE, (top + height) / SIDE


def cells(box: Box) -> Plane:
    """The cells of a box."""
    plane = np.zeros((SIDE, SIDE), dtype=bool)
    x1, y1, x2, y2 = (round(edge * SIDE) for edge in box)
    plane[y1:y2, x1:x2] = True
    return plane


def features(draw: random.Random, taken: Plane, most: int, small: bool = False) -> tuple[tuple[Box, ...], Plane]:
    """Up to `most` boxes that touch nothing that is taken, and where they lie; `taken` then holds them as well."""
    boxes: list[Box] = []
    plane = np.zeros_like(taken)
    for _ in range(most * 8):
        box = rectangle(draw, small)
        x1, y1, x2, y2 = (round(edge * SIDE) for edge in box)
        if len(boxes) < most and not taken[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1].any():
            boxes.append(box)
            plane |= cells(box)
            taken |= cells(box)
    return tuple(sorted(boxes, key=lambda b: -(b[2] - b[0]) * (b[3] - b[1]))), plane


def some_cover(draw: random.Random, count: int) -> list[str]:
    """Classes of land cover; not mangrove beside tree cover, for mangroves are trees as well."""
    left_out = draw.choice(("tree cover", "mangrove"))
    return draw.sample([name for name in COVER if name != left_out], count)


def land_cover(draw: random.Random, side: float) -> Made:
    """A complete raster that shares out the whole chip."""
    present = some_cover(draw, draw.randint(2, 5))
    labels = [area(name, "esa-worldcover", plane) for name, plane in partition(draw, present).items()]
    return labels, [SourceInfo("esa-worldcover", "raster", True, COVER)]


def islands(draw: random.Random, side: float) -> Made:
    """A complete raster of one class with compact patches of others in it."""
    ground, *others = some_cover(draw, draw.randint(3, 4))
    taken = np.zeros((SIDE, SIDE), dtype=bool)
    found = {name: features(draw, taken, 1)[1] for name in others}
    planes = {ground: ~taken, **{name: plane for name, plane in found.items() if plane.any()}}
    labels = [area(name, "esa-worldcover", plane) for name, plane in planes.items()]
    return labels, [SourceInfo("esa-worldcover", "raster", True, COVER)]


def mapped(draw: random.Random, side: float) -> Made:
    """Polygons, lines and points of volunteers, who may have left out any of them."""
    taken = np.zeros((SIDE, SIDE), dtype=bool)
    labels: list[Label] = []
    for name in draw.sample(MAPPED, draw.randint(2, 4)):
        boxes, plane = features(draw, taken, draw.choice((1, 1, 2, 3)))
        if boxes:
            labels.append(area(name, "osm", plane, count=len(boxes), boxes=boxes))
    labels += [line(name, draw, side) for name in draw.sample(LINES, draw.randint(0, 2))]
    labels += points(draw, "osm", draw.sample(POINTS, draw.randint(0, 2)), taken)
    return labels, [SourceInfo("osm", "osm", False, tuple(sorted({*MAPPED, *LINES, *POINTS})))]


def surveyed(draw: random.Random, side: float) -> Made:
    """Polygons of an office that maps every one of its classes."""
    taken = np.zeros((SIDE, SIDE), dtype=bool)
    labels = []
    for name in draw.sample(MAPPED, draw.randint(2, 4)):
        boxes, plane = features(draw, taken, draw.choice((1, 1, 2, 3)))
        if boxes:
            labels.append(area(name, "land-register", plane, count=len(boxes), boxes=boxes))
    return labels, [SourceInfo("land-register", "polygon", True, MAPPED)]


def line(name: str, draw: random.Random, side: float) -> Label:
    """A straight line from the left to the right edge."""
    row = draw.randrange(4, SIDE - 4)
    plane = np.zeros((SIDE, SIDE), dtype=bool)
    plane[row] = True
    return Label(
        name,
        "osm",
        "line",
        None,
        1,
        place_of(plane),
        side,
        boxes=((0.0, row / SIDE, 1.0, (row + 1) / SIDE),),
        mask=pack(plane),
    )


def points(draw: random.Random, source: str, names: Sequence[str], taken: Plane) -> list[Label]:
    """Small things, counted."""
    out = []
    for name in names:
        boxes, plane = features(draw, taken, draw.randint(1, 7), small=True)
        if boxes:
            out.append(Label(name, source, "point", None, len(boxes), place_of(plane), boxes=boxes, mask=pack(plane)))
    return out


def tagged(draw: random.Random, side: float) -> Made:
    """Classes that hold somewhere around the chip."""
    given = draw.sample(TAGS, draw.randint(2, 4))
    labels = [Label(name, "corine", "tag", None, None, None, date="2018") for name in given]
    return labels, [SourceInfo("corine", "tag", True, TAGS)]


def changed(draw: random.Random, side: float) -> Made:
    """A raster of forest and of its change; some chips have none."""
    names = ("dense forest", "open forest", "open land")
    labels = [area(name, "forest-change", plane) for name, plane in partition(draw, names).items()]
    taken = np.zeros((SIDE, SIDE), dtype=bool)
    for name in CHANGES:
        _, plane = features(draw, taken, draw.choice((0, 1, 1, 2)))
        if plane.any():
            labels.append(area(name, "forest-change", plane, "change"))
    return labels, [SourceInfo("forest-change", "raster", True, (*names, *CHANGES), CHANGES)]


def searched(draw: random.Random, side: float) -> Made:
    """Objects of a source that was searched for some of its labels, which are then known to be absent."""
    looked_for = draw.sample(LOOKED_FOR, 5)
    labels = points(draw, "satlas", draw.sample(looked_for, draw.randint(1, 3)), np.zeros((SIDE, SIDE), dtype=bool))
    return labels, [SourceInfo("satlas", "satlas", True, LOOKED_FOR, (), frozenset(looked_for))]


def derived(draw: random.Random, side: float) -> Made:
    """Rules on the chip's own bands."""
    present = draw.sample(CLASSES, draw.randint(2, 4))
    labels = [area(name, "spectral-rules", plane) for name, plane in partition(draw, present).items()]
    return labels, [SourceInfo("spectral-rules", "spectral", True, CLASSES)]


MAKERS: Mapping[str, Callable[[random.Random, float], Made]] = {
    "land-cover": land_cover,
    "islands": islands,
    "mapped": mapped,
    "surveyed": surveyed,
    "tagged": tagged,
    "changed": changed,
    "searched": searched,
    "derived": derived,
}


def made_chips(each: int = EACH, seed: int = 0) -> Iterator[ChipFacts]:
    """`each` chips of every kind of source and sensor, the same for the same seed."""
    for sensor in SENSORS.values():
        for kind, make in MAKERS.items():
            if kind == "derived" and not bands_of(sensor):
                continue
            for number in range(each):
                chip_id = f"made-{sensor.name}-{kind}-{number:03d}"
                draw = random.Random(stable_hash(f"{seed}/{chip_id}"))
                side = CELL * float(sensor.window_cells)
                country, longitude, latitude = draw.choice(PLACES)
                taken = datetime(draw.randint(2016, 2023), draw.randint(1, 12), draw.randint(8, 21), 10, 20, tzinfo=UTC)
                labels, sources = make(draw, side)
                yield ChipFacts(
                    chip_id=chip_id,
                    sensor=sensor.name,
                    labels=tuple(labels),
                    sources={source.name: source for source in sources},
                    platform=sensor.name,
                    taken=taken,
                    longitude=longitude,
                    latitude=latitude,
                    country=country,
                    side=side,
                    pixels=measured(draw, sensor),
                )
