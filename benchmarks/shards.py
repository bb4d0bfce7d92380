"""Shards of chips written and read: the product's own, beside the format before it, and npz as the plainest peer.

    python -m benchmarks.shards [--scene FOLDER] [--chips 256] [--many 2000]

FOLDER has one GeoTIFF a band, of one scene, at two or three GSDs; without it a real scene of the sample is taken, cut
into chips of 256 pixels of its finest bands, repeated until there are as many as are asked for. Written is what stage
`chips` writes of pixels that are in memory: shards of rows with metadata. What is read is decoded to float32 and held
against its checksum; all three give the same values before anything is timed. `before` is float32 at the finest GSD,
deflate 6 with predictor 3, blake2b, and ZSTD by Parquet around it, in row groups of 16. npz is numpy's, of the raw
numbers at the finest GSD, one file a chip. Ratios of bytes are to the raw uint16 of all bands at the finest GSD, as a
chip has always held them; the second one is to the numbers at their own GSD. CPU is user and system time.

`--many`: a made data set of so many chips, and the bytes that eight of them cost to show, of all there are.
"""

import argparse
import hashlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from tasks.core import tables
from tasks.earth import chip_schema, geotiff
from tasks.earth.layers import Layer
from tasks.earth.sensors import SENSORS
from tasks.pages.sensor_data import SensorData, places

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples/assets/sentinel-2-l1c/S2A_18SVG_20160112_0_L1C"
SIDE = 256
SCALE, OFFSET = 1e-4, -0.1
PLACE, CRS = Affine(10, 0, 500_000, 0, -10, 4_500_000), "EPSG:32618"
SHARD = 256
Chip = list[Layer]
Numbers = NDArray[np.uint16]


def chips_of(folder: Path) -> tuple[list[Chip], tuple[str, ...]]:
    """Layers of every chip of a scene, and the names of its bands."""
    groups: dict[float, dict[str, Numbers]] = defaultdict(dict)
    for path in sorted(folder.glob("*.tif*")):
        with rasterio.open(path) as band:
            if band.dtypes[0] == "uint16" and path.stem not in ("AOT", "WVP"):
                groups[band.res[0]][path.stem] = band.read(1)
    finest = min(groups)
    shape = next(iter(groups[finest].values())).shape
    cut: list[Chip] = [[] for _ in range(shape[0] // SIDE * (shape[1] // SIDE))]
    for gsd in sorted(groups):
        # Of a GSD that does not divide a chip, such as 60 m of 2,560, pixels are repeated to the next finer that does.
        factor = next(f for f in range(round(gsd / finest), 0, -1) if SIDE % f == 0 and round(gsd / finest) % f == 0)
        again, side = round(gsd / finest) // factor, SIDE // factor
        stack = np.stack(list(groups[gsd].values())).repeat(again, axis=1).repeat(again, axis=2)
        for number, chip in enumerate(cut):
            row, column = divmod(number, shape[1] // SIDE)
            part = stack[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
            names = tuple(groups[gsd])
            chip.append(Layer(names, np.ascontiguousarray(part), (SCALE,) * len(names), (OFFSET,) * len(names), 0))
    return cut, tuple(name for gsd in sorted(groups) for name in groups[gsd])


def numbers_of(chip: Chip) -> Numbers:
    """All bands at the finest GSD."""
    return np.concatenate(
        [np.repeat(np.repeat(layer.pixels, SIDE // layer.pixels.shape[1], 1), SIDE // layer.pixels.shape[2], 2)
         for layer in chip]
    )  # fmt: skip


def values_of(numbers: Numbers) -> NDArray[np.float32]:
    """Reflectance, NaN where there is no data."""
    values = numbers.astype(np.float32) * np.float32(SCALE) + np.float32(OFFSET)
    values[numbers == 0] = np.nan
    return values


def encode_before(values: NDArray[np.float32], bands: Sequence[str]) -> bytes:
    """A chip as it was stored."""
    profile = {"driver": "GTiff", "dtype": "float32", "count": len(values), "height": SIDE, "width": SIDE}
    with MemoryFile() as memory:
        with memory.open(
            **profile, crs=CRS, transform=PLACE, nodata=np.nan, compress="deflate", zlevel=6, predictor=3,
            interleave="band", blockysize=SIDE,
        ) as dataset:  # fmt: skip
            dataset.write(values)
            dataset.descriptions = bands
            dataset.update_tags(PIXELS_BLAKE2B=hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest())
        return bytes(memory.read())


def decode_before(content: bytes) -> NDArray[np.float32]:
    """Pixels of such a chip."""
    with MemoryFile(content) as memory, memory.open(driver="GTiff") as dataset:
        pixels: NDArray[np.float32] = dataset.read()
        if dataset.tags()["PIXELS_BLAKE2B"] != hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest():
            raise ValueError("the checksum differs")
        return pixels


def row(number: int, bands: Sequence[str], content: bytes) -> dict[str, Any]:
    """A chip's row, its metadata made up."""
    none = dict.fromkeys(chip_schema.SCHEMA.names)
    said = {"item_id": f"S2A_18SVG_20160112_{number // 500}_L1C", "sensor": "sentinel-2", "crs": CRS}
    place = {"transform": [10.0, 0.0, 500_000.0 + number, 0.0, -10.0, 4_500_000.0], "width": SIDE, "height": SIDE}
    return {**none, **said, **place, "chip_id": f"chip-{number:07d}", "bands": list(bands), "pixels": content}


def write(folder: Path, chips: Sequence[Chip], encode: Callable[[Chip], bytes], bands: Sequence[str], now: bool) -> int:
    """Shards of chips; returns their bytes."""
    folder.mkdir(exist_ok=True)
    for number in range(0, len(chips), SHARD):
        rows = [row(number + at, bands, encode(chip)) for at, chip in enumerate(chips[number : number + SHARD])]
        path = folder / f"shard-{number // SHARD:05d}.parquet"
        if now:
            tables.write_rows(rows, chip_schema.SCHEMA, path, geometry="geometry", group=chip_schema.GROUP)
        else:
            table = pa.Table.from_pylist(rows, schema=chip_schema.SCHEMA)
            pq.write_table(table, path, compression="zstd", compression_level=3, row_group_size=16,
                           write_page_checksum=True)  # fmt: skip
    return sum(path.stat().st_size for path in folder.iterdir())


def read(folder: Path, decode: Callable[[bytes], Any]) -> None:
    """Every chip of the shards."""
    for path in sorted(folder.iterdir()):
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                for content in file.read_row_group(group, columns=["pixels"])["pixels"].to_pylist():
                    decode(content)


def write_npz(folder: Path, chips: Sequence[Chip]) -> int:
    """One file a chip."""
    folder.mkdir(exist_ok=True)
    for number, chip in enumerate(chips):
        np.savez_compressed(folder / f"{number:07d}.npz", numbers_of(chip))
    return sum(path.stat().st_size for path in folder.iterdir())


def read_npz(folder: Path) -> None:
    """The same, as reflectance."""
    for path in sorted(folder.iterdir()):
        with np.load(path) as file:
            values_of(file["arr_0"])


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """CPU-seconds of this process, the least of three runs, and what came."""
    best, found = np.inf, None
    for _ in range(3):
        start = time.process_time()
        found = what()
        best = min(best, time.process_time() - start)
    return best, found


def bytes_read() -> int:
    """That this process has asked the system for so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


def shown(folder: Path, bands: Sequence[str], chips: Sequence[bytes], many: int) -> None:
    """What eight chips of a large data set cost to show."""
    for start in range(0, many, SHARD):
        rows = [row(number, bands, chips[number % len(chips)]) for number in range(start, min(many, start + SHARD))]
        path = folder / f"shard-{start // SHARD:05d}.parquet"
        tables.write_rows(rows, chip_schema.SCHEMA, path, geometry="geometry", group=chip_schema.GROUP)
    shards = sorted(folder.iterdir())
    before = bytes_read()
    table = places(shards)
    indexed = bytes_read()
    empty: dict[str, Any] = dict.fromkeys(SensorData.__dataclass_fields__)
    data = SensorData(**{**empty, "sensor": SENSORS["sentinel-2"], "shards": shards, "chips": table})
    found = data.chip_rows([f"chip-{number:07d}" for number in np.linspace(0, many - 1, 8).astype(int)])
    total = sum(path.stat().st_size for path in shards)
    spent, finding = (bytes_read() - before) / 1e6, (indexed - before) / 1e6
    print(
        f"report: {len(found)} of {many:,} chips shown: {spent:.1f} MB read of {total / 1e6:.0f}, {finding:.1f} to find"
    )


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, default=SAMPLE)
    parser.add_argument("--chips", type=int, default=256)
    parser.add_argument("--many", type=int, default=2000)
    options = parser.parse_args()
    real, bands = chips_of(options.scene)
    chips = [real[number % len(real)] for number in range(options.chips)]

    def ours(chip: Chip) -> bytes:
        return geotiff.encode_layers(chip, bands, PLACE, CRS)

    def before(chip: Chip) -> bytes:
        return encode_before(values_of(numbers_of(chip)), bands)

    for chip in real:
        expected = values_of(numbers_of(chip))
        raster = geotiff.decode(ours(chip))
        assert raster.bands == bands
        for found in (raster.pixels, decode_before(before(chip))):
            assert np.array_equal(found, expected, equal_nan=True)
    raw = 2 * len(bands) * SIDE**2 * len(chips)
    native = sum(layer.pixels.nbytes for chip in chips for layer in chip)
    print(f"{len(chips)} chips of {len(bands)} bands from {len(real)} real ones of {options.scene.name}; values equal")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        runs = {
            "ours": (lambda: write(folder / "ours", chips, ours, bands, True),
                     lambda: read(folder / "ours", geotiff.decode)),
            "before": (lambda: write(folder / "before", chips, before, bands, False),
                       lambda: read(folder / "before", decode_before)),
            "npz": (lambda: write_npz(folder / "npz", chips), lambda: read_npz(folder / "npz")),
        }  # fmt: skip
        figures = {name: (*timed(put), timed(get)[0]) for name, (put, get) in runs.items()}
        rgb = bands[-3:]
        some, _ = timed(lambda: read(folder / "ours", lambda content: geotiff.decode(content, bands=rgb)))
        count = len(chips)
        for name, (written, size, decoded) in figures.items():
            ratio = figures["before"]
            print(
                f"{name:7s} write {count / written:6.0f} chips/CPU-s ({ratio[0] / written:4.1f} x before)  "
                f"read {count / decoded:6.0f} ({ratio[2] / decoded:4.1f} x)  {size / count / 1e6:.3f} MB a chip, "
                f"ratio to raw uint16 {raw / size:.2f} (to numbers at their own GSD {native / size:.2f})"
            )
        print(
            f"ours, three bands of a chip: read {count / some:6.0f} chips/CPU-s ({figures['before'][2] / some:.1f} x)"
        )
    with tempfile.TemporaryDirectory() as work:
        shown(Path(work), bands, [ours(chip) for chip in real], options.many)


if __name__ == "__main__":
    main()
