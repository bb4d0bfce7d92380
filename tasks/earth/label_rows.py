"""The tables that the stage `labels` leaves, and what one source adds to them."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("chip_id", pa.string()),
        ("label", pa.string()),
        ("source", pa.string()),  # collection of the label item, name of a source of one's own, or spectral-rules
        ("kind", pa.string()),  # area, line, point, tag or change
        ("fraction", pa.float64()),  # of the window; of its valid pixels where derived; null for line, point and tag
        ("count", pa.int32()),  # features; null for rasters, rules and tags
        ("length", pa.float64()),  # metres in the window, of lines
        ("position", pa.string()),  # of the label's centre of mass in the window; null for a tag
        ("boxes", pa.list_(pa.list_(pa.float64(), 4))),  # of features, tasks/earth/label_masks.py; null without any
        ("mask", pa.binary()),  # where it lies, tasks/earth/label_masks.py; null for a tag
        ("derived", pa.bool_()),  # read from the scene's own bands
        ("date", pa.string()),  # that the label holds for: year, day or start/end; null where the source is silent
        ("licence", pa.string()),  # of the source
    ]
)
"""One row for each chip, label and source."""
COMPLETE = pa.schema(
    [
        ("chip_id", pa.string()),
        ("source", pa.string()),
        ("labels", pa.list_(pa.string())),  # null: all that the source can give
    ]
)
"""One row for each chip and source that describes it wholly: which labels are absent there if they have no row."""
WHOLE = 0.99
"""Share of a window that a source must cover to describe all of it."""


@dataclass
class Measured:
    """What one source says of some windows: rows of `SCHEMA` and of `COMPLETE`."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    complete: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: "Measured") -> None:
        """Take over what another one holds."""
        self.rows += other.rows
        self.complete += other.complete
