"""The import of a whole download: every data set, every file of it, with nothing lost in silence."""

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rasterio.errors import NotGeoreferencedWarning

from tasks.core.arrow_shards import ShardError
from tasks.core.log import progress
from tasks.core.stage import storage_errors, write_json
from tasks.earth.display_sensors import known_sensor
from tasks.published.arrow_files import Folder, SourceError, find_folders, inspect
from tasks.published.band_statistics import described, merge
from tasks.published.chunks import Chunk, ImportCounts, finished, identity, make, plan, remove_stale
from tasks.published.registry import PUBLISHED, Published, by_name, find
from tasks.published.rows import Converter, find_columns
from tasks.published.samples import STATS, SUMMARY

logger = logging.getLogger(__name__)


@dataclass
class ImportResult:
    """What became of one data set."""

    name: str
    entry: Published | None
    counts: ImportCounts = field(default_factory=ImportCounts)
    unreadable: dict[str, str] = field(default_factory=dict)
    """What could not be read at all, by file; the empty name stands for the whole data set."""
    seconds: float = 0.0
    """Spent on chunks that were not there yet."""
    made: int = 0
    """Rows of these chunks."""

    def as_json(self) -> dict[str, Any]:
        """Counts only: the same source gives the same bytes."""
        counted = self.counts.as_json()
        counted.pop("statistics")
        return {"entry": self.entry.name if self.entry else None, **counted, "unreadable": self.unreadable}


def import_all(
    root: Path, out: Path, chosen: Sequence[str] = (), strict: bool = False, jobs: int = 1
) -> list[ImportResult]:
    """Import every data set under `root` into a folder of its own under `out`.

    Args:
        root: the download, or one data set of it.
        out: where the imports lie.
        chosen: names of data sets to import, all if empty; `NAME=ENTRY` reads a folder that the registry does not
            know by its name as one of its entries.
        strict: refuse rows that would be repaired.
        jobs: chunks worked on at a time.

    Raises:
        SourceError: there is no data set, or none of a chosen name, or no such entry.
    """
    folders, entries = _choose(find_folders(root), chosen)
    with warnings.catch_warnings():
        # TIFFs in these sets lie nowhere on Earth. Set once here: filters belong to all threads.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return [_import(folder, entries.get(folder.name), out, strict, jobs) for folder in folders]


def _choose(folders: list[Folder], chosen: Sequence[str]) -> tuple[list[Folder], dict[str, Published]]:
    """The folders to import, and the registry's entry of each that has one."""
    entry_names = dict(item.partition("=")[::2] for item in chosen)
    missing = [name for name in entry_names if name not in {folder.name for folder in folders}]
    if missing:
        raise SourceError(
            f"there is no data set '{missing[0]}'; there are: {', '.join(folder.name for folder in folders)}"
        )
    same = [names for names in _by_target(folders).values() if len(names) > 1]
    if same:
        raise SourceError(f"{' and '.join(same[0])} would be imported into one folder; rename one of them")
    entries = {}
    for folder in folders:
        named = entry_names.get(folder.name)
        entry = by_name(named) if named else find(folder.names)
        if named and entry is None:
            raise SourceError(f"'{named}' is no entry; known: {', '.join(entry.name for entry in PUBLISHED)}")
        if entry:
            entries[folder.name] = entry
    return [folder for folder in folders if not entry_names or folder.name in entry_names], entries


def _by_target(folders: list[Folder]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for folder in folders:
        found.setdefault(dataset_name(folder.name), []).append(folder.name)
    return found


def _import(folder: Folder, entry: Published | None, out: Path, strict: bool, jobs: int) -> ImportResult:
    outcome = ImportResult(folder.name, entry)
    if entry is None:
        outcome.unreadable[""] = (
            f"no published set is named like this; --dataset {folder.name}=ENTRY reads it as one of: "
            f"{', '.join(known.name for known in PUBLISHED)}"
        )
        return outcome
    inspect(folder)
    outcome.unreadable |= folder.unreadable
    # A folder of ours is named in small letters, whatever the source's is.
    target = out / dataset_name(folder.name)
    converters: dict[tuple[str, ...], Converter] = {}
    chunks = []
    for shard in folder.shards:
        try:
            columns = find_columns(entry, shard.columns)
        except SourceError as error:
            outcome.unreadable[shard.path.name] = str(error)
            continue
        converters.setdefault(shard.columns, Converter(target.name, entry, columns))
        chunks += plan([shard])
    remove_stale(target, chunks)
    begun = time.monotonic()
    counts_of = _make_all(chunks, converters, target, strict, jobs, outcome)
    outcome.seconds = time.monotonic() - begun
    for chunk in chunks:
        if chunk.name in counts_of:
            add_counts(outcome.counts, counts_of[chunk.name])
    if chunks:
        write_json(target / SUMMARY, outcome.as_json())
        write_json(target / STATS, described(outcome.counts.statistics, known_sensor(entry.sensor)))
    return outcome


def dataset_name(name: str) -> str:
    """What a data set's folder and chips are called here."""
    return name.lower().replace("_", "-").replace(" ", "-")


def _make_all(
    chunks: list[Chunk],
    converters: dict[tuple[str, ...], Converter],
    folder: Path,
    strict: bool,
    jobs: int,
    outcome: ImportResult,
) -> dict[str, ImportCounts]:
    """The counts of each chunk that could be read, by its name."""

    def work(chunk: Chunk) -> tuple[Chunk, ImportCounts, bool]:
        converter = converters[chunk.shard.columns]
        made_from = identity(chunk, converter, strict)
        counts = finished(chunk, folder, made_from)
        if counts is not None:
            return chunk, counts, False
        with storage_errors():
            return chunk, make(chunk, converter, folder, strict, made_from), True

    counts_of = {}
    with threads(jobs) as pool:
        waiting = {pool.submit(work, chunk): chunk for chunk in chunks}
        for done in progress(as_completed(waiting), f"import of {outcome.name}", len(chunks)):
            try:
                chunk, counts, new = done.result()
            except ShardError as error:
                outcome.unreadable[waiting[done].shard.path.name] = str(error)
                logger.error("%s, %s: %s", outcome.name, waiting[done].shard.path.name, error)
            else:
                counts_of[chunk.name] = counts
                outcome.made += counts.rows if new else 0
    return counts_of


@contextmanager
def threads(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Threads: decoding and packing pixels happens outside Python's lock. An error drops what has not begun."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def add_counts(total: ImportCounts, counts: ImportCounts) -> None:
    """Add the counts of one chunk to those of its data set."""
    total.rows += counts.rows
    total.kept += counts.kept
    total.pairs += counts.pairs
    total.chips += counts.chips
    total.repaired.update(counts.repaired)
    total.rejected.update(counts.rejected)
    total.flagged.update(counts.flagged)
    merge(total.statistics, counts.statistics)
