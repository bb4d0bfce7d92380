"""What the stage `labels` leaves: the rows of all scenes in one order, what was lost and why, sources and licences."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core import tables
from tasks.core.errors import SceneError
from tasks.core.stage import read_json, write_json
from tasks.earth import spectral_rules
from tasks.earth.label_dates import joined
from tasks.earth.label_jobs import ROWS as ROWS_FILE
from tasks.earth.label_jobs import ROWS_ORDER, SAID, WHOLE, WHOLE_ORDER, in_order
from tasks.earth.label_licences import entry
from tasks.earth.label_params import SourceParams
from tasks.earth.label_rows import COMPLETE, SCHEMA

if TYPE_CHECKING:
    from tasks.earth.label_sources import Library

MANY = 128
"""Files that are merged into one before there are more: each is held open while all are read side by side."""
ROWS = 16_384
"""Rows in memory while files are merged, all together, roughly."""


class _Merged:
    """Tables of scenes, each sorted, that leave as one in the same order."""

    def __init__(self, folder: Path, schema: pa.Schema, order: Sequence[str]) -> None:
        self._folder, self._schema, self._key = folder, schema, in_order(order)
        self._parts: list[Path] = []
        self._made = 0

    def add(self, table: Path) -> None:
        """Take the table of one scene."""
        self._parts.append(table)
        if len(self._parts) >= MANY:
            merged = self._folder / f"{self._made:06d}.parquet"
            tables.write_stream(self._rows_of(self._parts), self._schema, merged)
            for part in self._parts:
                if part.is_relative_to(self._folder):
                    part.unlink()
            self._parts, self._made = [merged], self._made + 1

    def write(self, path: Path) -> int:
        """Write all rows to `path`; returns how many there were."""
        return tables.write_stream(self._rows_of(self._parts), self._schema, path)

    def _rows_of(self, parts: Sequence[Path]) -> Iterator[dict[str, Any]]:
        return heapq.merge(*(self._rows(part, max(64, ROWS // max(len(parts), 1))) for part in parts), key=self._key)

    def _rows(self, part: Path, batch: int) -> Iterator[dict[str, Any]]:
        with pq.ParquetFile(part) as file:
            for some in file.iter_batches(batch):
                yield from some.to_pylist()


class Ledger:
    """Everything that is known of the windows of one part of a sensor, written when all scenes are through."""

    def __init__(self, sensor: str, folder: Path, work: Path) -> None:
        """Begin one; `work` is a folder for tables on their way, removed by whose it is."""
        self.sensor, self.folder = sensor, folder
        self._lost: dict[tuple[str, str, str], dict[str, str]] = {}
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._counts: Counter[str] = Counter()
        self._labelled = 0
        self._rows = _Merged(work / "rows", SCHEMA, ROWS_ORDER)
        self._complete = _Merged(work / "complete", COMPLETE, WHOLE_ORDER)

    def add(self, result: Path, libraries: Mapping[str, "Library"]) -> None:
        """Take what is known of one scene's windows: the result of its job."""
        rows = _frame(result / ROWS_FILE, "chip_id", "label", "source")
        for source, label, count in rows.group_by("source", "label").len().sort("source", "label").iter_rows():
            self._seen[source].add(label)
            self._counts[source] += count
        whole = _frame(result / WHOLE, "source", "labels")
        for source, labels in whole.explode("labels").unique().sort("source", "labels").iter_rows():
            self._seen[source].update(() if labels is None else (labels,))
        self._labelled += rows["chip_id"].n_unique()
        self._rows.add(result / ROWS_FILE)
        self._complete.add(result / WHOLE)
        said = read_json(result / SAID)
        for name, used in said["used"].items():
            libraries[name].used.update(used)
        for name, lost in said["lost"].items():
            for reason, count in lost.items():
                libraries[name].lost[reason] = max(libraries[name].lost.get(reason, 0), count)
        for name, (reason, detail) in sorted(said["failed"].items()):
            self.lose(name, SceneError(reason, detail))

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


def _frame(path: Path, *columns: str) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(tables.read(path, columns)))


def vocabulary(params: SourceParams, seen: Sequence[str]) -> list[str]:
    """All labels a source can give: a raster's classes, otherwise those seen."""
    known = {name for classes in params.tables.values() for name in classes}
    return sorted(known or set(seen))
