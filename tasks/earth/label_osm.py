"""OpenStreetMap extracts as labels: tags stand for labels as label_osm.toml says; areas are put together by osmium."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from tasks.core.errors import VectorFileError
from tasks.earth.label_dates import Interval
from tasks.earth.label_features import Box, Labelled, Sheet
from tasks.earth.label_params import SourceParams

SUFFIXES = (".osm.pbf", ".pbf")
LARGEST = 2_000_000_000
"""Bytes of an extract: all of its labelled features are held in memory."""
TABLE = Path(__file__).with_suffix(".toml")
WGS84 = CRS.from_epsg(4326)


@cache
def table() -> Mapping[str, Mapping[tuple[str, str], list[str]]]:
    """area, line or object -> (key, value) -> labels."""
    out: dict[str, dict[tuple[str, str], list[str]]] = {}
    for kind, labels in tomllib.loads(TABLE.read_text()).items():
        tags = out.setdefault(kind, {})
        for label, selectors in labels.items():
            for selector in selectors:
                key, _, value = selector.partition("=")
                tags.setdefault((key, value), []).append(label)
    return out


def classes_of(tags: Mapping[str, str], *kinds: str) -> set[str]:
    """The labels that tags stand for.

    Args:
        tags: of one object.
        kinds: area, line or object; none: all.
    """
    found: set[str] = set()
    for kind in kinds or table():
        known = table()[kind]
        for key, value in tags.items():
            found.update(known.get((key, value), ()))
            if value != "no":
                found.update(known.get((key, "*"), ()))
    return found


def sheet(file: Path, params: SourceParams, date: Interval | None, lost: dict[str, int]) -> Sheet:
    """An extract; it is read once, when its features are first needed.

    Raises:
        VectorFileError: it is too large, or is no extract.
    """
    size = file.stat().st_size
    if size > LARGEST:
        raise VectorFileError(
            "too-large",
            f"{file} has {size} bytes; {LARGEST} are read at most. Cut your area out of it by `osmium extract`",
        )
    with file.open("rb") as content:
        if b"OSMHeader" not in content.read(64):
            raise VectorFileError("format", f"{file} is no extract of OpenStreetMap in the PBF format")

    @cache
    def whole() -> Labelled:
        return _read(file, params, lost)

    def load(box: Box) -> Labelled:
        return whole()

    return Sheet(str(file), date, load)


def _read(file: Path, params: SourceParams, lost: dict[str, int]) -> Labelled:
    import osmium  # here, for most who import this module read no extract

    keys = sorted({key for known in table().values() for key, _ in known})
    filters = osmium.filter.KeyFilter(*keys)
    wkb = osmium.geom.WKBFactory()
    shapes: list[bytes] = []
    labels: list[str] = []
    try:
        objects = osmium.FileProcessor(osmium.io.File(str(file), "pbf")).with_locations("flex_mem").with_areas(filters)
        for one in objects.with_filter(filters):
            tags = {tag.k: tag.v for tag in one.tags}
            kinds, draw = _how(one, wkb)
            names = classes_of(tags, *kinds) if kinds else set()
            if not names:
                continue
            try:
                shape = draw(one)
            except (RuntimeError, osmium.InvalidLocationError):
                # Its nodes lie outside of the extract, or it is no closed area.
                lost["incomplete"] = lost.get("incomplete", 0) + 1
                continue
            for name in sorted(names):
                shapes.append(shape)
                labels.append(params.rename.get(name, name))
    except RuntimeError as error:
        raise VectorFileError("unreadable", f"{file} cannot be read: {error}") from error
    drawn = shapely.make_valid(shapely.from_wkb(np.array(shapes, dtype=object)))
    keep = ~shapely.is_empty(drawn)
    return Labelled(drawn[keep], np.array(labels, dtype=str)[keep], WGS84)


def _how(one: Any, wkb: Any) -> tuple[tuple[str, ...], Any]:
    """Which tables hold for an object, and what draws it as WKB."""
    if one.is_area():
        return ("area", "object"), lambda area: bytes.fromhex(wkb.create_multipolygon(area))
    if one.is_node():
        return ("object",), lambda node: bytes.fromhex(wkb.create_point(node))
    if one.is_way():
        return ("line",), lambda way: bytes.fromhex(wkb.create_linestring(way))
    return (), None
