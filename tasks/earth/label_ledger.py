"""What the stage `labels` leaves: the rows of all scenes in one order, what was lost and why, sources and licences."""

import heapq
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core import paths, tables
from tasks.core.errors import SceneError
from tasks.core.stage import write_json
from tasks.earth import spectral_rules
from tasks.earth.label_dates import joined
from tasks.earth.label_licences import entry
from tasks.earth.label_params import SourceParams
from tasks.earth.label_rows import COMPLETE, SCHEMA, Measured

if TYPE_CHECKING:
    from tasks.earth.label_sources import Library

MANY = 128
"""Files that are merged into one before there are more: each is held open while all are read side by side."""
ROWS = 16_384
"""Rows in memory while files are merged, all together, roughly."""


class _Sorted:
    """Rows that come a scene at a time and leave in one order, with one scene in memory."""

    def __init__(self, folder: Path, schema: pa.Schema, order: Sequence[str]) -> None:
        self._folder, self._schema, self._order = folder, schema, order
        self._parts: list[Path] = []
        self._made = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Take the rows of one scene."""
        if rows:
            self._keep(sorted(rows, key=self._key))
        if len(self._parts) >= MANY:
            merged = self._parts
            self._parts = []
            self._keep(self._merged(merged))
            for part in merged:
                part.unlink()

    def write(self, path: Path) -> int:
        """Write all rows to `path`; returns how many there were."""
        return tables.write_stream(self._merged(self._parts), self._schema, path)

    def _keep(self, rows: Any) -> None:
        part = self._folder / f"{self._made:06d}.parquet"
        self._made += 1
        tables.write_stream(rows, self._schema, part)
        self._parts.append(part)

    def _merged(self, parts: Sequence[Path]) -> Iterator[dict[str, Any]]:
        return heapq.merge(*(self._rows(part, max(64, ROWS // max(len(parts), 1))) for part in parts), key=self._key)

    def _rows(self, part: Path, batch: int) -> Iterator[dict[str, Any]]:
        with pq.ParquetFile(part) as file:
            for some in file.iter_batches(batch):
                yield from some.to_pylist()

    def _key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[column] for column in self._order)


class Ledger:
    """Everything that is known of the windows of one sensor, written when all scenes are through."""

    def __init__(self, sensor: str, folder: Path) -> None:
        self.sensor, self.folder = sensor, folder
        self._work = paths.work(f"labels@{sensor}")
        shutil.rmtree(self._work, ignore_errors=True)
        self._lost: dict[tuple[str, str, str], dict[str, str]] = {}
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._counts: Counter[str] = Counter()
        self._labelled = 0
        self._rows = _Sorted(self._work / "rows", SCHEMA, ("chip_id", "label", "source"))
        self._complete = _Sorted(self._work / "complete", COMPLETE, ("chip_id", "source"))

    def add(self, measured: Measured) -> None:
        """Take what is known of one scene's windows."""
        for row in measured.rows:
            self._seen[row["source"]].add(row["label"])
            self._counts[row["source"]] += 1
        for row in measured.complete:
            self._seen[row["source"]].update(row["labels"] or ())
        self._labelled += len({row["chip_id"] for row in measured.rows})
        self._rows.add(measured.rows)
        self._complete.add(measured.complete)

    def lose(self, item_id: str, error: SceneError, source: str = "") -> None:
        """Note an item that cannot be used; the same once."""
        row = {**tables.quarantine_row(self.sensor, item_id, error), "asset": source}
        self._lost.setdefault((item_id, error.reason, str(error)), row)

    def write(
        self, libraries: Sequence["Library"], refused: Mapping[str, str], imagery: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Write everything; returns counts for the summary.

        Args:
            libraries: the sources that were used.
            refused: why others were not, by name.
            imagery: what the ledger of licences says of the scenes' collections, by id.
        """
        for name, detail in sorted(refused.items()):
            self.lose("", SceneError("licence", detail), name)
        lost = [self._lost[key] for key in sorted(self._lost)]
        tables.write_rows(lost, tables.QUARANTINE, self.folder / "quarantine.parquet")
        labels = self._rows.write(self.folder / "labels.parquet")
        self._complete.write(self.folder / "complete.parquet")
        write_json(self.folder / "sources.json", self._sources(libraries))
        labels_of = {
            library.name: entry(
                library.origin,
                sorted(library.used),
                joined([one.date for one in library.entries if one.name in library.used]),
            )
            for library in libraries
            if library.used
        }
        write_json(self.folder / "licences.json", {"labels": labels_of, "scenes": dict(imagery)})
        shutil.rmtree(self._work, ignore_errors=True)
        return {
            "labelled": self._labelled,
            "quarantined": len(lost),
            "labels": labels,
            "by_source": dict(sorted(self._counts.items())),
        }

    def _sources(self, libraries: Sequence["Library"]) -> dict[str, Any]:
        """What each source used can say: its vocabulary, and whether a label it does not give is absent."""
        out: dict[str, Any] = {}
        known = {library.name: library for library in libraries}
        for name in sorted(self._seen):
            if name == spectral_rules.SOURCE:
                labels = sorted(spectral_rules.CLASSES)
                out[name] = {"kind": "spectral", "complete": True, "labels": labels, "change": [], "derived": True}
                continue
            params, lost = known[name].params, known[name].lost
            out[name] = {
                "kind": params.kind,
                "complete": params.complete,
                "labels": vocabulary(params, sorted(self._seen[name])),
                "change": sorted(params.change),
                "derived": False,
                "licence": known[name].origin.licence,
                **({"unusable_features": dict(sorted(lost.items()))} if lost else {}),
            }
        return out


def vocabulary(params: SourceParams, seen: Sequence[str]) -> list[str]:
    """All labels a source can give: a raster's classes, otherwise those seen."""
    known = {name for classes in params.tables.values() for name in classes}
    return sorted(known or set(seen))
