"""What is known about a chip: its labels, what their sources can tell, what its pixels and metadata say.

`ChipFacts.to_json` is what a conversation carries of it, so that a pair can be verified from its own row.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tasks.earth.label_masks import SIDE, Box, unpack
from tasks.earth.sensors import SENSORS

Statistics = Mapping[str, Mapping[str, float]]
"""Name of a quantity -> what was measured of it over the chip's valid pixels; see tasks/earth/chip_measures.py."""


@dataclass(frozen=True)
class Label:
    """One label of one chip, a row of labels.parquet."""

    name: str
    source: str
    kind: str
    """area, line, point, tag (holds somewhere in a footprint around the chip) or change."""
    fraction: float | None
    """Share of the chip's area, 0 to 1; None for a line, a point and a tag."""
    count: int | None
    """Mapped features; None where the source has no features."""
    position: str | None
    """Third of the chip, in each direction, that holds the label's centre of mass."""
    length: float | None = None
    """Metres in the chip, of lines."""
    date: str | None = None
    """That the label holds for: year, day or start/end; None where its source is silent."""
    boxes: tuple[Box, ...] = ()
    """Around each of its features in the chip, largest first; empty where the source has no features."""
    mask: bytes | None = None
    """Where it lies, as `tasks.earth.label_masks.pack` writes it; None for a tag."""

    @cached_property
    def plane(self) -> NDArray[np.bool_] | None:
        """Where it lies, (SIDE, SIDE), row 0 in the north; None for a tag."""
        return None if self.mask is None else unpack(self.mask)

    @cached_property
    def cells(self) -> int | None:
        """The same as one number, see `tasks.earth.mask_cells`; None for a tag."""
        return None if self.mask is None else int.from_bytes(self.mask, "big")


def one_line(value: Any) -> str:
    """A JSON value as one line, the same for the same value: names in order, no space."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


TAGS = ("tag", "skyscript")
"""Kinds of sources whose labels hold somewhere around a chip."""


@dataclass(frozen=True)
class SourceInfo:
    """What a label source can say of one chip."""

    name: str
    kind: str
    """spectral, or the kind of its entry in params.yaml: polygon, tag, raster, ..."""
    complete: bool
    """Whether a label that it does not give is absent from the chip."""
    labels: tuple[str, ...]
    """Its vocabulary."""
    change: tuple[str, ...] = ()
    """Those of its labels that say what changed."""
    looked_for: frozenset[str] | None = None
    """The labels that were looked for in the chip, of a source that is complete for these alone; None: all."""

    @property
    def is_tag(self) -> bool:
        """Whether its labels hold somewhere around the chip, not at a place in it."""
        return self.kind in TAGS

    def can_deny(self, name: str) -> bool:
        """Whether a label without a row is known to be absent."""
        return self.complete and name in self.labels and (self.looked_for is None or name in self.looked_for)


@dataclass(frozen=True)
class ChipFacts:
    """A chip to ask about, and all that answers may rest on."""

    chip_id: str
    sensor: str
    labels: tuple[Label, ...]
    sources: Mapping[str, SourceInfo]
    platform: str = ""
    taken: datetime | None = None
    """UTC."""
    longitude: float | None = None
    latitude: float | None = None
    """Of its centre, degrees."""
    country: str | None = None
    """That wholly holds it and the ground around it; None at a border, at sea and where it is not known."""
    side: float | None = None
    """Metres that it is wide and high."""
    pixels: Statistics = field(default_factory=dict)

    @property
    def sensor_tags(self) -> tuple[str, ...]:
        """EarthDial's tag of its sensor, with all bands."""
        return (SENSORS[self.sensor].tag,)

    @property
    def image_count(self) -> int:
        """How many `<image>` a conversation has."""
        return 1

    def to_json(self) -> str:
        """All of it as one line of JSON, the same for the same facts."""
        return self._json  # each conversation of a chip carries it

    @cached_property
    def _json(self) -> str:
        return one_line(
            {
                "chip_id": self.chip_id,
                "sensor": self.sensor,
                "platform": self.platform,
                "taken": self.taken.astimezone(UTC).isoformat() if self.taken else None,
                "longitude": self.longitude,
                "latitude": self.latitude,
                "country": self.country,
                "side": self.side,
                "labels": [_label_to_dict(label) for label in self.labels],
                "sources": [_source_to_dict(self.sources[name]) for name in sorted(self.sources)],
                "pixels": self.pixels,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "ChipFacts":
        """What `to_json` wrote.

        Raises:
            ValueError: it is nothing of that kind; says what is wrong.
        """
        try:
            row = json.loads(text)
            sources = [_source_from_dict(source) for source in row.pop("sources")]
            taken = row.pop("taken")
            return cls(
                labels=tuple(_label_from_dict(label) for label in row.pop("labels")),
                sources={source.name: source for source in sources},
                taken=datetime.fromisoformat(taken) if taken else None,
                **row,
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"these are no facts of a chip: {error!r}") from error

    @cached_property
    def areas(self) -> dict[str, Label]:
        """Labels that cover a measured share of the chip, the largest first."""
        measured = [label for label in self.labels if label.kind == "area"]
        return {label.name: label for label in sorted(measured, key=lambda a: (-(a.fraction or 0), a.name))}

    @cached_property
    def objects(self) -> dict[str, Label]:
        """Labels of lines and points, which lie in the chip but cover no share of it."""
        return {label.name: label for label in self.labels if label.kind in ("line", "point")}

    @cached_property
    def tags(self) -> dict[str, Label]:
        """Labels that hold somewhere in the footprint around the chip."""
        return {label.name: label for label in self.labels if label.kind == "tag"}

    @cached_property
    def changes(self) -> dict[str, Label]:
        """Labels that say what changed."""
        return {label.name: label for label in self.labels if label.kind == "change"}

    @cached_property
    def used(self) -> list[SourceInfo]:
        """Sources that describe this chip: they give it a label, or know that it has none of theirs."""
        return [self.sources[name] for name in sorted(self.sources)]

    @cached_property
    def is_partition(self) -> bool:
        """Whether the area labels come from one complete source, so that the largest really is the largest."""
        return (
            bool(self.areas)
            and all(s.complete and s.looked_for is None for s in self.used)
            and len({a.source for a in self.areas.values()}) == 1
        )

    @cached_property
    def found(self) -> dict[Any, Any]:
        """What was looked up of this chip, by what was looked for: several pairs ask for the same."""
        return {}

    def rows(self, name: str, source: str) -> list[Label]:
        """Rows of one label of one source."""
        return self._rows.get((name, source), [])

    @cached_property
    def _rows(self) -> dict[tuple[str, str], list[Label]]:
        found: dict[tuple[str, str], list[Label]] = {}
        for label in self.labels:
            found.setdefault((label.name, label.source), []).append(label)
        return found

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every label that a source of this chip can give."""
        given = {label.name for label in self.labels}
        return frozenset(given.union(*(source.labels for source in self.sources.values())))

    def absent(self, tags: bool) -> list[str]:
        """Labels that are known not to be there: looked for by a complete source, and not given.

        Args:
            tags: of what holds around the chip, or of what lies in it.
        """
        given = {label.name for label in self.labels} | {name for s in self.used for name in s.change}
        return sorted({n for s in self.used if s.is_tag == tags for n in s.labels if s.can_deny(n)} - given)


LABEL_FIELDS = tuple(one.name for one in fields(Label))
SOURCE_FIELDS = tuple(one.name for one in fields(SourceInfo))


def _label_to_dict(label: Label) -> dict[str, Any]:
    row = {name: value for name in LABEL_FIELDS if (value := getattr(label, name)) not in (None, ())}
    if label.mask is not None:
        row["mask"] = base64.b64encode(label.mask).decode()
    return row


def _label_from_dict(row: Mapping[str, Any]) -> Label:
    optional = dict.fromkeys(("fraction", "count", "position"))
    boxes = tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in row.get("boxes", ()))
    mask = base64.b64decode(row["mask"], validate=True) if "mask" in row else None
    if mask is not None and len(mask) * 8 != SIDE**2:
        raise ValueError(f"the mask of {row['name']} is not of {SIDE} x {SIDE} cells")
    return Label(**{**optional, **row, "boxes": boxes, "mask": mask})


def _source_to_dict(source: SourceInfo) -> dict[str, Any]:
    row = {name: getattr(source, name) for name in SOURCE_FIELDS}
    row["looked_for"] = None if source.looked_for is None else sorted(source.looked_for)
    return row


def _source_from_dict(row: Mapping[str, Any]) -> SourceInfo:
    looked_for = row["looked_for"]
    lists = {"labels": tuple(row["labels"]), "change": tuple(row["change"])}
    return SourceInfo(**{**row, **lists, "looked_for": None if looked_for is None else frozenset(looked_for)})


SHARES = (
    (0.25, "less than a quarter"),
    (0.50, "between a quarter and a half"),
    (0.75, "between a half and three quarters"),
    (1.01, "more than three quarters"),
)
"""Upper bound of each answer to `how much`."""
MARGIN = 0.03
"""A share this close to a bound, or two shares this close to each other, are not asked about."""


def share_name(fraction: float) -> str:
    """The answer to `how much` for a share of 0 to 1."""
    return next(name for bound, name in SHARES if fraction < bound)
