"""What others take for the pixels of `benchmarks.read_engine`; that module runs this one in the peers' own environment.

    python -m venv peers && peers/bin/pip install odc-stac stackstac stacchip async-geotiff obstore
    python -m venv rslearn && rslearn/bin/pip install rslearn einops  # beside it stacchip would be an older one

Each peer makes the same 256 px chips of 12 bands, counted from the scene's corner, as its own documentation has it.
Before it is timed its first chip is compared with rasterio's. Prints one line of JSON.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

SIDE = 256
Chip = Any
Make = Callable[[dict[str, Any], int], Iterator[tuple[int, int, Chip]]]


def places(count: int) -> Iterator[tuple[int, int]]:
    """(column, row) of chips, along rows from the north-west beyond the corner without data."""
    return ((number % 21, 2 + number // 21) for number in range(count))


def odc(item: dict[str, Any], count: int) -> Iterator[tuple[int, int, Chip]]:
    """`odc.stac.load`, one call a chip."""
    import odc.stac
    import pystac
    from odc.geo.geobox import GeoBox

    own = pystac.Item.from_dict(item)
    left, top = item["assets"]["B02"]["proj:transform"][2], item["assets"]["B02"]["proj:transform"][5]
    for x, y in places(count):
        west, north = left + x * SIDE * 10, top - y * SIDE * 10
        box = GeoBox.from_bbox(
            (west, north - SIDE * 10, west + SIDE * 10, north), item["properties"]["proj:epsg"], shape=(SIDE, SIDE)
        )
        found = odc.stac.load([own], bands=list(BANDS), geobox=box)
        yield x, y, np.stack([found[name].values[0] for name in BANDS])


def stackstac(item: dict[str, Any], count: int) -> Iterator[tuple[int, int, Chip]]:
    """`stackstac.stack`, one lazy stack, computed window by window."""
    import dask
    import stackstac

    dask.config.set(scheduler="synchronous")
    stack = stackstac.stack(
        [item],
        assets=list(BANDS),
        resolution=10,
        epsg=item["properties"]["proj:epsg"],
        dtype="uint16",
        fill_value=np.uint16(0),
        rescale=False,
        chunksize=(1, 1, SIDE, SIDE),
        xy_coords="topleft",
    )
    for x, y in places(count):
        part = stack[0, :, y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]
        yield x, y, part.compute().values


def stacchip(item: dict[str, Any], count: int) -> Iterator[tuple[int, int, Chip]]:
    """`stacchip.Chipper`."""
    import pystac
    from stacchip.chipper import Chipper
    from stacchip.indexer import Sentinel2Indexer

    own = pystac.Item.from_dict(item)
    own.properties["proj:epsg"] = item["properties"]["proj:epsg"]  # pystac renames it, and stacchip asks for it
    chipper = Chipper(Sentinel2Indexer(own, shape=item["assets"]["B02"]["proj:shape"]), assets=list(BANDS))
    for x, y in places(count):
        found = chipper.chip(x, y)
        yield x, y, np.stack([found[name][0] for name in BANDS])


def rslearn(item: dict[str, Any], count: int) -> Iterator[tuple[int, int, Chip]]:
    """rslearn's `materialize` of one layer, straight from its item's files, window by window, as GeoTIFFs of its own.

    Its sources find items through servers on the internet; this one has the one item, and reads as its base class does.
    What it wrote is read again, some milliseconds a chip.
    """
    import tempfile
    from datetime import UTC, datetime

    import shapely
    from rasterio.crs import CRS
    from rslearn.config import BandSetConfig, DType, LayerConfig, LayerType
    from rslearn.data_sources.data_source import Item
    from rslearn.data_sources.direct_materialize_data_source import DirectMaterializeDataSource
    from rslearn.dataset import Window
    from rslearn.dataset.storage.file import FileWindowStorage
    from rslearn.dataset.window_data_storage.per_item_group import PerItemGroupStorageFactory
    from rslearn.utils.geometry import Projection, STGeometry
    from upath import UPath

    class Source(DirectMaterializeDataSource[Item]):  # type: ignore[misc]
        def get_items(self, *_: Any) -> Any: ...

        def deserialize_item(self, serialized_item: Any) -> Item:
            return Item.deserialize(serialized_item)

        def get_asset_url(self, _: Item, asset_key: str) -> str:
            return str(item["assets"][asset_key]["href"])

    place = item["assets"]["B02"]
    left, top = round(place["proj:transform"][2] / 10), round(-place["proj:transform"][5] / 10)
    projection = Projection(CRS.from_epsg(item["properties"]["proj:epsg"]), 10, -10)
    side, when = place["proj:shape"][0], (datetime(2023, 6, 10, tzinfo=UTC), datetime(2023, 6, 11, tzinfo=UTC))
    scene = Item(item["id"], STGeometry(projection, shapely.box(left, top, left + side, top + side), when))
    layer = LayerConfig(
        type=LayerType.RASTER,
        band_sets=[BandSetConfig(dtype=DType.UINT16, bands=list(BANDS))],
        resampling_method="nearest",
    )
    source = Source({name: [name] for name in BANDS})
    with tempfile.TemporaryDirectory() as folder:
        storage = FileWindowStorage(UPath(folder))
        for x, y in places(count):
            bounds = left + x * SIDE, top + y * SIDE, left + (x + 1) * SIDE, top + (y + 1) * SIDE
            name = f"{x}-{y}"
            window = Window(storage, "chips", name, projection, bounds, when, {}, PerItemGroupStorageFactory())
            window.save()
            source.materialize(window, [[scene]], "scene", layer)
            band_set = layer.band_sets[0]
            made = window.data.read_raster("scene", band_set.bands, band_set.instantiate_raster_format())
            yield x, y, made.get_chw_array()


def async_chips(item: dict[str, Any], count: int) -> Iterator[tuple[int, int, Chip]]:
    """`async-geotiff`, files kept open, the bands of a chip read at the same time."""
    loop = asyncio.new_event_loop()
    files = loop.run_until_complete(_opened(item))

    async def chip(x: int, y: int) -> Chip:
        from async_geotiff import Window

        wanted = []
        for name, gsd in BANDS.items():
            factor = gsd // 10
            first, last = (
                (x * SIDE // factor, y * SIDE // factor),
                (-(-(x + 1) * SIDE // factor), -(-(y + 1) * SIDE // factor)),
            )
            wanted.append(files[name].read(window=Window(first[0], first[1], last[0] - first[0], last[1] - first[1])))
        out = []
        for read, gsd in zip(await asyncio.gather(*wanted), BANDS.values(), strict=True):
            factor = gsd // 10
            rows, columns = ((step * SIDE + np.arange(SIDE)) // factor - step * SIDE // factor for step in (y, x))
            out.append(np.asarray(read.data)[0][np.ix_(rows, columns)])
        return np.stack(out)

    for x, y in places(count):
        yield x, y, loop.run_until_complete(chip(x, y))


def async_rows(item: dict[str, Any], count: int) -> Iterator[tuple[int, int, Chip]]:
    """`async-geotiff`, whole rows of blocks of all bands at a time, pixels only: what an engine on it could reach."""
    loop = asyncio.new_event_loop()
    files = loop.run_until_complete(_opened(item))

    async def row(number: int) -> list[Any]:
        from async_geotiff import Window

        wanted = []
        for name, gsd in BANDS.items():
            height, top = 10240 // gsd, number * 10240 // gsd
            wanted.append(
                files[name].read(window=Window(0, top, files[name].width, min(height, files[name].height - top)))
            )
        return await asyncio.gather(*wanted)

    for number in range(5):
        read = loop.run_until_complete(row(number))
        # As many chips as 10,240 m of ground have.
        for index in range(84):
            x, y = index % 21, 4 * number + index // 21
            yield x, y, (lambda x=x, y=y, read=read, number=number: _cut(read, x, y - 4 * number))


def _cut(read: list[Any], x: int, y: int) -> Chip:
    out = []
    for one, gsd in zip(read, BANDS.values(), strict=True):
        rows, columns = ((step * SIDE + np.arange(SIDE)) // (gsd // 10) for step in (y, x))
        out.append(np.asarray(one.data)[0][np.ix_(rows, columns)])
    return np.stack(out)


async def _opened(item: dict[str, Any]) -> dict[str, Any]:
    from async_geotiff import GeoTIFF
    from obstore.store import from_url

    async def one(href: str) -> Any:
        folder, _, name = href.rpartition("/")
        options = {"client_options": {"allow_http": True}} if folder.startswith("http") else {}
        return await GeoTIFF.open(name, store=from_url(folder if "://" in folder else f"file://{folder}", **options))

    found = await asyncio.gather(*(one(item["assets"][name]["href"]) for name in BANDS))
    return dict(zip(BANDS, found, strict=True))


PEERS: dict[str, Make] = {
    "odc-stac": odc, "stackstac": stackstac, "stacchip": stacchip, "rslearn": rslearn, "async-geotiff": async_chips,
    "async-geotiff rows": async_rows,
}  # fmt: skip
BANDS: dict[str, int] = {}


def check(item: dict[str, Any], x: int, y: int, chip: Chip) -> list[str]:
    """Bands of a chip that are not as rasterio reads them."""
    import rasterio

    different = []
    for values, (name, gsd) in zip(chip() if callable(chip) else chip, BANDS.items(), strict=True):
        rows, columns = ((step * SIDE + np.arange(SIDE)) // (gsd // 10) for step in (y, x))
        with rasterio.open(item["assets"][name]["href"]) as dataset:
            if not np.array_equal(values, dataset.read(1)[np.ix_(rows, columns)]):
                different.append(name)
    return different


def main() -> None:
    name, count, document = sys.argv[1], int(sys.argv[2]), json.loads(sys.stdin.read())
    item, local = document["item"], document["local"]
    BANDS.update(document["bands"])
    make = PEERS[name]
    different = check(local, *next(iter(make(local, 1))))
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    made = sum(1 for _ in make(item, count))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"chips": made, "cpu": cpu, "wall": time.perf_counter() - started, "different": different}))


if __name__ == "__main__":
    main()
