"""Rows into files of some size, opened one after the other, a group of rows in memory."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pyarrow as pa


class RowShards(ABC):
    """The files of one split or folder. What they are called is settled when it is known how many there are."""

    def __init__(self, folder: Path, schema: pa.Schema, group: int) -> None:
        """Of `group` rows in memory."""
        self.folder, self.schema = folder, schema
        self.paths: list[Path] = []
        self.bytes = 0
        """Of pictures and pixels in the file that is open."""
        self._group = group
        self._writer: Any = None
        self._waiting: list[dict[str, Any]] = []

    @abstractmethod
    def open(self, number: int) -> tuple[Path, Any]:
        """The file of that number, and what writes record batches into it."""

    def row(self, row: dict[str, Any]) -> None:
        """Take one more."""
        self._waiting.append(row)
        if len(self._waiting) >= self._group:
            self._flush()

    def end(self) -> None:
        """Close the file that is open, if one is."""
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        self._writer, self.bytes = None, 0

    def renamed(self) -> list[Path]:
        """End, and give every file its name, such as train-00000-of-00002.parquet."""
        self.end()
        names = [path.with_name(f"{path.stem}-of-{len(self.paths):05d}{path.suffix}") for path in self.paths]
        return [path.rename(name) for path, name in zip(self.paths, names, strict=True)]

    def _flush(self) -> None:
        if self._writer is None:
            path, self._writer = self.open(len(self.paths))
            self.paths.append(path)
        self._writer.write_batch(pa.RecordBatch.from_pylist(self._waiting, schema=self.schema))
        self._waiting.clear()
