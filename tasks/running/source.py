"""An imported benchmark, read as a run needs it: the whole without pixels, and single samples with them."""

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.benchmarks.samples import IMAGE, SCHEMA, BenchmarkSample, ImageRef, from_row
from tasks.core.errors import BenchmarkError
from tasks.core.stage import read_json

KEPT_MB = 1024
"""Row groups held in memory, those with their images in the table included."""


class Imported:
    """The samples of one benchmark, by number."""

    def __init__(self, name: str, folder: Path) -> None:
        """Open it.

        Raises:
            BenchmarkError: it has not been imported.
        """
        self.name, self.folder = name, folder
        self.path = folder / "samples.parquet"
        if not (self.path.is_file() and (folder / "import.json").is_file()):
            raise BenchmarkError(
                f"{name} is not in {folder}; `earthloom bench show {name}` says how to get its files, and "
                f"`earthloom bench import {name} PATH` takes them over"
            )
        self.record: dict[str, Any] = read_json(folder / "import.json")
        with pq.ParquetFile(self.path) as file:
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        self._starts: list[int] = [0, *accumulate(sizes)]
        self._groups: OrderedDict[int, pa.Table] = OrderedDict()

    def __len__(self) -> int:
        """Samples."""
        return self._starts[-1]

    @property
    def digest(self) -> str:
        """Hash of the table, with the images that it holds."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]

    def outlines(self) -> list[tuple[str, list[ImageRef]]]:
        """(group, images without path and pixels) of every sample: enough to plan a run."""
        fields = [field.name for field in IMAGE if field.name in ("format", "sensor")]
        columns = [
            "group",
            *(f"images.list.element.{name}" for name in fields),
            "images.list.element.bands.list.element",
        ]
        with pq.ParquetFile(self.path) as file:
            rows = file.read(columns=columns).to_pylist()
        return [
            (row["group"], [ImageRef(**{**image, "bands": tuple(image["bands"])}) for image in row["images"]])
            for row in rows
        ]

    def sample(self, number: int) -> BenchmarkSample:
        """One sample, with its images where the table holds them."""
        group = bisect_right(self._starts, number) - 1
        if group not in self._groups:
            with pq.ParquetFile(self.path) as file:
                self._groups[group] = file.read_row_group(group)
            while len(self._groups) > 1 and sum(table.nbytes for table in self._groups.values()) > KEPT_MB * 2**20:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        rows = self._groups[group].slice(number - self._starts[group], 1).to_pylist()
        return from_row(rows[0])

    def rows(self) -> list[dict[str, Any]]:
        """All samples without their images, as rows of `SCHEMA`."""
        names: Sequence[str] = [name for name in SCHEMA.names if name != "images"]
        with pq.ParquetFile(self.path) as file:
            rows: list[dict[str, Any]] = file.read(columns=list(names)).to_pylist()
        return rows
