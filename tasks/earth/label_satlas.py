"""SatlasPretrain's labels: one `vector.json` a tile, with the classes that were looked for there.

A tile is named `<column>_<row>` in the grid of Web Mercator at zoom 13; positions in it are 0 to 8192 from its
north-west corner, and may lie beyond it. A class with an empty list was looked for and is absent; one without a key
was not looked for. Layout: SatlasPretrain.md of github.com/allenai/satlas.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from tasks.core.errors import VectorFileError
from tasks.earth import lonlat_shapes
from tasks.earth.label_dates import Interval
from tasks.earth.label_features import Box, Extent, Labelled, Sheet
from tasks.earth.label_params import SourceParams

TILE_NAME = re.compile(r"(\d{1,4})_(\d{1,4})")
ZOOM, UNITS = 13, 8192
HALF = 20_037_508.342789244
"""Metres from the middle of Web Mercator to its edges."""
SIDE = 2 * HALF / 2**ZOOM
"""Metres of a tile's side, in Web Mercator."""
MERCATOR = CRS.from_epsg(3857)
LARGEST = 100_000_000
"""Bytes of a vector.json."""
SAME = timedelta(days=1)
"""Labels of a moment, as of aeroplanes, hold for a scene that was taken within this time of them."""
PLAIN = {"metadata"}


def sheets(root: Path, params: SourceParams, date: Interval | None) -> tuple[list[Sheet], list[Any]]:
    """A sheet for each vector.json under a folder, and where its tile lies; files are read when they are needed.

    Raises:
        VectorFileError: there is none, or one lies in no folder that is named after a tile.
    """
    files = sorted(root.rglob("vector.json"))
    if not files:
        raise VectorFileError("missing", f"{root} is not there, or holds no vector.json")
    found, places = [], []
    for file in files:
        column, row = tile_of(file)
        place = _lonlat(shapely.box(*_bounds(column, row)))
        document = read(file)
        when = moment(file, document) or date
        looked_for = frozenset(_label(name, params) for name in document if _is_known(name, document[name]))
        load = partial(_load, file, column, row, params)
        found.append(Sheet(str(file), when, load, [Extent(place, looked_for)]))
        places.append(place)
    return found, places


def holds(sheet: Any, when: datetime | None) -> bool:
    """Whether a sheet's labels hold for a scene: those that change slowly always, those of a moment near it."""
    if sheet.date is None or sheet.date.end - sheet.date.start > 2 * SAME:
        return True
    return when is not None and sheet.date.away(when) <= SAME.total_seconds()


def tile_of(file: Path) -> tuple[int, int]:
    """(column, row) of the tile that a file belongs to, by the folders it lies in."""
    for folder in reversed(file.parts[:-1]):
        if (match := TILE_NAME.fullmatch(folder)) and all(int(number) < 2**ZOOM for number in match.groups()):
            return int(match[1]), int(match[2])
    raise VectorFileError("format", f"{file} lies in no folder named <column>_<row> after a tile of zoom {ZOOM}")


def read(file: Path) -> dict[str, Any]:
    """The classes of a tile with their features.

    Raises:
        VectorFileError: it is not a mapping of lists.
    """
    try:
        if (size := file.stat().st_size) > LARGEST:
            raise VectorFileError("too-large", f"{file} has {size} bytes; {LARGEST} are read")
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise VectorFileError("unreadable", f"{file} is not JSON: {error}") from error
    if not isinstance(document, dict) or not all(
        isinstance(features, list) for name, features in document.items() if name not in PLAIN
    ):
        raise VectorFileError("format", f"{file} is not SatlasPretrain's: it has no list of features for each class")
    return document


def moment(file: Path, document: dict[str, Any]) -> Interval | None:
    """The time that labels of a moment hold for; None for those that change slowly.

    Raises:
        VectorFileError: it cannot be read.
    """
    metadata = document.get("metadata") or {}
    try:
        if not metadata.get("Start"):
            return None
        start, end = (datetime.fromisoformat(metadata[key]) for key in ("Start", "End"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise VectorFileError("format", f"{file}: its Start and End cannot be read: {error}") from error
    return Interval(*sorted(time if time.tzinfo else time.replace(tzinfo=UTC) for time in (start, end)))


def _load(file: Path, column: int, row: int, params: SourceParams, box: Box) -> Labelled:
    shapes, labels = [], []
    for name, features in read(file).items():
        if not _is_known(name, features) or _is_of_tile(name, features):
            continue
        for feature in features:
            try:
                shape = shapely.make_valid(_shape(feature["Geometry"]))
            except (KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
                raise VectorFileError("format", f"{file}: a feature of '{name}' cannot be read: {error!r}") from error
            if not shape.is_empty:
                shapes.append(shape)
                labels.append(_label(name, params))
    left, _, _, top = _bounds(column, row)
    scale = SIDE / UNITS
    placed = shapely.transform(np.array(shapes, dtype=object), lambda xy: np.array([left, top]) + xy * [scale, -scale])
    return Labelled(placed, np.array(labels, dtype=str), MERCATOR)


def _is_of_tile(name: str, features: list[Any]) -> bool:
    """Whether a class is said of the whole tile, by a property of its own name: {"smoke": 0}, no smoke."""
    return any(isinstance(one, dict) and name in (one.get("Properties") or {}) for one in features)


def _is_known(name: str, features: Any) -> bool:
    """Whether it is known where a class is: of one that holds somewhere in a tile of 5 km, it is not."""
    if name in PLAIN:
        return False
    return not _is_of_tile(name, features) or all(not one["Properties"][name] for one in features)


def _label(name: str, params: SourceParams) -> str:
    """A class as people say it: wind_turbine, wind turbine."""
    return params.rename.get(name, name.replace("_", " "))


def _shape(geometry: dict[str, Any]) -> Any:
    match geometry["Type"]:
        case "point":
            return shapely.Point(*map(float, geometry["Point"][:2]))
        case "polyline":
            return shapely.LineString(geometry["Polyline"])
        case "polygon":
            return shapely.Polygon(geometry["Polygon"][0], geometry["Polygon"][1:])
    raise ValueError(f"type {geometry['Type']!r}")


def _bounds(column: int, row: int) -> tuple[float, float, float, float]:
    left, top = -HALF + column * SIDE, HALF - row * SIDE
    return left, top - SIDE, left + SIDE, top


def _lonlat(shape: Any) -> Any:
    return lonlat_shapes.to_lonlat(np.array([shape], dtype=object), MERCATOR)[0]
