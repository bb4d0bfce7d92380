"""What is known about a chip: its labels, what their sources can tell, and what they leave open."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


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
        return self.kind in ("tag", "skyscript")

    def can_deny(self, name: str) -> bool:
        """Whether a label without a row is known to be absent."""
        return self.complete and name in self.labels and (self.looked_for is None or name in self.looked_for)


@dataclass(frozen=True)
class Subject:
    """A chip to ask about."""

    chip_id: str
    sensor: str
    labels: tuple[Label, ...]
    sources: Mapping[str, SourceInfo]

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

    def absent(self, tags: bool) -> list[str]:
        """Labels that are known not to be there: looked for by a complete source, and not given.

        Args:
            tags: of what holds around the chip, or of what lies in it.
        """
        given = {label.name for label in self.labels} | {name for s in self.used for name in s.change}
        return sorted({n for s in self.used if s.is_tag == tags for n in s.labels if s.can_deny(n)} - given)


@dataclass(frozen=True)
class Draft:
    """One question-answer pair before it is verified."""

    question: str
    answer: str
    question_type: str
    claim: dict[str, Any]
    """What the answer asserts, in terms the verifier can recompute from the labels."""
    labels_used: tuple[str, ...]


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
