"""Parquet as `datasets.load_dataset` reads it: one row a conversation, the picture in an Image column.

The picture of a chip stands in each of its conversations' rows; its bytes are written once a row group, as an entry of
the column's dictionary.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.exchange.exports.names import file_name
from tasks.exchange.exports.options import SPLIT_NAMES, Add, Options
from tasks.exchange.exports.row_shards import RowShards
from tasks.exchange.exports.source import Shown, flat

GROUP = 100
"""Rows of a row group, as the hub's viewer likes them where there are pictures."""
_TEXT = pa.string()
_TEXTS = pa.list_(_TEXT)
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", _TEXT)])
_TURN = pa.struct([("from", _TEXT), ("value", _TEXT)])
COLUMNS = {
    "image": _IMAGE,
    "conversations": pa.list_(_TURN),
    "conversation_id": _TEXT,
    "chip_id": _TEXT,
    "sensor": _TEXT,
    "platform": _TEXT,
    "datetime": _TEXT,
    "crs": _TEXT,
    "transform": pa.list_(pa.float64()),
    "task": _TEXT,
    "question_types": _TEXTS,
    "guessable": pa.list_(pa.bool_()),
    "verdicts": _TEXTS,
    "evidence": _TEXTS,
    "label_sources": _TEXTS,
    "generator": _TEXT,
    "model": _TEXT,
    "revision": _TEXT,
    "prompt_hash": _TEXT,
    "rendering": _TEXT,
}
"""Of a row; with the pixels, `pixels` (GeoTIFF) and `bands` follow."""
WITH_PIXELS = {"pixels": pa.binary(), "bands": _TEXTS}


def columns(options: Options) -> dict[str, pa.DataType]:
    """The columns of an export."""
    return {**COLUMNS, **(WITH_PIXELS if options.pixels else {})}


def schema(options: Options) -> pa.Schema:
    """With the features in its metadata, from which `datasets` knows that a column holds pictures."""
    features = {name: _feature(name, kind) for name, kind in columns(options).items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}
    return pa.schema(list(columns(options).items()), metadata=metadata)


def _feature(name: str, kind: pa.DataType) -> Any:
    if name == "image":
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature("", kind.value_type)]  # as every version of `datasets` reads a list
    if pa.types.is_struct(kind):
        return {field.name: _feature("", field.type) for field in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def rows(shown: Shown, options: Options) -> Iterator[dict[str, Any]]:
    """One row for each conversation about a chip."""
    for talk in shown.talks:
        turns = []
        for question, answer in talk.messages("<image>", options.tags):
            turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        image = {"bytes": shown.picture, "path": f"{file_name(shown.chip['chip_id'])}.png"}
        more = {"pixels": shown.geotiff, "bands": shown.chip["bands"]} if options.pixels else {}
        yield {"image": image, "conversations": turns, **flat(shown, talk), **more}


class _Shards(RowShards):
    """The shards of one split."""

    def __init__(self, folder: Path, split: str, options: Options) -> None:
        super().__init__(folder, schema(options), GROUP)
        self.split, self.options = split, options

    def open(self, number: int) -> tuple[Path, Any]:
        path = self.folder / f"{self.split}-{number:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = pq.ParquetWriter(
            path, self.schema, compression="zstd", compression_level=3, dictionary_pagesize_limit=1 << 28,
            write_page_checksum=True,
        )  # fmt: skip
        return path, writer

    def add(self, shown: Shown) -> None:
        if self.bytes >= self.options.shard_bytes:
            self.end()
        for row in rows(shown, self.options):
            self.row(row)
        self.bytes += len(shown.picture) + (len(shown.geotiff) if self.options.pixels else 0)

    def close(self) -> None:
        self.renamed()


@contextmanager
def write(folder: Path, options: Options) -> Iterator[Add]:
    """Parquet shards under data/, named by split."""
    shards: dict[str, _Shards] = {}

    def add(shown: Shown) -> None:
        if shown.split not in shards:
            shards[shown.split] = _Shards(folder / "data", SPLIT_NAMES[shown.split], options)
        shards[shown.split].add(shown)

    yield add
    for one in shards.values():
        one.close()
