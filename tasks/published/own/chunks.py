"""One chunk of rows of one's own made into chips, conversations and rejects, each image stored once in it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.core.code import code
from tasks.core.stage import fingerprint
from tasks.earth.display_sensors import known_sensor
from tasks.published.chunks import Chunk, ChunkRows, ImportCounts
from tasks.published.images import Planes
from tasks.published.our_rows import chip_row, conversation_row
from tasks.published.own.formats import Reader, Talk, key_of
from tasks.published.own.image_sources import Found, ImageSource
from tasks.published.own.source_rows import SourceRow
from tasks.published.registry import Published
from tasks.published.repairs import Notes, RowError
from tasks.published.rows import Converted
from tasks.published.text import pair_turns, set_head


@dataclass(frozen=True)
class OwnFormat:
    """How one data set is read."""

    dataset: str
    """Its name, and that of its folder."""
    generator: str
    """What form it comes in: llava, sharegpt, ..."""
    entry: Published
    reader: Reader
    images: ImageSource
    strict: bool
    options: Sequence[str] = ()
    """What else decides what comes out, for the identity of a chunk."""
    under: str = ""
    """First field of the object that may stand around a file's records."""


@dataclass(frozen=True)
class Prepared:
    """A row whose text is whole and whose images are there: what is left is to read their pixels."""

    row: SourceRow
    key: str
    notes: Notes
    talk: Talk | None
    images: tuple[Found, ...]
    error: RowError | None = None


@dataclass
class _Image:
    chip_id: str
    new: bool
    planes: Planes | None
    notes: Notes
    error: RowError | None
    date: datetime | None = None


def prepare(row: SourceRow, how: OwnFormat, repeated: bool) -> Prepared:
    """The row opened, as far as it goes without a pixel; why it is refused, if it is.

    Args:
        row: as it stands.
        how: the data set is read.
        repeated: whether an earlier row is the same.
    """
    notes, key, talk = Notes(how.strict), "", None
    try:
        record = row.open(notes)
        key = key_of(record)
        if repeated:
            raise RowError("duplicate-row", "an earlier record is the same, byte by byte")
        talk = how.reader(record, notes)
        if not talk.images:
            raise RowError("text-only", "the record shows no image")
        return Prepared(row, key, notes, talk, tuple(how.images.find(name) for name in talk.images))
    except RowError as error:
        return Prepared(row, key, notes, talk, (), error)


def identity(rows: Sequence[Prepared], how: OwnFormat) -> str:
    """What a chunk is made from: its rows, the images they show as they lie there, how they are read, this code."""
    source = [
        [
            row.row.position, row.row.digest.hex(), [image.stamp for image in row.images],
            row.error.reason if row.error else "",
        ]
        for row in rows
    ]  # fmt: skip
    return fingerprint(
        json.dumps(source), how.dataset, how.generator, repr(how.entry), how.strict, *how.options, code(__name__)
    )


def make(rows: Sequence[Prepared], chunk: Chunk, how: OwnFormat, folder: Path, made_from: str) -> ImportCounts:
    """Read the pixels of one chunk and write its tables."""
    sensor = known_sensor(how.entry.sensor)
    filled, images = ChunkRows(sensor), dict[str, _Image]()
    for row in rows:
        source = f"{chunk.shard.path.name}#{row.row.position}"
        try:
            filled.keep(_convert(row, images, chunk, how, source), row.notes)
        except RowError as error:
            filled.refuse(row.row.position, chunk.shard.path.name, row.key, error)
    return filled.write(chunk, folder, made_from)


def _convert(row: Prepared, images: dict[str, _Image], chunk: Chunk, how: OwnFormat, source: str) -> Converted:
    if row.error or row.talk is None:
        raise row.error or RowError("missing-text", "the record has no conversation")
    notes, talk, sensor = row.notes, row.talk, known_sensor(how.entry.sensor)
    turns, task = set_head(pair_turns(talk.turns, notes), len(row.images), how.entry, notes)
    name = f"{how.dataset}-{chunk.shard.number:05d}-{row.row.position:07d}"
    read = []
    for found in row.images:
        image = images.get(found.stamp)
        if image is None:
            own = Notes(how.strict)
            image = _Image(f"{how.dataset}-{chunk.name}-{len(images):04d}", True, None, own, None)
            try:
                pixels = how.images.read(found, own)
            except RowError as error:
                image.error = error
            else:
                image.planes, image.date = pixels.planes, pixels.date
            images[found.stamp] = image
        read.append(image)
    for image in read:
        if image.error:
            raise RowError(image.error.reason, str(image.error))
    for image in read:
        notes.repairs |= image.notes.repairs
        notes.flags |= image.notes.flags
    chips: list[dict[str, Any]] = []
    planes = []
    for image in read:
        if image.new and image.planes is not None:
            collection = f"{how.generator}/{how.dataset}"
            chips.append(chip_row(image.chip_id, name, source, collection, sensor, image.planes, image.date))
            planes.append(image.planes)
            # Kept as bytes from here on; what is shown again needs its name alone.
            image.new, image.planes = False, None
    kind = task if task != how.entry.kind or talk.kind is None else talk.kind
    claim = talk.claim | ({"id": row.key} if row.key else {})
    chip_ids = [image.chip_id for image in read]
    talked = conversation_row(f"{name}#0", chip_ids, sensor, turns, kind, claim, notes, how.generator, how.dataset)
    return Converted(chips, talked, planes)
