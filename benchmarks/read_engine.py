"""Chips and candidate windows a CPU-second, blocks fetched, requests and memory: this engine beside others.

    python -m benchmarks.read_engine [--peers peers/bin/python rslearn/bin/python] [--folder FOLDER] [--rounds 3]

A quarter of a Sentinel-2 tile is made (12 bands and SCL, blocks of 1024 pixels, a minute and 0.3 GB; kept in FOLDER).
Timed are the product's own stage functions: `scan_scene`, and `scene_chips` with and without the bytes of its chips.
Their pixels are first compared with those of a plain rasterio read. `block order` is rasterio reading every block once
and doing nothing with it. Others are installed apart, see `benchmarks.read_engine_peers`; a peer that cannot be run is
named with its reason. CPU is user and system time; what is far away is a server on loopback that waits 30 ms.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pystac
import rasterio
from shapely import box

from benchmarks.made_scene import BANDS, LEFT, SIDE, TOP, make
from tasks.earth import geotiff, scene_chips
from tasks.earth.areas import Areas
from tasks.earth.catalog import Catalog, CatalogParams
from tasks.earth.chip_jobs import ChipWork, chips_in
from tasks.earth.chip_shards import Shard, write_shard
from tasks.earth.grid import GridParams
from tasks.earth.scene import open_scene
from tasks.earth.scene_jobs import CatalogAddress
from tasks.earth.scene_windows import ScanParams, scan_scene
from tasks.earth.sensors import SENSORS

CHIP = 2560
"""Metres of a chip of 256 pixels."""
SENSOR = SENSORS["sentinel-2"]


def opened(folder: Path, address: str) -> tuple[pystac.Item, Catalog]:
    """The scene by its files, or at an address."""
    item = make(folder)
    own = {"url": address or str(folder), "collections": {}, "labels": [], "sign": "none", "requests_per_second": 1e3}
    for asset in item.assets.values():
        asset.href = asset.href.replace("folder:", f"{address}/" if address else "folder:")
    return item, Catalog("own", CatalogParams.model_validate(own))


def scan(folder: Path, cell: int, address: str = "", areas: Areas | None = None) -> pl.DataFrame:
    """Candidate windows, from the item to the table."""
    item, catalog = opened(folder, address)
    areas = areas or Areas({"all": np.array([box(-180, -90, 180, 90)])})
    params = ScanParams.model_validate({"land_mask_samples": 16})
    table = scan_scene(open_scene(item, item.id, SENSOR, catalog), areas, GridParams(cell=cell, parts=["a"]), params)
    return pl.DataFrame(table)


def chips(folder: Path, windows: pl.DataFrame, cell: int, address: str = "", written: Path | None = None) -> int:
    """Chips of windows, counted; written to a shard as stage `chips` does, or their bytes not even made."""
    item, catalog = opened(folder, address)
    if written is not None:
        work = ChipWork(SENSOR.name, CatalogAddress.of(catalog), GridParams(cell=cell, parts=["a"]))
        with work.opened(1) as make_result:
            make_result(work.job(item, windows, {}, catalog).argument, written)
        shard = Shard(((str(item.collection_id), item.id),), windows.height)
        return write_shard(shard, chips_in(written), written, windows.height)[1]
    found = scene_chips.scene_chips(item, windows, SENSOR, catalog, cell, None, 2.1)
    return sum(some.num_rows for some in found)


def different(folder: Path, windows: pl.DataFrame, cell: int) -> int:
    """Bands of chips that are not as rasterio reads them."""
    item, catalog = opened(folder, "")
    stored = {name: rasterio.open(folder / f"{name}.tif").read(1) for name in BANDS}
    wrong = 0
    for some in scene_chips.scene_chips(item, windows, SENSOR, catalog, cell, None, 2.1):
        for row in some.to_pylist():
            _, _, left, _, _, top = row["transform"]
            pixels = geotiff.decode(row["pixels"]).pixels
            for name, got in zip(row["bands"], pixels, strict=True):
                gsd, own = BANDS[name], stored[name]
                places = (np.arange(row["width"]) + 0.5) * 10
                columns, rows = ((left + places - LEFT) // gsd).astype(int), ((TOP - top + places) // gsd).astype(int)
                inside = np.outer((rows >= 0) & (rows < len(own)), (columns >= 0) & (columns < len(own)))
                values = own[np.ix_(rows.clip(0, len(own) - 1), columns.clip(0, len(own) - 1))]
                wanted = np.where(
                    inside & (values > 0), values.astype(np.float32) * np.float32(1e-4), np.float32("nan")
                )
                wrong += not np.array_equal(got, wanted, equal_nan=True)
    return wrong


def block_order(folder: Path) -> int:
    """Every block once, pixels only; as many chips as the scene has ground for."""
    with rasterio.Env(GDAL_CACHEMAX=64 * 2**20):
        for name in BANDS:
            with rasterio.open(folder / f"{name}.tif") as dataset:
                for _, window in dataset.block_windows(1):
                    dataset.read(1, window=window)
    return (SIDE // CHIP) ** 2


def timed(folder: Path, what: str, cell: int, address: str) -> dict[str, Any]:
    """One measurement, in this process."""
    if what in ("read", "far"):
        scene_chips.geotiff.encode_layers = lambda *_, **__: b""  # type: ignore[assignment]
    windows = None
    if what in ("read", "far", "shards", "far shards", "equal"):
        windows = pl.read_parquet(folder / f"windows-{cell}.parquet")
    if what == "warm":
        scan(folder, cell)
    if address:
        count(address)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        if what == "block order":
            made = block_order(folder)
        elif what in ("first", "warm"):
            made = scan(folder, cell).height
        elif what == "equal":
            assert windows is not None
            made = different(folder, windows.sample(40 if cell == CHIP else 400, seed=1), cell)
        else:
            assert windows is not None
            written = Path(temporary) if what.endswith("shards") else None
            made = chips(folder, windows, cell, address, written)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    out = {"count": made, "cpu": cpu, "wall": time.perf_counter() - started, "peak": peak()}
    return out | (count(address) if address else {})


def peak() -> float:
    """Memory that this process ever held at once, GB of 10^9 bytes, libraries included.

    `ru_maxrss` is at least what the process that started this one holds.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9  # bytes, on a Mac
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


def count(address: str) -> dict[str, int]:
    """Requests and bytes since it was last asked."""
    found: dict[str, int] = json.loads(urllib.request.urlopen(f"{address}/count").read())
    return found


def apart(folder: Path, what: str, cell: int, address: str = "", cores: str = "") -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.read_engine",
        "--folder",
        str(folder),
        "--one",
        what,
        str(cell),
        address,
    ]
    done = subprocess.run([*cores.split(), *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{what} at {cell} m: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def far(folder: Path, delay: float) -> Iterator[str]:
    """The scene on a server; its address."""
    command = [sys.executable, "-m", "benchmarks.range_server", str(folder), "--delay", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def peer(pythons: list[str], name: str, folder: Path, address: str, chips_: int) -> dict[str, Any] | str:
    """What a peer took, or why it cannot be run."""
    documents = {}
    for key, place in (("item", address), ("local", "")):
        item = make(folder).to_dict(transform_hrefs=False)
        for asset in item["assets"].values():
            asset["href"] = asset["href"].replace("folder:", f"{place or folder}/")
        item["stac_extensions"] = ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"]
        del item["assets"]["SCL"]
        documents[key] = item
    script = Path(__file__).with_name("read_engine_peers.py")
    given = json.dumps({**documents, "bands": BANDS})
    why = ""
    for python in pythons:
        command = [python, str(script), name, str(chips_)]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if not done.returncode:
            result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return result
        why = why or done.stderr.strip().splitlines()[-1][:120]
    return why


def blocks_touched(folder: Path) -> int:
    """Bytes of all blocks of the 12 bands."""
    total = 0
    for name in BANDS:
        with rasterio.open(folder / f"{name}.tif") as dataset:
            for (row, column), _ in dataset.block_windows(1):
                total += int(dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=1))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "earthloom-read-engine")
    parser.add_argument("--peers", nargs="+", help="python of an environment with peers; rslearn has its own")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many")
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "CELL", "ADDRESS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.folder.resolve()
    if given.one:
        print(json.dumps(timed(folder, given.one[0], int(given.one[1]), given.one[2])))
        return
    make(folder)
    for cell in (640, CHIP):
        scan(folder, cell).filter(pl.col("nodata_fraction") < 0.5).write_parquet(folder / f"windows-{cell}.parquet")
        wrong = apart(folder, "equal", cell)["count"]
        print(f"cell {cell}: {wrong} bands of chips differ from rasterio's")
        if wrong:
            raise SystemExit(1)

    def best(what: str, cell: int) -> dict[str, Any]:
        return min((apart(folder, what, cell) for _ in range(given.rounds)), key=lambda one: one["cpu"])

    print(f"\n{'chips of 256 px a CPU-second':<52} rate   of block order   peak")
    plain = best("block order", CHIP)
    rate = plain["count"] / plain["cpu"]
    print(f"{'block order, 12 bands, pixels only':<52} {rate:6.1f}   1.00             {plain['peak']:.2f} GB")
    for cell in (CHIP, 640):
        for what, title in (("read", "read, calibrated, checked"), ("shards", "the same, written to a shard")):
            found = best(what, cell)
            own = found["count"] * (cell / CHIP) ** 2 / found["cpu"]
            print(f"{f'{title}, cell {cell} m':<52} {own:6.1f}   {own / rate:4.2f}             {found['peak']:.2f} GB")
    names = ("odc-stac", "stackstac", "stacchip", "rslearn", "async-geotiff", "async-geotiff rows")
    for name in names if given.peers else ():
        said = peer(given.peers, name, folder, "", 42)
        if isinstance(said, str):
            print(f"{name:<52} {said}")
            continue
        own, off = said["chips"] / said["cpu"], ", ".join(said["different"])
        print(f"{name:<52} {own:6.1f}   {own / rate:4.2f}   {f'differs from rasterio in {off}' if off else ''}")
    print("\ncandidate windows a CPU-second, with all mask fractions")
    for cell in (CHIP, 640):
        for what, title in (("first", "first pass"), ("warm", "again in the same process")):
            found = best(what, cell)
            print(f"{f'cell {cell} m, {title}':<52} {found['count'] / found['cpu']:8.0f}")
    print(
        f"\n{'over the network, 256 px':<40} fetched/blocks  requests     MB   chips/s, 30 ms, one core   peak, written"
    )
    touched = blocks_touched(folder)
    ground = (SIDE / CHIP) ** 2
    core = "taskset -c 0" if Path("/usr/bin/taskset").exists() else ""
    for cell in (CHIP, 1280, 640):
        scan(folder, cell).filter(pl.col("nodata_fraction") < 0.5).write_parquet(folder / f"windows-{cell}.parquet")
        with far(folder, 0.03) as address:
            found = apart(folder, "far", cell, address, core)
            written = apart(folder, "far shards", cell, address)["peak"]
        speed = found["count"] * (cell / CHIP) ** 2 / found["wall"]
        print(
            f"{f'cell {cell} m':<40} {found['bytes'] / touched:10.2f} {found['requests'] / ground:13.2f} "
            f"{found['bytes'] / ground / 1e6:8.2f} {speed:10.1f}            {found['peak']:.2f}, {written:.2f} GB"
        )
    for name in ("odc-stac", "async-geotiff") if given.peers else ():
        with far(folder, 0.03) as address:
            count(address)
            said = peer(given.peers, name, folder, address, 42)
            asked = count(address)
        if isinstance(said, dict):
            each = asked["requests"] / said["chips"], asked["bytes"] / said["chips"] / 1e6
            print(f"{name:<40} {'':>10} {each[0]:13.2f} {each[1]:8.2f} {said['chips'] / said['wall']:10.1f}")


if __name__ == "__main__":
    main()
