"""Real chips cut from the sample scenes, and the two sides of a check made from them."""

import json
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from tasks.evaluation.datasets.samples import SCHEMA, BenchmarkImageRef, BenchmarkSample
from tests.conftest import ROOT

ASSETS = ROOT / "samples/assets"
COLOUR = ("red", "green", "blue")


def chips(side: int = 96) -> list[np.ndarray]:
    """Pictures [3 or 1, side, side], 8 bits, of all ground that the scenes show, each piece of it once."""
    found = []
    for scene in sorted([*ASSETS.glob("sentinel-2-l1c/*"), *ASSETS.glob("landsat-8-l1/*")]):
        found += cut([scene / f"{name}.tif" for name in COLOUR], side)
    # Four radar scenes show one site from one orbit on four dates; one of them is enough.
    repeated = sorted(ASSETS.glob("sentinel-1-gamma0/*_R032"))[1:]
    for scene in sorted(set(ASSETS.glob("sentinel-1-gamma0/*")) - set(repeated)):
        found += cut([scene / "vv.tif"], side)
    return found


def cut(files: list[Path], side: int) -> list[np.ndarray]:
    planes = []
    for file in files:
        with rasterio.open(file) as dataset:
            planes.append(dataset.read(1).astype(np.float32))
    stack = np.stack(planes)
    height, width = stack.shape[1:]
    tiles = []
    for row in range(0, height - side + 1, side):
        for column in range(0, width - side + 1, side):
            tile = stack[:, row : row + side, column : column + side]
            low, high = np.nanpercentile(tile, [1, 99])
            # A window with missing pixels, or with nothing in it, is not a chip.
            if np.isfinite(tile).all() and (tile > 0).mean() > 0.99 and high > low:
                tiles.append((np.clip((tile - low) / (high - low), 0, 1) * 255).round().astype(np.uint8))
    return tiles


def encoded(pixels: np.ndarray, driver: str = "PNG", **options: object) -> bytes:
    """A picture as the bytes of a file."""
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        count, height, width = pixels.shape
        profile = {"driver": driver, "count": count, "height": height, "width": width, "dtype": pixels.dtype}
        with memory.open(**profile, **options) as dataset:
            dataset.write(pixels)
        return memory.read()


def benchmark(folder: Path, images: list[bytes], texts: list[tuple[str, str]] | None = None) -> Path:
    """An imported benchmark of one question an image; its folder."""
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff\xe0": "jpeg", b"II*\x00": "tiff"}
    turns = texts or [("[hr_rgb_0.5] <image>\nIs it rural or urban?", "rural")] * len(images)
    rows = [
        BenchmarkSample(
            id=f"q{number}",
            benchmark="aid",
            task="vqa",
            images=(BenchmarkImageRef(data=image, format=kinds.get(image[:4], "jpeg")),),
            question=question,
            references=(answer,),
            answer_type="text",
        ).row()
        for number, (image, (question, answer)) in enumerate(zip(images, turns, strict=True))
    ]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "samples.parquet")
    return folder


def mixture(
    folder: Path, pictures: list[np.ndarray], texts: list[tuple[str, str]] | None = None, several: bool = False
) -> Path:
    """A mixture of one conversation a chip, its shard beside it; `several` in the form with a list of images."""
    folder.mkdir(parents=True)
    shard = folder / "shard-00000.parquet"
    ground = [shapely.to_wkb(shapely.box(0.1 * n, 0, 0.1 * n + 0.1, 0.1)) for n in range(len(pictures))]
    pixels = [encoded(picture, "GTiff", transform=from_origin(0, 0, 10, 10)) for picture in pictures]
    ids = [f"chip{number}" for number in range(len(pictures))]
    pq.write_table(pa.table({"chip_id": ids, "geometry": ground, "pixels": pixels}), shard)
    turns = texts or [("[s2_rgb_10] <image>\nIs there water?", "yes")] * len(pictures)
    rows = []
    for chip_id, (question, answer) in zip(ids, turns, strict=True):
        turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        row = {"sample_id": f"{chip_id}#0/rgb", "conversations": json.dumps(turns)}
        image = {"shard": shard.as_posix(), "chip_id": chip_id}
        rows.append(row | ({"images": [image]} if several else image))
    path = folder / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
