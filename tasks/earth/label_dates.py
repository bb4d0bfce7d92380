"""The time that labels hold for, and which of several fits a scene."""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray

SUPERSEDED = 0.9
"""Share of a footprint that labels nearer in time must cover, for the farther ones to be left out."""


@dataclass(frozen=True, order=True)
class Interval:
    """A time, from start to end, both included."""

    start: datetime
    end: datetime

    @classmethod
    def of_text(cls, text: str) -> "Interval":
        """A year, a month, a day, or start/end of these.

        Raises:
            ValueError: it is none of them.
        """
        first, _, last = text.partition("/")
        start, end = _span(first)[0], _span(last or first)[1]
        if start > end:
            raise ValueError(f"{text!r} ends before it starts")
        return cls(start, end)

    @classmethod
    def of_item(cls, item: pystac.Item) -> "Interval | None":
        """What an item says; one of the first moment of a year alone stands for that year, as of annual maps."""
        start, end = item.common_metadata.start_datetime, item.common_metadata.end_datetime
        moment = item.datetime
        start, end = start or moment or end, end or moment or start
        if start is None or end is None:
            return None
        start, end = sorted((_utc(start), _utc(end)))
        if start == end == datetime(start.year, 1, 1, tzinfo=UTC):
            return cls.of_text(f"{start.year:04d}")
        return cls(start, end)

    def away(self, when: datetime | None) -> float:
        """Seconds from a moment to this time; 0 within it."""
        if when is None:
            return 0.0
        when = _utc(when)
        return max((self.start - when).total_seconds(), (when - self.end).total_seconds(), 0.0)

    def __str__(self) -> str:
        """A year, a day or start/end, as short as it can be said."""
        days = [f"{self.start.date()}", f"{self.end.date()}"]
        if days[0].endswith("-01-01") and days[1].endswith("-12-31"):
            years = [day[:4] for day in days]
            return years[0] if years[0] == years[1] else "/".join(years)
        return days[0] if days[0] == days[1] else "/".join(days)


def joined(dates: Sequence[Interval | None]) -> str | None:
    """All of several times as one text; None where none is known."""
    known = sorted({date for date in dates if date is not None})
    return str(Interval(known[0].start, max(date.end for date in known))) if known else None


def fitting(footprints: NDArray[Any], dates: Sequence[Interval | None], when: datetime | None) -> list[int]:
    """Which labels of one source hold for a moment: where those of several times lie on one another, the nearest.

    Args:
        footprints: shapely geometries in degrees, one a label item.
        dates: time of each; those without one come last.
        when: of the scene.

    Returns:
        Their indices, the nearest in time first; of two as near, the later.
    """
    order = sorted(range(len(dates)), key=lambda index: _nearness(dates[index], when))
    keep: list[int] = []
    tree = shapely.STRtree(footprints)
    rank = {index: place for place, index in enumerate(order)}
    left_out: set[int] = set()
    for index in order:
        near = [
            int(other)
            for other in tree.query(footprints[index], predicate="intersects")
            if rank[int(other)] < rank[index] and dates[other] != dates[index] and other not in left_out
        ]
        area = float(shapely.area(footprints[index]))
        if near and area > 0:
            covered = shapely.area(shapely.intersection(footprints[index], shapely.union_all(footprints[near])))
            if covered >= SUPERSEDED * area:
                left_out.add(index)
                continue
        keep.append(index)
    return keep


def _nearness(date: Interval | None, when: datetime | None) -> tuple[float, float]:
    return (date.away(when), -date.end.timestamp()) if date else (np.inf, 0.0)


def _span(text: str) -> tuple[datetime, datetime]:
    """First and last second of a year, month or day."""
    for pattern in ("%Y", "%Y-%m", "%Y-%m-%d"):
        try:
            start = datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
        month = 12 if pattern == "%Y" else start.month
        day = start.day if pattern == "%Y-%m-%d" else calendar.monthrange(start.year, month)[1]
        return start, start.replace(month=month, day=day, hour=23, minute=59, second=59)
    raise ValueError(f"{text!r} is not a year, a month or a day, such as 2021, 2021-06 or 2021-06-30")


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
