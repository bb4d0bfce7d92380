"""Rows of Hugging Face tables without their library: Parquet files, and the Arrow folders of `save_to_disk`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core.arrow_shards import STATE, ShardError, check_whole, listed_shards, read_rows
from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.files import found, get, holds, matches, read_json
from tasks.evaluation.datasets.images import npy


def is_table(folder: Path) -> bool:
    """Whether a folder is itself a table, or a dictionary of tables."""
    return any(holds(folder, name) for name in ("state.json", "dataset_dict.json", "*-of-*.arrow", "*-of-*.parquet"))


def rows(root: Path, folder: str = ".") -> Iterator[dict[str, Any]]:
    """The rows of a table, one batch of it in memory at a time.

    Args:
        root: folder that was given.
        folder: where the table may lie below it, a glob pattern; the given folder itself is looked at too.

    Raises:
        BenchmarkError: there is no table, or a shard that state.json names is missing or cut short.
    """
    for path in _files(root, folder):
        try:
            if path.suffix.lower() == ".parquet":
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(batch_size=64):
                        yield from batch.to_pylist()
            else:
                check_whole(path)
                for batch in read_rows(path):
                    for start in range(0, len(batch), 64):
                        yield from batch.slice(start, 64).to_pylist()
        except ShardError as error:
            raise BenchmarkError(f"{path} cannot be read: it {error}") from error
        except (pa.ArrowInvalid, OSError) as error:
            raise BenchmarkError(f"{path} cannot be read to its end: {error}; fetch it again") from error


def _files(root: Path, folder: str) -> list[Path]:
    for home in [root, *(matches(root, folder) if folder != "." else [])]:
        if not home.is_dir():
            continue
        if (home / "dataset_dict.json").is_file():
            splits = get(read_json(home / "dataset_dict.json"), "splits", f"{home}/dataset_dict.json")
            home = home / ("test" if "test" in splits else splits[0])
        if not (home / STATE).is_file():
            shards = matches(home, "*.parquet") or matches(home, "data/*.parquet") or matches(home, "*.arrow")
            if shards:
                return shards
            continue
        named, refused = listed_shards(home)
        for name, why in refused.items():
            raise BenchmarkError(f"{home / name} {why}")
        missing = [name for name in named if not (home / name).is_file()]
        if missing:
            shown = ", ".join(missing[:5])
            raise BenchmarkError(f"{home}: {len(missing)} of {len(named)} shards are missing: {shown}")
        return [home / name for name in named]
    raise BenchmarkError(
        f"{root}: looked for a table (state.json with its .arrow files, or *.parquet) in it and in {folder}; "
        f"{found(root)}"
    )


def picture(value: Any) -> bytes | None:
    """The bytes of an image cell: `{bytes, path}`, or bytes; None where the cell is empty."""
    if isinstance(value, dict):
        value = value.get("bytes")
    return bytes(value) if value else None


def array(value: Any) -> NDArray[np.float32]:
    """A cell of nested lists as a float32 array.

    Raises:
        ValueError: the lists are ragged.
    """
    return np.asarray(value, dtype=np.float32)


def multiband(layers: list[NDArray[np.float32]], bands: int) -> bytes:
    """Layers [h, w], [c, h, w] or [h, w, c] stacked to [bands, h, w], as npy bytes.

    Raises:
        ValueError: together they are not `bands` layers of one size.
    """
    stacked = [_channels_first(layer) for layer in layers]
    if len({layer.shape[1:] for layer in stacked}) > 1:
        raise ValueError(f"layers of different size: {', '.join(str(layer.shape) for layer in stacked)}")
    together = np.concatenate(stacked)
    if len(together) != bands:
        raise ValueError(f"{len(together)} bands, {bands} were expected")
    return npy(together)


def _channels_first(layer: NDArray[np.float32]) -> NDArray[np.float32]:
    if layer.ndim == 2:
        return layer[None]
    if layer.ndim != 3:
        raise ValueError(f"an image of shape {layer.shape}")
    # Sides of an image are longer than it has bands: the shortest axis, if it stands last, is that of the bands.
    return np.moveaxis(layer, 2, 0) if layer.shape[2] < min(layer.shape[:2]) else layer
