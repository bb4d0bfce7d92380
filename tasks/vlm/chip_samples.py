"""Samples of one image: the conversations that stage `qa` left of one part, as rows of a mixture, many at a time."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core import paths, tables
from tasks.core.errors import MissingInputError
from tasks.core.stage import require
from tasks.earth.grid import stable_hash
from tasks.earth.sensors import SENSORS, Sensor
from tasks.vlm.bands import Modality, bands_to_load, modality_tag
from tasks.vlm.samples import IMAGE_REF, SCHEMA

BATCH = 65_536
"""Conversations that are read together."""
ROWS = SCHEMA.append(pa.field("split", pa.string()))
"""Samples and the side of each."""


def repeats(sample_id: str, weight: float) -> int:
    """Times a sample is seen in an epoch; the fraction of a weight goes to a fixed share of the samples."""
    whole = math.floor(weight)
    return whole + (stable_hash(f"repeats/{sample_id}") / 2**64 < weight - whole)


def read_chips(sensor: str, part: str) -> pa.Table:
    """What is known of every chip of one part: the fields of an `ImageRef` but the modality and the crop."""
    columns = ["chip_id", "bands", "width", "height", "datetime"]
    found = []
    for shard in sorted(require(paths.chips(sensor, part)).glob("shard-*.parquet")):
        table = tables.read(shard, columns)
        name = pa.DictionaryArray.from_arrays(pa.nulls(table.num_rows, pa.int32()).fill_null(0), [shard.as_posix()])
        found.append(table.append_column("shard", name))
    # Shards differ in their dictionaries alone.
    return pa.concat_tables(found).unify_dictionaries().combine_chunks() if found else pa.table({})


def sample_tables(sensor: str, part: str, weights: Mapping[Modality, float], split: pa.Table) -> Iterator[pa.Table]:
    """Tables of `ROWS`: every conversation of one part in each modality. Outside of training each is seen once.

    Args:
        sensor: its name.
        part: of the data set.
        weights: modality -> times an epoch.
        split: chip_id and split of every chip.

    Raises:
        MissingInputError: a conversation is about no chip of the part, or its chip is on no side of the split.
    """
    chips = read_chips(sensor, part)
    path = require(paths.qa(sensor, part) / "conversations.parquet")
    columns = ["conversation_id", "chip_id", "conversations", "turns.list.element.question_type"]
    with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(BATCH, columns=columns):
            asked = batch["chip_id"]
            place = _found(asked, chips["chip_id"] if chips.num_rows else None,
                           f"{sensor} {part} has questions about chip {{}}, but no such chip")  # fmt: skip
            side = split["split"].take(
                _found(asked, split["chip_id"], "chip {} is on no side of the split; rebuild `split`")
            )
            for modality, weight in weights.items():
                rows = _shown(SENSORS[sensor], batch, chips.take(place), modality, weight)
                train = pc.equal(side, "train")
                once = pc.if_else(train, rows["repeats"], pa.scalar(1, pa.int32()))
                rows = rows.set_column(SCHEMA.get_field_index("repeats"), SCHEMA.field("repeats"), once)
                yield rows.append_column("split", side).filter(pc.greater(once, 0))


def _found(chip_ids: pa.Array, known: pa.ChunkedArray | None, message: str) -> pa.Array:
    """Number of the row of each chip among those that are known."""
    places = pa.nulls(len(chip_ids), pa.int32()) if known is None else pc.index_in(chip_ids, value_set=known)
    if places.null_count:
        raise MissingInputError(message.format(chip_ids.filter(places.is_null())[0].as_py()))
    return places


def _shown(sensor: Sensor, batch: pa.RecordBatch, chips: pa.Table, modality: Modality, weight: float) -> pa.Table:
    """Conversations about chips, row by row, shown in one modality."""
    count = batch.num_rows
    ids = pc.binary_join_element_wise(batch["conversation_id"], modality, "/")
    whole = math.floor(weight)
    times = pa.array([repeats(name, weight) for name in ids.to_pylist()] if weight > whole else [whole] * count)
    own = {
        "shard": chips["shard"].cast(pa.string()).combine_chunks(),
        "chip_id": batch["chip_id"],
        "sensor": _same(sensor.name, count),
        "modality": _same(modality, count),
        "bands": _bands(sensor, modality, chips["bands"].combine_chunks()),
        "crop": pa.nulls(count, IMAGE_REF.field("crop").type),
    }
    fields = list(IMAGE_REF)
    images = [own[field.name] if field.name in own else chips[field.name].combine_chunks() for field in fields]
    struct = pa.StructArray.from_arrays(
        [_one(a).cast(f.type) for a, f in zip(images, fields, strict=True)], fields=fields
    )
    turns = batch["turns"]
    values: dict[str, Any] = {
        "sample_id": ids,
        "chip_id": batch["chip_id"],
        "sensor": own["sensor"],
        "modality": own["modality"],
        "images": pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32)), struct),
        # The first question begins with the tags: what comes first in the JSON is the sensor's.
        "conversations": pc.replace_substring(
            batch["conversations"], sensor.tag, modality_tag(sensor, modality), max_replacements=1
        ),
        "question_types": pa.ListArray.from_arrays(turns.offsets, turns.values.field("question_type")),
        "repeats": times,
    }
    return pa.Table.from_arrays([values[field.name].cast(field.type) for field in SCHEMA], schema=SCHEMA)


def _bands(sensor: Sensor, modality: Modality, present: pa.ListArray) -> pa.ListArray:
    """Bands that are shown of each chip; chips have few different lists of them."""
    names = pc.dictionary_encode(pc.binary_join(present, ","))
    shown = [bands_to_load(sensor, modality, text.split(",")) for text in names.dictionary.to_pylist()]
    return pa.array(shown, pa.list_(pa.string())).take(names.indices)


def _same(text: str, count: int) -> pa.Array:
    return pa.nulls(count, pa.string()).fill_null(text)


def _one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
