"""A flipped byte in a shard is an error that names the shard, by whoever meets it; no pixel of it is ever used."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.core import tables
from tasks.core.errors import EarthloomError
from tasks.earth import chip_schema, geotiff
from tasks.earth.geotiff import Affine
from tasks.stats import training_chips
from tasks.vlm.chip_reader import ShardReader, read_geotiff
from tasks.vlm.samples import ImageRef
from tests.fixtures.small_dataset import write_dataset

SHARD = "data/chips/landsat/a/shard-0000.parquet"


def of_training(path: Path) -> None:
    reader = ShardReader()
    for number in range(4):
        chip = f"landsat-a-{number:03d}"
        image = ImageRef(str(path), chip, "landsat", "ms", ("B4",), 64, 64, None)
        read_geotiff(reader.content(image), f"{chip} {path}")


def of_tables(path: Path) -> None:
    for row in tables.read(path).to_pylist():
        geotiff.decode(row["pixels"], what=f"chip {row['chip_id']} in {path}")


def of_statistics(path: Path) -> None:
    list(training_chips("landsat"))


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard as the stage writes it."""
    write_dataset(tmp_path, 8, ("landsat",))
    path = tmp_path / SHARD
    rows = tables.read(path).to_pylist()
    for row in rows:
        raster = geotiff.decode(row["pixels"])
        row["pixels"] = geotiff.encode(raster.pixels, raster.bands, Affine(30, 0, 0, 0, -30, 0), "EPSG:32618")
    tables.write_rows(rows, chip_schema.SCHEMA, path, group=3)
    return path


def pixels_in(path: Path) -> list[int]:
    """Places of bytes of the pixels: others may be of columns that a reader leaves alone."""
    footer = pq.read_metadata(path)
    chunk = footer.row_group(0).column(footer.schema.names.index("pixels"))
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    return np.linspace(start, start + chunk.total_compressed_size - 1, 10).astype(int).tolist()


@pytest.mark.parametrize("read", [of_training, of_tables, of_statistics])
def test_a_flipped_byte_anywhere_in_the_pixels_of_a_shard_is_found_and_named(
    shard: Path, read: Callable[[Path], None]
) -> None:
    whole = shard.read_bytes()
    with contextlib.chdir(shard.parents[4]):
        read(Path(SHARD))
        for place in pixels_in(shard):
            damaged = bytearray(whole)
            damaged[place] ^= 4
            shard.write_bytes(bytes(damaged))
            with pytest.raises(EarthloomError, match="shard-0000"):
                read(Path(SHARD))
        shard.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(EarthloomError, match="shard-0000"):
            read(Path(SHARD))
