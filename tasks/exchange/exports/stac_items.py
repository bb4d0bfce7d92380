"""Chips as STAC items in GeoParquet (stac-geoparquet), with their renderings and, if wanted, their pixels as assets.

rustac writes the files, some thousand items each, so that a collection of any size is never in memory.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rustac
import shapely

from tasks.core.errors import ExchangeError
from tasks.exchange.exports.names import picture_path
from tasks.exchange.exports.options import Adding, Options, put
from tasks.exchange.exports.source import Shown

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
ITEMS = 2_000
"""Of one file."""


def item(shown: Shown, assets: dict[str, Any]) -> dict[str, Any]:
    """One chip as a STAC item; paths of assets are relative to the export's folder.

    Raises:
        ExchangeError: nothing says where or when the chip was taken.
    """
    chip = shown.chip
    if chip["geometry"] is None or chip["datetime"] is None:
        raise ExchangeError(
            f"chip {chip['chip_id']} has no place or no time, and cannot be a STAC item; export to another layout"
        )
    shape = shapely.from_wkb(chip["geometry"])
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [PROJECTION],
        "id": chip["chip_id"],
        "geometry": shapely.geometry.mapping(shape),
        "bbox": list(shape.bounds),
        "properties": {
            "datetime": chip["datetime"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "platform": chip["platform"] or "unknown",
            "proj:code": chip["crs"],
            "proj:shape": [chip["height"], chip["width"]],
            "proj:transform": list(chip["transform"]),
            "earthloom:sensor": chip["sensor"],
            "earthloom:split": shown.split,
            "earthloom:scene": chip["item_id"],
            "earthloom:scene_collection": chip["collection"],
            "earthloom:shard": f"chips/{chip['sensor']}/{shown.part}/{shown.shard}",
            "earthloom:bands": list(chip["bands"]),
            "earthloom:unit": chip["unit"],
            "earthloom:conversations": len(shown.talks),
            "earthloom:tasks": sorted({talk.row["task"] for talk in shown.talks}),
            "earthloom:nodata_fraction": chip["nodata_fraction"],
            "earthloom:cloud_fraction": chip["cloud_fraction"],
        },
        "links": [],
        "assets": assets,
    }


@contextmanager
def write(folder: Path, options: Options) -> Iterator[Adding]:
    """`items-00000.parquet` and on, images/ and, with the pixels, pixels/."""
    waiting: list[dict[str, Any]] = []
    files = 0

    def flush() -> None:
        nonlocal files
        asyncio.run(_write_items(folder / f"items-{files:05d}.parquet", waiting))
        files += 1
        waiting.clear()

    def add(shown: Shown) -> None:
        chip_id = shown.chip["chip_id"]
        path = put(folder, picture_path(chip_id), shown.picture)
        assets = {
            "rendering": {
                "href": f"./{path}", "type": "image/png", "title": shown.rendering, "roles": ["visual", "overview"],
            }
        }  # fmt: skip
        if options.pixels:
            path = put(folder, picture_path(chip_id, "tif", "pixels"), shown.geotiff)
            kind = "image/tiff; application=geotiff"
            assets["pixels"] = {"href": f"./{path}", "type": kind, "title": "all bands", "roles": ["data"]}
        waiting.append(item(shown, assets))
        if len(waiting) >= ITEMS:
            flush()

    yield Adding(add)
    if waiting:
        flush()


async def _write_items(path: Path, items: list[dict[str, Any]]) -> None:
    await rustac.write(str(path), items)
