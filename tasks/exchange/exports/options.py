"""What an export is asked for, and what every layout's writer is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tasks.exchange.exports.series import ShownSeries
from tasks.exchange.exports.source import Shown

SPLIT_NAMES = {"train": "train", "val": "validation", "test": "test"}
"""Sides of the split as `datasets` calls them."""
SERIES = "series-"
"""What the names of files with several images a conversation begin with, in every layout."""


@dataclass(frozen=True)
class Options:
    """What an export is asked for; the fields are the flags of `earthloom export`."""

    pixels: bool = False
    """Whether the calibrated pixels leave too, all bands as GeoTIFF, not only their rendering."""
    tags: bool = False
    """Whether the first question carries EarthDial's tags of sensor and task."""
    shard_bytes: int = 256_000_000
    """Of pictures and pixels in one shard, about."""


Add = Callable[[Shown], None]
"""Writes one chip with its conversations."""
AddSeries = Callable[[ShownSeries], None]
"""Writes one series with its conversations."""


@dataclass(frozen=True)
class Adding:
    """What an export that has begun takes."""

    chip: Add
    series: AddSeries | None = None
    """None where a row of the layout holds one image."""


Writer = Callable[[Path, Options], AbstractContextManager[Adding]]
"""Begins an export in a folder; it is whole when the block has ended."""


@contextmanager
def text_file(path: Path) -> Iterator[TextIO]:
    """A new text file of UTF-8 with plain line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def put(folder: Path, name: str, content: bytes) -> str:
    """Write one file of an export, and give its path from the export's folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name
