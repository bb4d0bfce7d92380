"""The import of conversations of one's own: every file, row by row, in chunks that are made once."""

import logging
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

from rasterio.errors import NotGeoreferencedWarning

from tasks.core.stage import read_json, storage_errors, write_json
from tasks.earth.display_sensors import known_sensor
from tasks.published.arrow_files import ArrowShard, SourceError
from tasks.published.band_statistics import described
from tasks.published.chunks import CHUNK_BYTES, MAX_ROWS, Chunk, ImportCounts, finished, remove_stale
from tasks.published.importer import ImportResult, add_counts, threads
from tasks.published.own.chunks import OwnFormat, Prepared, identity, make, prepare
from tasks.published.own.source_rows import JSON_FILES, TABLES, read_rows
from tasks.published.samples import STATS, SUMMARY

logger = logging.getLogger(__name__)


def source_files(path: Path, tables: bool = False) -> list[Path]:
    """The files of a data set: `path` itself, or those directly in it that are JSON (or tables, where they may be).

    Raises:
        SourceError: there is none.
    """
    ends = JSON_FILES + (TABLES if tables else ())
    found = [path] if path.is_file() else sorted(one for one in path.glob("*") if one.suffix.lower() in ends)
    if not found:
        raise SourceError(f"{path} is no file and holds none that ends with {', '.join(ends)}")
    return found


def import_own(files: Sequence[Path], how: OwnFormat, out: Path, jobs: int = 1) -> ImportResult:
    """Import the rows of all files into `out`/<data set>.

    Args:
        files: in order; each is one source file of the data set.
        how: they are read.
        out: where the imports lie.
        jobs: chunks worked on at a time.

    Raises:
        SourceError: the folder holds another import.
        StorageError: the disk is full or cannot be written.
    """
    outcome = ImportResult(how.dataset, how.entry)
    folder = out / how.dataset
    _refuse_other(folder, how)
    begun = time.monotonic()
    chunks: list[Chunk] = []
    with warnings.catch_warnings(), threads(jobs) as pool:
        # Set once here: filters belong to all threads.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        waiting: deque[Future[tuple[ImportCounts, bool]]] = deque()

        def settle(leave: int) -> None:
            while len(waiting) > leave:
                counts, new = waiting.popleft().result()
                add_counts(outcome.counts, counts)
                outcome.made += counts.rows if new else 0

        for chunk, rows in _chunks(files, how, outcome):
            chunks.append(chunk)
            waiting.append(pool.submit(_work, chunk, rows, how, folder))
            settle(jobs)  # no more rows are read than are worked on
        settle(0)
    outcome.seconds = time.monotonic() - begun
    if chunks:
        remove_stale(folder, chunks)
        write_json(folder / SUMMARY, outcome.as_json() | {"modality": how.entry.modality, "sensor": how.entry.sensor})
        write_json(folder / STATS, described(outcome.counts.statistics, known_sensor(how.entry.sensor)))
    return outcome


def _refuse_other(folder: Path, how: OwnFormat) -> None:
    if not (folder / SUMMARY).is_file():
        return
    there = read_json(folder / SUMMARY)
    if (there.get("entry"), there.get("sensor")) != (how.entry.name, how.entry.sensor):
        raise SourceError(
            f"{folder} holds another import ({there.get('entry')} of {there.get('sensor', 'its own sensor')}); give "
            "another --name, or remove it"
        )


def _work(chunk: Chunk, rows: Sequence[Prepared], how: OwnFormat, folder: Path) -> tuple[ImportCounts, bool]:
    made_from = identity(rows, how)
    counts = finished(chunk, folder, made_from)
    if counts is not None:
        return counts, False
    with storage_errors():
        return make(rows, chunk, how, folder, made_from), True


def _chunks(files: Sequence[Path], how: OwnFormat, outcome: ImportResult) -> Iterator[tuple[Chunk, list[Prepared]]]:
    """Rows of each file by the chunk: so many, or as many as their bytes and those of their images allow."""
    seen: set[int] = set()
    for number, path in enumerate(files):
        shard, rows, size, made = ArrowShard(path, number, 0, ()), list[Prepared](), 0, 0
        stream = read_rows(path, how.under)
        while True:
            try:
                row = next(stream, None)
            except SourceError as error:
                outcome.unreadable[path.name] = str(error)
                logger.error("%s, %s: %s", outcome.name, path.name, error)
                row = None
            if row is not None:
                # Eight bytes of each digest: what is remembered of a row.
                digest = int.from_bytes(row.digest[:8], "big")
                rows.append(prepare(row, how, bool(row.digest) and digest in seen))
                seen.add(digest)
                size += row.size + sum(
                    image.size for image in {image.stamp: image for image in rows[-1].images}.values()
                )
            if rows and (row is None or len(rows) >= MAX_ROWS or size >= CHUNK_BYTES):
                yield Chunk(shard, rows[0].row.position, rows[-1].row.position + 1, made), rows
                rows, size, made = [], 0, made + 1
            if row is None:
                break
