"""Samples of a mixture: rows of its tables, encoded for the model, with every one that cannot be used
named.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.parts.prompt import IMAGE, PHI3, ChatLayout, Encoded, PromptError, Tokenizer, encode
from models.parts.tile_grid import count_tiles
from tasks.core import tables
from tasks.core.errors import TrainingError
from tasks.dialogue import conversations
from tasks.dialogue.crops import CROP, Crop

IMAGE_REF = pa.struct(
    [
        ("shard", pa.string()),  # path from the root of the project
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("modality", pa.string()),  # rgb, ms or sar
        ("bands", pa.list_(pa.string())),  # in the order they are shown
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("datetime", pa.timestamp("us", tz="UTC")),
        ("crop", CROP),  # the square of the chip that is shown; null: all of it
    ]
)
SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),  # <conversation_id>/<modality>
        ("chip_id", pa.string()),  # of the first image, as are sensor and modality: what scores are grouped by
        ("sensor", pa.string()),
        ("modality", pa.string()),
        ("images", pa.list_(IMAGE_REF)),  # one for each `<image>`, in order
        ("conversations", pa.string()),  # EarthDial's JSON, tagged for the modality
        ("question_types", pa.list_(pa.string())),  # one a turn
        ("repeats", pa.int32()),  # times the sample is seen in an epoch
    ]
)
"""One row of a mixture."""
REJECTED = tables.rejection_schema("sample_id")
"""One row for every sample that could not be encoded."""
Turns = list[tuple[str, str]]


@dataclass(frozen=True)
class ImageRef:
    """One image of a sample: which chip, shown how. The fields are those of `IMAGE_REF`."""

    shard: str
    chip_id: str
    sensor: str
    modality: str
    bands: tuple[str, ...]
    width: int
    height: int
    """Pixels of what is shown."""
    datetime: datetime | None
    crop: Crop | None = None
    """The square of the chip that is shown; None: all of it."""


@dataclass(frozen=True)
class Sample:
    """One conversation about one or several images. The fields are the columns of `SCHEMA`."""

    sample_id: str
    chip_id: str
    sensor: str
    modality: str
    images: tuple[ImageRef, ...]
    turns: tuple[tuple[str, str], ...]
    question_types: tuple[str, ...]
    repeats: int
    targets: tuple[tuple[tuple[str, str], ...], ...] = ()
    """(expert, text that it learns) of each turn, where stage `subtasks` dealt them out."""

    def tile_counts(self, size: int, max_tiles: int) -> list[int]:
        """Tiles of each image, thumbnails included, known without a pixel."""
        share = tile_share(max_tiles, len(self.images))
        return [count_tiles(image.width, image.height, size, share) for image in self.images]


def tile_share(max_tiles: int, images: int) -> int:
    """Most tiles of one of several images: they share what one may have, in training and in chat alike.

    EarthDial shares them in training only; its evaluation gives each date all six, beyond the length that was trained
    (spec, section 1.2).
    """
    return max(1, max_tiles // max(1, images))


class Samples:
    """The samples of one table of a mixture, in its order, each made when it is asked for.

    A mixture of millions as objects would not fit into the memory of every process that trains on it.

    Raises:
        TrainingError: when a sample is asked for whose conversation is not EarthDial's schema.
    """

    def __init__(self, table: pa.Table, path: Path, rows: NDArray[np.int64] | None = None) -> None:
        """Of all rows of a table of `SCHEMA`, or some; `path` is where it came from, for messages."""
        self._table, self._path = table, path
        self._rows = np.arange(table.num_rows) if rows is None else rows

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._rows)

    def __getitem__(self, number: int) -> Sample:
        """One sample, counted from 0."""
        return self._sample(self._table.slice(int(self._rows[number]), 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Sample]:
        """All of them; rows that follow one another are decoded by the thousand."""
        for run in np.split(self._rows, np.flatnonzero(np.diff(self._rows) != 1) + 1):
            for start in range(0, len(run), 1024):
                some = self._table.slice(int(run[start]), min(1024, len(run) - start))
                yield from map(self._sample, some.to_pylist())

    def keep(self, numbers: Sequence[int] | NDArray[np.int64]) -> "Samples":
        """Some of them, in that order."""
        return Samples(self._table, self._path, self._rows[np.asarray(numbers, np.int64)])

    def _sample(self, row: dict[str, Any]) -> Sample:
        try:
            turns = conversations.load(row.pop("conversations"))
        except ValueError as error:
            raise TrainingError(f"{self._path}, sample {row['sample_id']}: {error}; rebuild stage `mixture`") from error
        images = tuple(_image(image) for image in row.pop("images"))
        types = tuple(row.pop("question_types"))
        dealt = row.pop("targets", None) or ()
        targets = tuple(tuple((one["expert"], one["text"]) for one in turn) for turn in dealt)
        return Sample(**row, images=images, turns=tuple(turns), question_types=types, targets=targets)


def _image(row: dict[str, Any]) -> ImageRef:
    crop = row.get("crop")
    return ImageRef(**{**row, "bands": tuple(row["bands"]), "crop": None if crop is None else Crop(**crop)})


def read_samples(path: Path, mapped: Path | None = None) -> Samples:
    """The samples of one table of a mixture.

    Args:
        path: the table.
        mapped: where to keep an Arrow file of it that rows are read from as they are needed; None for a table that
            may be held in memory.
    """
    return Samples(tables.read(path) if mapped is None else tables.mapped(path, mapped), path)


def bare_question(question: str) -> str:
    """A question without tags and images: what majority answers are counted by."""
    head, _, tail = question.rpartition(IMAGE)
    return (tail if head or question.startswith(IMAGE) else question).strip()


def encode_samples(
    samples: Sequence[Sample],
    tokenizer: Tokenizer,
    tokens_per_tile: int,
    max_length: int,
    size: int,
    max_tiles: int,
    layout: ChatLayout = PHI3,
) -> tuple[list[tuple[Sample, Encoded]], list[dict[str, str]]]:
    """Encode every sample; those longer than `max_length` tokens come back as rejected rows.

    Args:
        samples: of a mixture.
        tokenizer: the model's.
        tokens_per_tile: visual tokens of a tile.
        max_length: most tokens of a sample, visual ones included.
        size: side of a tile in pixels.
        max_tiles: most tiles of a sample's images together, thumbnails apart.
        layout: of the chat that the language model was trained on.

    Raises:
        TrainingError: the images of a sample do not match the `<image>` in its text, or nothing can be
            learned from it. Training on it in silence would be worse than stopping.
    """
    good: list[tuple[Sample, Encoded]] = []
    rejected: list[dict[str, str]] = []
    for sample in samples:
        visual = [tiles * tokens_per_tile for tiles in sample.tile_counts(size, max_tiles)]
        try:
            encoded = encode(tokenizer, sample.turns, visual, layout=layout)
        except PromptError as error:
            raise TrainingError(f"sample {sample.sample_id}: {error}; rebuild stages `qa` and `mixture`") from error
        if len(encoded.ids) > max_length:
            detail = f"{len(encoded.ids)} tokens, {max_length} allowed"
            rejected.append({"sample_id": sample.sample_id, "reason": "too-long", "detail": detail})
        else:
            good.append((sample, encoded))
    return good, rejected
