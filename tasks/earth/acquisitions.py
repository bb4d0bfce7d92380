"""Which items show the same overpass of a satellite, and which of two that show the same scene is taken.

Catalogs offer one acquisition many times: in tiles, in processing baselines, in collections, each with its own spelling
of platform and time. Planetary Computer's time is that of the whole datatake, Earth Search's that of the tile; so the
time cannot be compared. The date in local solar time can, with the orbit: an overpass has one of each.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

import pystac
import shapely
import shapely.geometry

from tasks.earth.conditions import item_boxes
from tasks.earth.sensors import Sensor

SAME = 0.9
"""Share of its footprint that an item has in common with another to be the same scene."""
_NAMES = re.compile(r"(product_(uri|ids?|identifier)|(tile|scene)_(source|id))$")
"""Properties that hold the name of the agency's product."""


def acquisition_of(item: pystac.Item, sensor: Sensor) -> str:
    """A name that all items of one overpass share, in any tile, baseline or catalog: platform, date and orbit.

    The date is that of the local mean solar time, in which a satellite in a sun-synchronous orbit passes at the same
    hour everywhere. A radar passes twice a day, near six and near eighteen, and so has two halves of a day.
    """
    platform = re.sub(r"[\s_]+", "-", str(item.properties.get("platform") or sensor.name).lower())
    radar = bool(sensor.polarisations)
    absolute = _orbit(item, r"_\d{8}T\d{6}_(\d{6})_", "absolute_orbit") if radar else None
    if absolute:
        return f"{platform}_orbit-{absolute}"
    when = item.datetime or item.common_metadata.start_datetime
    if when is None:
        return f"{platform}_{item.id}"
    boxes = item_boxes(item)
    longitude = (boxes[0][0] + boxes[0][2]) / 2 if boxes else 0.0
    local = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC) + timedelta(hours=longitude / 15)
    half = ("-am" if local.hour < 12 else "-pm") if radar else ""
    relative = _orbit(item, r"_R(\d{3})(?:_|$)", "relative_orbit")
    path = _orbit(item, r"^L[A-Z]\d\d_\w{4}_(\d{3})\d{3}_", "wrs_path")
    track = f"_track-{relative or path}" if relative or path else ""
    return f"{platform}_{local:%Y-%m-%d}{half}{track}"


def supersede(
    items: Sequence[pystac.Item], sensor: Sensor, collections: Sequence[str]
) -> tuple[list[pystac.Item], list[tuple[pystac.Item, pystac.Item]]]:
    """Of each scene that came more than once, the item that is taken.

    Two items are the same scene if acquisition and tile are the same and their footprints agree: the two halves of a
    tile that was cut in flight are two scenes. Taken is the newest processing baseline; where that is the same, is
    not given, or the products are of other levels, the one whose collection stands first in `collections`; then the
    one processed last, recorded last, and last by id.

    Returns:
        The items to keep, in their order, and those that are not, each with the one that takes its place.
    """
    groups: dict[tuple[str, str], list[pystac.Item]] = {}
    for item in items:
        groups.setdefault((acquisition_of(item, sensor), tile_of(item) or ""), []).append(item)
    lost = []
    for (_, tile), members in groups.items():
        levels = {level for item in members if (level := _level(item))}
        kept: list[tuple[pystac.Item, Any]] = []
        ranked = sorted(members, key=lambda item: _rank(item, collections, len(levels) > 1), reverse=True)
        for item in ranked:
            shape = _footprint(item)
            winner = next((other for other, known in kept if _agree(shape, known, bool(tile))), None)
            if winner is None:
                kept.append((item, shape))
            else:
                lost.append((item, winner))
    gone = {id(item) for item, _ in lost}
    return [item for item in items if id(item) not in gone], lost


def tile_of(item: pystac.Item) -> str | None:
    """The tile or frame that an item covers, in one spelling; None where it names none."""
    properties = item.properties
    code = str(properties.get("grid:code") or "").partition("-")[2] or properties.get("s2:mgrs_tile")
    for prefix, zone in (("mgrs", "utm_zone"), ("sentinel", "utm_zone")):
        parts = [properties.get(f"{prefix}:{name}") for name in (zone, "latitude_band", "grid_square")]
        code = code or ("".join(map(str, parts)) if all(parts) else None)
    if not code and (path := _field(properties, "wrs_path")):
        code = f"{path}{_field(properties, 'wrs_row')}"
    found = re.search(r"_T?(\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])_", item.id)
    code = code or (found[1] if found else None)
    return str(code).lstrip("0") if code else None


def baseline_of(item: pystac.Item) -> str:
    """Its processing baseline as two pairs of digits, such as 05.11; empty if it gives none."""
    properties = item.properties
    keys = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version")
    given = next((str(properties[key]) for key in keys if properties.get(key)), None)
    found = re.fullmatch(r"N?(\d{1,2})\.?(\d\d)", given or "") or _named(item, r"_N(\d\d)(\d\d)_")
    return f"{int(found[1]):02d}.{found[2]}" if found else ""


def _rank(item: pystac.Item, collections: Sequence[str], by_level: bool) -> tuple[Any, ...]:
    order = -collections.index(item.collection_id) if item.collection_id in collections else -len(collections)
    properties = item.properties
    keys = ("s2:generation_time", "s1:processing_datetime", "processing:datetime")
    processed = next((str(properties[key]) for key in keys if properties.get(key)), "")
    if not processed and (found := re.match(r"L[A-Z]\d\d_\w{4}_\d{6}_\d{8}_(\d{8})_", item.id)):
        processed = found[1]
    recorded = str(properties.get("created") or ""), str(properties.get("updated") or "")
    return (order if by_level else 0, baseline_of(item), order, processed, *recorded, item.id)


def _level(item: pystac.Item) -> str | None:
    found = re.search(r"(\d)", str(item.properties.get("processing:level") or "")) or re.search(
        r"(?:MSIL|_L)([12])", item.id
    )
    return found[1] if found else None


def _footprint(item: pystac.Item) -> Any:
    return shapely.make_valid(shapely.geometry.shape(item.geometry)) if item.geometry else None


def _agree(a: Any, b: Any, same_tile: bool) -> bool:
    if a is None or b is None or not a.area or not b.area:
        return same_tile
    common = a.intersection(b).area
    # Catalogs draw a tile's footprint in their own ways, whole or where it has data.
    whole = min(a.area, b.area) if same_tile else a.area + b.area - common
    return bool(common / whole >= SAME)


def _orbit(item: pystac.Item, pattern: str, field: str) -> str | None:
    found = _named(item, pattern)
    value = found[1] if found else _field(item.properties, field)
    return str(value).lstrip("0").zfill(3) if value is not None else None


def _field(properties: Mapping[str, Any], name: str) -> Any:
    """The property called `name` after its prefix, whatever extension it is of."""
    return next((properties[key] for key in sorted(properties) if key.rpartition(":")[2] == name), None)


def _named(item: pystac.Item, pattern: str) -> re.Match[str] | None:
    """The first match in the names that an item gives of the product that it stands for."""
    return next((found for name in _names(item.id, item.properties) if (found := re.search(pattern, name))), None)


def _names(item_id: str, properties: Mapping[str, Any]) -> Iterable[str]:
    yield item_id
    for key in sorted(properties):
        if _NAMES.search(key):
            value = properties[key]
            yield from (str(one).removesuffix(".SAFE") for one in (value if isinstance(value, list) else [value]))
