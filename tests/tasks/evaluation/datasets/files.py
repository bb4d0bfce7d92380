"""Small files as the owners of benchmarks publish them: right names, right keys, and their oddities."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from tasks.evaluation.datasets import importer, registry
from tasks.evaluation.datasets.samples import BenchmarkSample, read_samples

DRIVERS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "GTiff", ".tiff": "GTiff", ".bmp": "BMP"}


def picture(path: Path, seed: int = 0, bands: int = 3, size: tuple[int, int] = (16, 16), dtype: str = "uint8") -> Path:
    """An image of noise; the format is the extension's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(path.suffix, seed, bands, size, dtype))
    return path


def encoded(
    suffix: str = ".jpg", seed: int = 0, bands: int = 3, size: tuple[int, int] = (16, 16), dtype: str = "uint8"
) -> bytes:
    """An image of noise, as bytes."""
    height, width = size
    pixels = np.random.default_rng(seed).integers(0, 255, (bands, height, width)).astype(dtype)
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        profile: dict[str, Any] = {"driver": DRIVERS[suffix.lower()], "count": bands, "height": height, "width": width}
        with memory.open(**profile, dtype=dtype) as dataset:
            dataset.write(pixels)
        return memory.read()


def cut_short(path: Path) -> None:
    """The file as a broken download leaves it."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def write_json(path: Path, content: Any, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding=encoding)
    return path


def arrow_folder(folder: Path, columns: dict[str, Any], shards: int = 1) -> Path:
    """A Hugging Face `save_to_disk` folder, as its library writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    names = [f"data-{number:05d}-of-{shards:05d}.arrow" for number in range(shards)]
    each = -(-len(table) // shards)
    for number, name in enumerate(names):
        part = table.slice(number * each, each)
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(part)
    write_json(folder / "state.json", {"_data_files": [{"filename": name} for name in names], "_split": "test"})
    write_json(folder / "dataset_info.json", {"features": {}})
    return folder


def cells(images: list[bytes | None]) -> pa.Array:
    """An image column: struct of bytes and path."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([None if data is None else {"bytes": data, "path": None} for data in images], type=kind)


def take_over(name: str, root: Path, out: Path, **options: Any) -> tuple[importer.ImportRecord, list[BenchmarkSample]]:
    """Import and read back."""
    done = importer.run(registry.get(name), root, out, **options)
    return done, list(read_samples(out))


def geotiff(path: Path, pixels: np.ndarray, **profile: Any) -> Path:
    """A GeoTIFF of the given [bands, height, width]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype.name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as dataset:
            dataset.write(pixels)
    return path
