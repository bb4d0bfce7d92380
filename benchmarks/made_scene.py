"""A quarter of a Sentinel-2 Level-2A tile with made pixels, as cloud-optimised files in a folder, and its item.

Numbers have the texture of ground at every scale, so that compression finds in them what it finds in real ones.
"""

import json
from pathlib import Path

import numpy as np
import pystac
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.io import MemoryFile
from rasterio.transform import from_origin
from scipy.ndimage import zoom

EPSG, LEFT, TOP, SIDE = 32633, 499_980, 5_800_020, 54_900
"""Of the scene: zone, corner and width in metres."""
BANDS = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10, "B8A": 20, "B09": 60,
    "B11": 20, "B12": 20,
}  # fmt: skip
"""Metres a pixel."""
COG = {
    "driver": "COG",
    "compress": "DEFLATE",
    "predictor": "YES",
    "overviews": "AUTO",
    "overview_resampling": "nearest",
}


def texture(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """A field of mean 0 with as much change at each scale as ground has, [side, side]."""
    total = np.zeros((side, side), np.float32)
    for cells, share in ((6, 1.0), (24, 0.6), (96, 0.4), (384, 0.22), (1536, 0.1)):
        if cells < side:
            coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
            total += share * zoom(coarse, side / cells, order=1)[:side, :side]
    return total + 0.045 * rng.standard_normal((side, side)).astype(np.float32)


def write(path: Path, values: NDArray[np.generic], gsd: float, block: int, **options: str) -> None:
    """One band as a COG."""
    profile = {
        "driver": "GTiff", "count": 1, "height": values.shape[0], "width": values.shape[1], "dtype": values.dtype,
        "crs": f"EPSG:{EPSG}", "transform": from_origin(LEFT, TOP, gsd, gsd), "nodata": 0,
    }  # fmt: skip
    with MemoryFile() as memory, memory.open(**profile) as out:
        out.write(values, 1)
        rasterio.shutil.copy(out, path, **COG, blocksize=block, **options)


def make(folder: Path, metres: int = SIDE, block: int = 1024) -> pystac.Item:
    """The scene in `folder`, made once.

    Args:
        folder: of a static catalog.
        metres: along a side, a multiple of 60.
        block: pixels along a side of a block at 10 m; half of it at 20 m.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    if not (folder / "catalog.json").exists():
        ground = texture(rng, metres // 10)
        for number, (name, gsd) in enumerate(BANDS.items()):
            step = gsd // 10
            own = ground[::step, ::step] + 0.3 * texture(rng, metres // gsd)
            values = np.clip(1400 + 120 * number + 420 * own, 1, 12_000).astype(np.uint16)
            values[: len(values) // 20, : len(values) // 8] = 0  # a corner without data
            write(folder / f"{name}.tif", values, gsd, block if gsd == 10 else block // 2)
        kinds = np.array([4, 5, 6, 7, 8, 9, 10, 3, 11, 2], np.uint8)
        coarse = texture(rng, metres // 20)
        codes = kinds[np.clip((coarse + 1.5) * 3.2, 0, 9).astype(np.uint8)]
        codes[: len(codes) // 20, : len(codes) // 8] = 0
        write(folder / "SCL.tif", codes, 20, block // 2)
        links = [{"rel": "item", "href": "item.json"}]
        (folder / "item.json").write_text(json.dumps(_item(metres)))
        root = {"type": "Catalog", "id": "made", "description": "made", "stac_version": "1.0.0", "links": links}
        (folder / "catalog.json").write_text(json.dumps(root))
    return pystac.Item.from_dict(json.loads((folder / "item.json").read_text()))


def _item(metres: int) -> dict[str, object]:
    box = Transformer.from_crs(EPSG, 4326, always_xy=True).transform_bounds(LEFT, TOP - metres, LEFT + metres, TOP)
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    bands = {"data_type": "uint16", "scale": 0.0001, "offset": 0, "nodata": 0}
    assets: dict[str, dict[str, object]] = {
        name: {
            "href": f"folder:{name}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "raster:bands": [{**bands, "spatial_resolution": gsd}],
            "eo:bands": [{"name": name}],
            "proj:epsg": EPSG,
            "proj:shape": [metres // gsd, metres // gsd],
            "proj:transform": [gsd, 0, LEFT, 0, -gsd, TOP],
        }
        for name, gsd in BANDS.items()
    }
    assets["SCL"] = {
        "href": "folder:SCL.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "proj:epsg": EPSG,
        "proj:shape": [metres // 20, metres // 20],
        "proj:transform": [20, 0, LEFT, 0, -20, TOP],
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": "S2A_MSIL2A_20230610T101031_R022_T33UVT_20230610T160000",
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(box),
        "properties": {
            "datetime": "2023-06-10T10:10:31Z",
            "platform": "sentinel-2a",
            "proj:epsg": EPSG,
            "s2:processing_baseline": "03.00",
        },
        "links": [],
        "assets": assets,
    }
