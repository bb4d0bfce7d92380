"""What is known about a chip: its labels, what their sources can tell, and what they leave open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Label:
    """One label of one chip, a row of labels.parquet."""

    name: str
    source: str
    kind: str
    """area, tag (holds somewhere in a footprint around the chip) or change."""
    fraction: float | None
    """Share of the chip's area, 0 to 1; None for a tag."""
    count: int | None
    """Mapped features; None where the source has no features."""
    position: str | None
    """Third of the chip, in each direction, that holds the label's centre of mass."""


@dataclass(frozen=True)
class LabelSource:
    """What a label source can say."""

    name: str
    kind: str
    """polygon, tag, raster or spectral."""
    complete: bool
    """Whether a label that it does not give is absent."""
    labels: tuple[str, ...]
    """Its vocabulary."""


@dataclass(frozen=True)
class Subject:
    """A chip to ask about."""

    chip_id: str
    sensor: str
    labels: tuple[Label, ...]
    sources: Mapping[str, LabelSource]

    @cached_property
    def areas(self) -> dict[str, Label]:
        """Labels that cover a measured share of the chip, the largest first."""
        measured = [label for label in self.labels if label.kind == "area"]
        return {label.name: label for label in sorted(measured, key=lambda a: (-(a.fraction or 0), a.name))}

    @cached_property
    def tags(self) -> dict[str, Label]:
        """Labels that hold somewhere in the footprint around the chip."""
        return {label.name: label for label in self.labels if label.kind == "tag"}

    @cached_property
    def changes(self) -> dict[str, Label]:
        """Labels that say what changed."""
        return {label.name: label for label in self.labels if label.kind == "change"}

    @cached_property
    def used(self) -> list[LabelSource]:
        """Sources that labelled this chip."""
        return [self.sources[name] for name in sorted({label.source for label in self.labels})]

    @cached_property
    def is_partition(self) -> bool:
        """Whether the area labels come from one complete source, so that the largest really is the largest."""
        return (
            bool(self.areas)
            and all(s.complete for s in self.used)
            and len({a.source for a in self.areas.values()}) == 1
        )

    def absent(self, kinds: Sequence[str]) -> list[str]:
        """Labels that are known not to be there: in the vocabulary of a complete source, and not given."""
        given = {label.name for label in self.labels}
        known = {name for s in self.used if s.complete and s.kind in kinds for name in s.labels}
        return sorted(known - given)


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
