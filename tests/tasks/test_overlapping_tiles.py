"""Two neighbouring MGRS tiles of one overpass, one a UTM zone from the other: their common ground is selected once."""

import io
from typing import Any

import numpy as np
import polars as pl
import rasterio
from pyproj import Transformer
from rasterio.transform import from_origin

from tasks.earth.sensors import SENSORS
from tasks.select import SelectParams, select
from tests.fixtures.one_file_scenes import scanned, served
from tests.fixtures.stac_server import item

SIDE = 5120
"""Metres of a tile here; it begins west of the border of the zones, 12 degrees east, and ends east of it."""
PARAMS = SelectParams(max_nodata=0.5, max_cloud=1, min_land=0, min_labels=0, max_dates=2, min_days_apart=5)
LABELS = pl.LazyFrame(schema={"chip_id": pl.String, "label": pl.String})


def tile(name: str, when: str, epsg: int, empty: float = 0.0) -> pl.DataFrame:
    """Candidate windows of a tile around 12 degrees east, `empty` of it without data."""
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(12.0, 52.5)
    left, top = round((x - SIDE / 2) / 20) * 20, round((y + SIDE / 2) / 20) * 20
    codes = np.full((SIDE // 20, SIDE // 20), 4, np.uint8)
    codes[: int(empty * len(codes))] = 0
    content = io.BytesIO()
    options: Any = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": len(codes), "width": len(codes)}
    with rasterio.open(content, "w", crs=f"EPSG:{epsg}", transform=from_origin(left, top, 20, 20), **options) as out:
        out.write(codes, 1)
    west, south, east, north = 11.9, 52.4, 12.1, 52.6
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    made = item(name, "sentinel-2-l2a", datetime=when, platform="sentinel-2a", **{"proj:epsg": epsg})
    made |= {"bbox": [west, south, east, north], "geometry": {"type": "Polygon", "coordinates": [ring]}}
    asset = {"href": f"{name}/SCL.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}
    names = [*SENSORS["sentinel-2"].band_names, "SCL"]  # of which the mask alone is read
    with served(made | {"assets": dict.fromkeys(names, asset)}, {"SCL": content.getvalue()}) as (one, catalog, _):
        return scanned(one, SENSORS["sentinel-2"], catalog)


def test_the_common_ground_of_two_tiles_of_one_day_is_kept_once_and_the_other_has_a_row_that_says_so() -> None:
    name = "S2A_MSIL2A_20230610T101031_R022_T{}_20230610T160000"
    # Earth Search gives each tile its own time; a third item is of the day after, from the neighbouring orbit.
    west = tile(name.format("32UQD"), "2023-06-10T10:15:47Z", 32632, empty=0.3)
    east = tile(name.format("33UTU"), "2023-06-10T10:15:49Z", 32633)
    later = tile("S2A_MSIL2A_20230613T102031_R065_T33UTU_20230613T160000", "2023-06-13T10:25:47Z", 32633)
    both = set(west["window_id"]) & set(east["window_id"])
    assert len(both) > 30 and set(west["epsg"]) == set(east["epsg"]) == {32632, 32633}

    ledger = select(pl.concat([west, east, later]), LABELS, SENSORS["sentinel-2"], PARAMS)
    assert ledger.height == west.height + east.height + later.height
    kept = ledger.filter(verdict="kept")
    assert kept["window_id"].is_unique().all()
    overlap = ledger.filter(verdict="overlap")
    usable = set(ledger.filter(pl.col("verdict") != "nodata")["window_id"])
    assert overlap.height > 20 and set(overlap["window_id"]) <= both & usable
    assert overlap.select(pl.col("value") > pl.col("threshold")).to_series().all()
    near = ledger.filter(verdict="near")
    assert near.height > 20 and near["value"].is_between(2.9, 3.1).all()
