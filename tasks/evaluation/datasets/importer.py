"""From files to samples: every image decoded once, every question counted as taken over or left out, and why."""

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core import tables
from tasks.core.errors import BenchmarkError
from tasks.core.inside import OutsideError, within
from tasks.core.stage import atomic, write_json
from tasks.earth import pictures
from tasks.evaluation.datasets.adapters import ADAPTERS
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.adapters.tables import is_table
from tasks.evaluation.datasets.files import found, holds
from tasks.evaluation.datasets.images import ImageDecodeError, decode, format_of
from tasks.evaluation.datasets.registry import Benchmark, BenchmarkSource
from tasks.evaluation.datasets.samples import QUARANTINE, SCHEMA, BenchmarkImageRef, BenchmarkSample, Rejected

TABLES = frozenset({"arrow", "xlrs"})
"""Adapters that read a table, whose own folder may be given."""
BATCH = 256
"""Rows held before they are written; with embedded images this bounds the memory."""


@dataclass(frozen=True)
class ImportRecord:
    """What one import did; written as import.json beside the samples."""

    benchmark: str
    source: str
    adapter: str
    comparable: bool
    confirmed: bool
    split: str
    samples: int
    images: int
    rejected: dict[str, int]
    published_samples: int | None
    digest: str

    @property
    def asked(self) -> int:
        """Questions met, taken over or not."""
        return self.samples + sum(self.rejected.values())


def there(source: BenchmarkSource, root: Path) -> list[str]:
    """The patterns of a source that nothing under `root` matches; empty if its files are there."""
    if not root.is_dir():
        return list(source.needs)
    return [pattern for pattern in source.needs if not any(holds(root, one) for one in pattern.split(" | "))]


def choose(benchmark: Benchmark, root: Path, name: str | None = None) -> BenchmarkSource:
    """The source whose files lie under `root`: the one called `name`, or the first that is whole.

    Raises:
        BenchmarkError: none is; says for each what was looked for, and what was found.
    """
    if not root.is_dir():
        raise BenchmarkError(f"{root} is not a folder; unpack the files of {benchmark.title} and give the folder")
    if name:
        source = benchmark.source(name)
        if (missing := there(source, root)) and not _is_shard(source, root):
            raise BenchmarkError(f"{root}: {' and '.join(missing)} not found for source {name}; {found(root)}")
        return source
    for source in benchmark.sources:
        if not there(source, root) or _is_shard(source, root):
            return source
    looked = "\n".join(f"  {one.name}: {' and '.join(one.needs)}  ({one.layout})" for one in benchmark.sources)
    raise BenchmarkError(
        f"{root} is laid out as none of the sources of {benchmark.name}; {found(root)}. Looked for\n{looked}"
    )


def _is_shard(source: BenchmarkSource, root: Path) -> bool:
    """Whether the folder given is itself the table that the source asks for somewhere below."""
    return source.adapter in TABLES and is_table(root)


def run(
    benchmark: Benchmark, root: Path, out: Path, source: str | None = None, embed: bool = False, check: bool = True
) -> ImportRecord:
    """Import the files of a benchmark under `root` into the folder `out`.

    Args:
        benchmark: row of the registry.
        root: folder of the published files.
        out: gets samples.parquet, quarantine.parquet and import.json.
        source: name of the form the files are in; found out if not given.
        embed: put the images into the table, instead of their paths.
        check: decode every image to its end; otherwise only its first bytes are looked at.

    Raises:
        BenchmarkError: the files are not as published, an id stands twice, or nothing is left.
    """
    chosen = choose(benchmark, root, source)
    if chosen.adapter not in ADAPTERS:
        raise BenchmarkError(
            f"{benchmark.name}: no adapter {chosen.adapter!r}; there are {', '.join(sorted(ADAPTERS))}"
        )
    job = ImportJob(benchmark, chosen)
    digest = hashlib.blake2b(digest_size=16)
    rejected: list[Rejected] = []
    seen: set[str] = set()
    images = _Images(root, out, embed, check)
    written = 0
    with ExitStack() as stack:
        partial = stack.enter_context(atomic(out / "samples.parquet"))
        writer = stack.enter_context(pq.ParquetWriter(partial, SCHEMA, compression="zstd"))
        for batch in _batched(ADAPTERS[chosen.adapter](root, job), rejected, images):
            for sample in batch:
                if sample.id in seen:
                    raise BenchmarkError(f"{root}: id {sample.id!r} stands twice, so its truth is not certain")
                seen.add(sample.id)
            rows = [sample.row() for sample in batch]
            for row in rows:
                digest.update(_identity(row))
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
            written += len(rows)
        if not written:
            raise BenchmarkError(f"{root}: no question of {benchmark.name} could be taken over: {_reasons(rejected)}")
    tables.write_rows([vars(entry) for entry in rejected], QUARANTINE, out / "quarantine.parquet")
    imported = ImportRecord(
        benchmark=benchmark.name,
        source=chosen.name,
        adapter=chosen.adapter,
        comparable=chosen.comparable,
        confirmed=chosen.confirmed,
        split=benchmark.split,
        samples=written,
        images=images.count,
        rejected=dict(sorted(Counter(entry.reason for entry in rejected).items())),
        published_samples=benchmark.samples,
        digest=digest.hexdigest(),
    )
    write_json(out / "import.json", dataclasses.asdict(imported))
    return imported


def _identity(row: dict[str, Any]) -> bytes:
    """What makes a row the same on any machine: all but where its images lie."""
    images = [{**image, "path": Path(image["path"]).name, "data": _hash(image["data"])} for image in row["images"]]
    return json.dumps({**row, "images": images}, sort_keys=True, ensure_ascii=False).encode()


def _hash(data: bytes | None) -> str | None:
    return None if data is None else hashlib.blake2b(data, digest_size=16).hexdigest()


def _reasons(rejected: list[Rejected]) -> str:
    if not rejected:
        return "the files hold none"
    counts = Counter(entry.reason for entry in rejected)
    return f"{', '.join(f'{n} {reason}' for reason, n in counts.most_common())}; first: {rejected[0].detail}"


class _Images:
    """Completes image references: format, size, and the path relative to the table, or the bytes."""

    def __init__(self, root: Path, out: Path, embed: bool, check: bool) -> None:
        self._root, self._out, self._embed, self._check = root, out, embed, check
        self._known: dict[str, BenchmarkImageRef | str] = {}
        self.count = 0

    def complete(self, image: BenchmarkImageRef) -> BenchmarkImageRef:
        """The reference, ready to be written.

        Raises:
            ImageError: it cannot be decoded; the caller names the file.
        """
        if image.data is not None:
            self.count += 1
            return self._examined(image)
        if image.path not in self._known:
            self.count += 1
            try:
                self._known[image.path] = self._examined(image)
            except ImageDecodeError as error:
                self._known[image.path] = str(error)
        known = self._known[image.path]
        if isinstance(known, str):
            raise ImageDecodeError(known)
        dated = dataclasses.replace(known, date=image.date)
        return dataclasses.replace(dated, data=Path(image.path).read_bytes()) if self._embed else dated

    def _examined(self, image: BenchmarkImageRef) -> BenchmarkImageRef:
        path = Path(image.path)
        if image.data is not None:
            kind = format_of(pictures.beginning(image.data))
        elif path.is_file():
            try:
                within(self._root, path)
            except OutsideError as error:
                raise ImageDecodeError(f"{error}; nothing outside the folder that is imported is read") from error
            kind = format_of(pictures.beginning(path))
        else:
            raise ImageDecodeError("the file is not there")
        height, width = decode(image, thorough=True).shape[-2:] if self._check else (0, 0)
        kept = "" if image.data is not None or self._embed else os.path.relpath(path, self._out)
        return dataclasses.replace(image, path=kept, format=kind, width=width, height=height)


def _batched(
    entries: Iterable[BenchmarkSample | Rejected], rejected: list[Rejected], images: _Images
) -> Iterator[list[BenchmarkSample]]:
    batch: list[BenchmarkSample] = []
    for entry in entries:
        whole = _completed(entry, images)
        if isinstance(whole, Rejected):
            rejected.append(whole)
            continue
        batch.append(whole)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _completed(entry: BenchmarkSample | Rejected, images: _Images) -> BenchmarkSample | Rejected:
    if isinstance(entry, Rejected):
        return entry
    whole = []
    for image in entry.images:
        try:
            whole.append(images.complete(image))
        except ImageDecodeError as error:
            reason = "missing_image" if image.path and not Path(image.path).is_file() else "unreadable_image"
            return Rejected(entry.id, reason, f"{image.path or 'embedded image'}: {error}", image.path)
    return dataclasses.replace(entry, images=tuple(whole))
