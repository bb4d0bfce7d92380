"""What a search asks of an item, as the STAC API means it: its collection, a box, an interval, the cloud.

Servers exist that ignore a condition, or answer one they do not know with nothing. Every condition is applied here,
to whatever a server gives, and never more strictly than the specification has it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pystac
import shapely
import shapely.geometry

Planar = tuple[float, float, float, float]
"""West, south, east, north in degrees, with west <= east."""
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_COMPONENT = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)([Tt ].+)?)?)?")
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Query:
    """What is asked for in one collection. A condition that is None is not asked."""

    collection: str
    bbox: Sequence[float] | None
    datetime: str | None
    max_cloud: float | None


def meets(item: Mapping[str, Any], query: Query) -> bool:
    """Whether an item, as JSON, meets every condition of a query, whatever the server made of them.

    An item that does not say how cloudy it is stays: its mask will tell.
    """
    if item.get("collection") != query.collection:
        return False
    if query.bbox and not overlap(boxes_of(item), planar(query.bbox)):
        return False
    if query.datetime and not _during(item, *interval(query.datetime)):
        return False
    cloud = cloud_cover(item)
    return query.max_cloud is None or cloud is None or cloud <= query.max_cloud


def cloud_cover(item: Mapping[str, Any]) -> float | None:
    """Percent of the scene under cloud; None where the item does not say. Landsat writes -1 for "not measured"."""
    cloud = item["properties"].get("eo:cloud_cover")
    return None if cloud is None or cloud < 0 else float(cloud)


def interval(text: str) -> tuple[datetime, datetime]:
    """First and last instant of a STAC `datetime`: an instant, a date, month or year, or two of them with a slash.

    A date stands for its whole day, a month for all its days, also at the end of an interval; `..` is open.

    Raises:
        ValueError: it is none of these, or ends before it begins.
    """
    parts = text.split("/")
    if len(parts) > 2 or all(part in ("", "..") for part in parts):
        raise ValueError(f"'{text}' is not a date, nor an interval start/end of dates, with `..` for an open end")
    spans = [_span(part) for part in parts]
    start = spans[0][0] if spans[0] else _EARLIEST
    end = spans[-1][1] if spans[-1] else _LATEST
    if start > end:
        raise ValueError(f"'{text}' ends before it begins")
    return start, end


def server_interval(text: str) -> str:
    """The same interval with both instants written out, for servers that read dates in other ways."""
    start, end = interval(text)
    return f"{'..' if start == _EARLIEST else _written(start)}/{'..' if end == _LATEST else _written(end)}"


def instant(text: str) -> datetime:
    """An RFC 3339 instant in UTC; one without a zone is taken as UTC.

    Raises:
        ValueError: it is not one.
    """
    when = datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _span(component: str) -> tuple[datetime, datetime] | None:
    if component in ("", ".."):
        return None
    found = _COMPONENT.fullmatch(component)
    if not found:
        raise ValueError(f"'{component}' is not a date: write YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ")
    year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
    if found[4]:
        when = instant(component.upper())
        return when, when
    start = datetime(year, month, day, tzinfo=UTC)
    try:
        if found[3]:
            after = start + timedelta(days=1)
        elif found[2]:
            after = start.replace(year=year + month // 12, month=month % 12 + 1)
        else:
            after = start.replace(year=year + 1)
    except (OverflowError, ValueError):
        return start, _LATEST
    return start, after - _TICK


def _written(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _during(item: Mapping[str, Any], start: datetime, end: datetime) -> bool:
    """Whether the item's instant lies within, or the interval that it gives meets it."""
    properties = item["properties"]
    when, first, last = (properties.get(key) for key in ("datetime", "start_datetime", "end_datetime"))
    if when and start <= instant(when) <= end:
        return True
    if not first and not last:
        return False
    return (not last or start <= instant(last)) and (not first or instant(first) <= end)


def planar(bbox: Sequence[float]) -> list[Planar]:
    """A box of four or six numbers as boxes that do not cross 180 degrees: one, or two where west > east."""
    west, south, east, north = bbox if len(bbox) == 4 else (bbox[0], bbox[1], bbox[3], bbox[4])
    if east - west >= 360:
        return [(-180.0, south, 180.0, north)]
    if west <= east and west >= -180 and east <= 180:
        return [(west, south, east, north)]
    west, east = (west + 180) % 360 - 180, (east + 180) % 360 - 180
    return [(west, south, east, north)] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]


def boxes_of(item: Mapping[str, Any]) -> list[Planar]:
    """Where an item lies, by its `bbox`, or else by its geometry; no box crosses 180 degrees."""
    if item.get("bbox"):
        return planar(item["bbox"])
    geometry = item.get("geometry")
    if not geometry:
        return []
    shape = shapely.geometry.shape(geometry)
    # The halves of a scene at 180 degrees lie at both ends of the map: a box around both would be the whole world.
    return [box for part in shapely.get_parts(shape).tolist() for box in planar(part.bounds)]


def item_boxes(item: pystac.Item) -> list[Planar]:
    """`boxes_of` an item that is no longer JSON."""
    return boxes_of({"bbox": item.bbox, "geometry": item.geometry})


def overlap(a: Sequence[Planar], b: Sequence[Planar]) -> bool:
    """Whether any two of the boxes touch."""
    return any(p[0] <= q[2] and q[0] <= p[2] and p[1] <= q[3] and q[1] <= p[3] for p in a for q in b)
