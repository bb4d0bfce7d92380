"""EarthDial's own layout: folders as `datasets.save_to_disk` writes them, a picture and a conversation as text.

Written with pyarrow alone. The folder of a sensor begins with the name of the published set that its rendering is like:
EarthDial's loader and `earthloom import earthdial-instruct` both know by it what the pixels are (specification of
EarthDial, section 3.3).
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core.arrow_shards import STATE
from tasks.core.errors import ExchangeError
from tasks.core.stage import write_json
from tasks.dialogue.conversations import dump
from tasks.earth.pictures import stretched
from tasks.exchange.exports.names import file_name
from tasks.exchange.exports.options import Adding, Options
from tasks.exchange.exports.row_shards import RowShards
from tasks.exchange.exports.source import Shown
from tasks.pages import png
from tasks.published.registry import LIKE_OURS, Published
from tasks.published.rows import KEY

PICTURE, PIXELS = "png", "tif"
BATCH = 64
"""Rows of a message: what a reader maps at once."""
_TEXT = {"dtype": "string", "_type": "Value"}


def entry_of(shown: Shown) -> Published:
    """The published set whose pictures are like the rendering of a chip.

    Raises:
        ExchangeError: EarthDial has none.
    """
    tags = {tag for talk in shown.talks for tag in talk.tags}
    found = next((entry for entry in LIKE_OURS if entry.tag in tags), None)
    if found is None:
        sensor = shown.sensor.name
        raise ExchangeError(f"EarthDial has no data set that a rendering of {sensor} is like; name others by --sensor")
    return found


def picture_of(shown: Shown, entry: Published) -> bytes:
    """The rendering; of a set of one band that band alone, grey.

    Raises:
        ExchangeError: the chip lacks that band.
    """
    if len(entry.stored_bands) > 1:
        return shown.picture
    (band,) = entry.stored_bands
    if band not in shown.planes:
        raise ExchangeError(
            f"chip {shown.chip['chip_id']} has no band {band}, which EarthDial's sets of its sensor hold; "
            "name other sensors by --sensor"
        )
    return png.encode(np.rint(stretched(shown.planes[band]) * 255).astype(np.uint8))


class _Saved(RowShards):
    """One folder: its stream of rows, then what `datasets` reads beside it."""

    def __init__(self, folder: Path, entry: Published, options: Options) -> None:
        self.entry, self.options = entry, options
        features: dict[str, Any] = {KEY: _TEXT, PICTURE: {"_type": "Image"}, entry.text[0]: _TEXT}
        columns: list[tuple[str, pa.DataType]] = [
            (KEY, pa.string()),
            (PICTURE, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            (entry.text[0], pa.string()),
        ]
        if options.pixels:
            features[PIXELS] = {"dtype": "binary", "_type": "Value"}
            columns.append((PIXELS, pa.binary()))
        self.features = features
        metadata = {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}
        super().__init__(folder, pa.schema(columns, metadata=metadata), BATCH)
        self.digest = hashlib.blake2b(digest_size=8)
        folder.mkdir(parents=True)

    def add(self, shown: Shown) -> None:
        picture = picture_of(shown, self.entry)
        if self.bytes >= self.options.shard_bytes:
            self.end()
        for talk in shown.talks:
            name = talk.row["conversation_id"]
            text = dump(talk.turns, talk.tags)
            row = {KEY: name, PICTURE: {"bytes": picture, "path": f"{file_name(name)}.png"}, self.entry.text[0]: text}
            self.digest.update(f"{name}\0{text}\0".encode())
            self.row({**row, PIXELS: shown.geotiff} if self.options.pixels else row)
            self.bytes += len(picture) + (len(shown.geotiff) if self.options.pixels else 0)
        self.digest.update(picture)

    def open(self, number: int) -> tuple[Path, Any]:
        path = self.folder / f"data-{number:05d}.arrow"
        return path, pa.ipc.new_stream(path, self.schema)

    def close(self) -> None:
        names = [path.name for path in self.renamed()]
        info = {"citation": "", "description": "", "homepage": "", "license": "", "features": self.features}
        write_json(self.folder / "dataset_info.json", info)
        state: dict[str, Any] = {
            "_data_files": [{"filename": name} for name in names],
            "_fingerprint": self.digest.hexdigest(),
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        write_json(self.folder / STATE, state)


@contextmanager
def write(folder: Path, options: Options) -> Iterator[Adding]:
    """A folder for each sensor and split, such as `Satlas_X_earthloom_train`."""
    saved: dict[str, _Saved] = {}

    def add(shown: Shown) -> None:
        entry = entry_of(shown)
        name = f"{entry.prefixes[0]}_earthloom_{shown.split}"
        if name not in saved:
            saved[name] = _Saved(folder / name, entry, options)
        saved[name].add(shown)

    yield Adding(add)
    for one in saved.values():
        one.close()
