"""Parquet as `datasets.load_dataset` reads it: one row a conversation, the picture in an Image column.

The picture of a chip stands in each of its conversations' rows; its bytes are written once a row group, as an entry of
the column's dictionary.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.exchange.exports.json_lines import from_value
from tasks.exchange.exports.names import file_name
from tasks.exchange.exports.options import SERIES, SPLIT_NAMES, Adding, Options
from tasks.exchange.exports.row_shards import RowShards
from tasks.exchange.exports.series import ShownSeries, flat_series
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
OF_SERIES = {
    "images": pa.list_(_IMAGE),
    "conversations": pa.list_(_TURN),
    "conversation_id": _TEXT,
    "series_id": _TEXT,
    "kind": _TEXT,
    "rule": _TEXT,
    "days": pa.float64(),
    "chip_ids": _TEXTS,
    "sensors": _TEXTS,
    "platforms": _TEXTS,
    "datetimes": _TEXTS,
    "crs": _TEXT,
    "transform": pa.list_(pa.float64()),
    "task": _TEXT,
    "question_types": _TEXTS,
    "guessable": pa.list_(pa.bool_()),
    "verdicts": _TEXTS,
    "evidence": _TEXTS,
    "generator": _TEXT,
    "prompt_hash": _TEXT,
    "renderings": _TEXTS,
}
"""Of a row with several images; with the pixels, `pixels` and `bands` of each follow."""
SERIES_PIXELS = {"pixels": pa.list_(pa.binary()), "bands": pa.list_(_TEXTS)}


def columns(options: Options) -> dict[str, pa.DataType]:
    """The columns of an export."""
    return {**COLUMNS, **(WITH_PIXELS if options.pixels else {})}


def series_columns(options: Options) -> dict[str, pa.DataType]:
    """The columns of an export's rows with several images."""
    return {**OF_SERIES, **(SERIES_PIXELS if options.pixels else {})}


def _schema(known: Mapping[str, pa.DataType]) -> pa.Schema:
    """With the features in its metadata, from which `datasets` knows that a column holds pictures."""
    features = {name: _feature(name, kind) for name, kind in known.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}
    return pa.schema(list(known.items()), metadata=metadata)


def _feature(name: str, kind: pa.DataType) -> Any:
    if kind.equals(_IMAGE):
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature("", kind.value_type)]  # as every version of `datasets` reads a list
    if pa.types.is_struct(kind):
        return {field.name: _feature("", field.type) for field in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def rows(shown: Shown, options: Options) -> Iterator[dict[str, Any]]:
    """One row for each conversation about a chip."""
    more = {"pixels": shown.geotiff, "bands": shown.chip["bands"]} if options.pixels else {}
    for talk in shown.talks:
        turns = from_value(talk, options)
        yield {"image": _picture(shown), "conversations": turns, **flat(shown, talk), **more}


def series_rows(shown: ShownSeries, options: Options) -> Iterator[dict[str, Any]]:
    """One row for each conversation about a series."""
    more: dict[str, Any] = {}
    if options.pixels:
        more = {"pixels": [image.geotiff for image in shown.images],
                "bands": [image.chip["bands"] for image in shown.images]}  # fmt: skip
    for talk in shown.talks:
        turns = from_value(talk, options, shown.mark)
        images = [_picture(image) for image in shown.images]
        yield {"images": images, "conversations": turns, **flat_series(shown, talk), **more}


def _picture(shown: Shown) -> dict[str, Any]:
    return {"bytes": shown.picture, "path": f"{file_name(shown.chip['chip_id'])}.png"}


class _Shards(RowShards):
    """The shards of one split."""

    def __init__(self, folder: Path, name: str, known: Mapping[str, pa.DataType], options: Options) -> None:
        super().__init__(folder, _schema(known), GROUP)
        self.name, self.options = name, options

    def open(self, number: int) -> tuple[Path, Any]:
        path = self.folder / f"{self.name}-{number:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = pq.ParquetWriter(
            path, self.schema, compression="zstd", compression_level=3, dictionary_pagesize_limit=1 << 28,
            write_page_checksum=True,
        )  # fmt: skip
        return path, writer

    def add(self, rows: Iterable[dict[str, Any]], images: Sequence[Shown]) -> None:
        if self.bytes >= self.options.shard_bytes:
            self.end()
        for row in rows:
            self.row(row)
        self.bytes += sum(len(one.picture) + (len(one.geotiff) if self.options.pixels else 0) for one in images)

    def close(self) -> None:
        self.renamed()


@contextmanager
def write(folder: Path, options: Options) -> Iterator[Adding]:
    """Parquet shards under data/, named by split; those of series, which have other columns, begin with `series-`."""
    shards: dict[str, _Shards] = {}

    def of(name: str, known: Mapping[str, pa.DataType]) -> _Shards:
        if name not in shards:
            shards[name] = _Shards(folder / "data", name, known, options)
        return shards[name]

    def add(shown: Shown) -> None:
        of(SPLIT_NAMES[shown.split], columns(options)).add(rows(shown, options), [shown])

    def add_series(shown: ShownSeries) -> None:
        name = f"{SERIES}{SPLIT_NAMES[shown.split]}"
        of(name, series_columns(options)).add(series_rows(shown, options), shown.images)

    yield Adding(add, add_series)
    for one in shards.values():
        one.close()
