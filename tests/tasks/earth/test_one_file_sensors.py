"""Sensors whose bands are all in one file, as entries of a table alone: every band from its place, every mask read."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rasterio.enums import ColorInterp
from rasterio.warp import transform

from tasks.core.errors import ParamsError, SceneError
from tasks.earth.scene import open_scene
from tests.fixtures.one_file_scenes import (
    EPSG,
    LEFT,
    SUPERDOVE,
    TOP,
    UDM2,
    chips,
    ramp,
    scanned,
    scene,
    served,
    table,
    tiff,
    udm2,
)

PLANETSCOPE = """
[planetscope]
gsd = 3
unit = "reflectance"
tag = "[ps_ms_3]"
rgb_tag = "[ps_rgb_3]"
files = ["ortho_analytic_8b_sr", '.*_analyticms_sr_8b.*']
nodata = 0
mask = "udm2"
mask_aliases = ["ortho_udm2", '.*_udm2.*']
mask_gsd = 3
products = [{ ids = 'analytic(ms)?_?(8b_)?sr', scale = 1.0e-4 }]
bands = [
  { name = "B1", common_name = "coastal", wavelength = 0.443, gsd = 3, other_names = ["coastal_blue"] },
  { name = "B2", common_name = "blue", wavelength = 0.490, gsd = 3 },
  {name = "B3", common_name = "green05", wavelength = 0.531, gsd = 3, other_names = ["green_i"], synonyms = ["green"]},
  { name = "B4", common_name = "green", wavelength = 0.565, gsd = 3 },
  { name = "B5", common_name = "yellow", wavelength = 0.610, gsd = 3 },
  { name = "B6", common_name = "red", wavelength = 0.665, gsd = 3 },
  { name = "B7", common_name = "rededge", wavelength = 0.705, gsd = 3 },
  { name = "B8", common_name = "nir", wavelength = 0.865, gsd = 3 },
]
"""
NAIP = """
[naip]
gsd = 1
unit = "dn8"
tag = "[hr_rgbi_0.5]"
rgb_tag = "[hr_rgb_0.5]"
platforms = '(?<![a-z0-9])naip(?![a-z0-9])'
known_by_names = false # red, green, blue and nir are the bands of many
published_norm = "rgbm_norm"
credit = "NAIP imagery courtesy of the U.S. Department of Agriculture, {years}."
files = ["image"]
nodata = 0
nodata_in_all = true
mask = "luminance"
bands = [
  { name = "R", common_name = "red", wavelength = 0.648, gsd = 1 },
  { name = "G", common_name = "green", wavelength = 0.560, gsd = 1 },
  { name = "B", common_name = "blue", wavelength = 0.475, gsd = 1 },
  { name = "NIR", common_name = "nir", wavelength = 0.850, gsd = 1 },
]
"""
DRONE = """
[drone]
gsd = 0.05
unit = "dn8"
tag = "[drone_rgb_0.05]"
files = ["visual", "image", "orthophoto"]
window_cells = 0.05
bands = [
  { name = "R", common_name = "red", wavelength = 0.66, gsd = 0.05 },
  { name = "G", common_name = "green", wavelength = 0.56, gsd = 0.05 },
  { name = "B", common_name = "blue", wavelength = 0.48, gsd = 0.05 },
]
"""


PLANET_FILES = {
    "ortho_analytic_8b_sr": tiff(ramp(8, 640, 640, 3), 3, LEFT + 1, TOP - 1, names=SUPERDOVE, nodata=0),
    "ortho_udm2": tiff(udm2(640, 640), 3, LEFT + 1, TOP - 1, names=UDM2),
    "ortho_analytic_8b": tiff(ramp(8, 64, 64, 30), 30, names=SUPERDOVE),
}


def test_eight_bands_at_three_metres_come_from_one_file_each_at_its_place_without_a_gap(tmp_path: Path) -> None:
    sensor = table(tmp_path, PLANETSCOPE)
    made = scene({key: {} for key in PLANET_FILES}, 1920, "20230610_100000_01_24aa")
    with served(made, PLANET_FILES) as (item, catalog, running):
        windows = scanned(item, sensor, catalog)
        inside = windows.filter(pl.col("nodata_fraction") < 0.05)
        found = chips(item, sensor, catalog, inside)
        heads = [asked for asked in running.asked if asked.method == "HEAD" and "8b_sr" in asked.path]
    assert len(heads) <= 4, "a file is opened once for all of its bands"
    assert len(found) == inside.height == 9
    assert {chip.shape for chip in found.values()} == {(8, 213, 213)}, "640 m have 213 pixels of about 3 m"
    x = (np.arange(213) + 0.5) * 640 / 213
    for (left, top), chip in found.items():
        metres = (left - LEFT - 1 + x)[None, :] + 0.1 * (TOP - 1 - top + x)[:, None]
        for band in range(8):
            wanted = (1000 * (band + 1) + metres) * 1e-4
            there = np.isfinite(chip[band])
            assert there.mean() > 0.98
            assert np.abs(chip[band] - wanted)[there].max() < 1.6e-4, "a number and a half: where it lies"


def test_the_usable_data_mask_says_what_is_cloud_what_is_fill_and_nothing_of_water(tmp_path: Path) -> None:
    sensor = table(tmp_path, PLANETSCOPE)
    made = scene({key: {} for key in PLANET_FILES}, 1920, "20230610_100000_01_24aa")
    with served(made, PLANET_FILES) as (item, catalog, _):
        windows = scanned(item, sensor, catalog)
    inside = windows.filter(pl.col("nodata_fraction") < 0.05)
    cloud = inside.filter(pl.col("row") == inside["row"].min()).sort("column")["cloud_fraction"].to_list()
    assert cloud == pytest.approx([0, 0.5, 0.625], abs=0.02), "clear, half, cloud and heavy haze; light haze is usable"
    assert inside["water_fraction"].null_count() == inside["cirrus_fraction"].null_count() == inside.height
    north = inside.filter(pl.col("row") == inside["row"].max())["nodata_fraction"]
    assert (north > inside["nodata_fraction"].min()).all(), "two rows of fill"
    assert set(windows["mask_provenance"]) == {"udm2"}


@pytest.mark.parametrize(
    ("bands", "names"),
    [
        (None, SUPERDOVE),  # a delivery's item says nothing, the file does
        (None, ()),  # nobody does: the order of the table
        ([{"name": name} for name in SUPERDOVE], ()),
        # Both greens have one common name in some items: their places tell them apart.
        ([{"common_name": {"green_i": "green", "coastal_blue": "coastal"}.get(n, n)} for n in SUPERDOVE], ()),
        ([{"data_type": "uint16", "nodata": 0}] * 8, ()),
    ],
)
def test_bands_are_told_by_the_item_by_the_file_or_by_the_order_of_the_table(
    bands: list[dict[str, object]] | None, names: tuple[str, ...], tmp_path: Path
) -> None:
    sensor = table(tmp_path, PLANETSCOPE)
    key = "20230610_100000_01_24aa_3B_AnalyticMS_SR_8b_clip"
    fields = {} if bands is None else {"raster:bands" if "data_type" in bands[0] else "eo:bands": bands}
    files = {key: tiff(ramp(8, 320, 320, 3), 3, names=names), "x_udm2_clip": tiff(udm2(320, 320), 3)}
    with served(scene({key: fields, "x_udm2_clip": {}}, 960), files) as (item, catalog, _):
        windows = scanned(item, sensor, catalog).filter(pl.col("nodata_fraction") < 0.05)
        (chip,) = list(chips(item, sensor, catalog, windows).values())[:1]
    assert [int(value) for value in np.nanmean(chip, axis=(1, 2)) * 10] == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("assets", "why"),
    [
        ({"ortho_analytic_8b": tiff(ramp(8, 64, 64, 30), 30)}, "no band B1"),  # radiance, which has no scale
        ({"ortho_analytic_8b_sr": tiff(ramp(4, 64, 64, 3), 3)}, "holds 4 bands"),
        ({"ortho_analytic_8b_sr": tiff(ramp(8, 64, 64, 3), 3, names=[*SUPERDOVE[:7], "red"])}, "2 can be red"),
    ],
)
def test_what_is_not_the_file_of_the_table_is_refused_by_name(
    assets: dict[str, bytes], why: str, tmp_path: Path
) -> None:
    sensor = table(tmp_path, PLANETSCOPE)
    files = assets | {"ortho_udm2": tiff(udm2(64, 64), 3)}
    with (
        served(scene({key: {} for key in files}, 192), files) as (item, catalog, _),
        pytest.raises(SceneError, match=why),
    ):
        chips(item, sensor, catalog, scanned(item, sensor, catalog))


def test_a_mask_of_another_layout_is_refused_by_name(tmp_path: Path) -> None:
    sensor = table(tmp_path, PLANETSCOPE)
    files = PLANET_FILES | {"ortho_udm2": tiff(udm2(64, 64)[7:], 3)}  # the older mask, one band of bits
    with (
        served(scene({key: {} for key in files}, 1920), files) as (item, catalog, _),
        pytest.raises(SceneError, match=r"udm2 has 6 bands .*, it has 1"),
    ):
        scanned(item, sensor, catalog)


NAIP_BANDS = [{"name": n, "common_name": n.lower()} for n in ("Red", "Green", "Blue", "NIR")]


def photograph(side: int) -> np.ndarray:
    """Four bands of 8 bits: brown ground, a tenth in black shadow with a little blue, water without near infrared, a
    black border of five pixels in the west, and a white cloud in the south-east."""
    out = np.empty((4, side, side), np.uint8)
    out[:] = np.array([110, 90, 70, 120])[:, None, None]
    out[:, : side // 10] = np.array([0, 0, 12, 0])[:, None, None]
    out[:, side // 10 : side // 2] = np.array([30, 50, 60, 0])[:, None, None]
    out[:, side // 2 :, -side // 3 :] = 240
    out[:, :, :5] = 0
    return out


@pytest.mark.parametrize(("gsd", "described"), [(0.6, True), (1.0, False)])
def test_a_fourth_band_that_a_file_calls_alpha_is_near_infrared_and_black_shadows_are_measured(
    gsd: float, described: bool, tmp_path: Path
) -> None:
    naip = table(tmp_path, NAIP)
    side = round(1300 / gsd)
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    # NAD83, half a metre from WGS 84 at most, and off the grid by some pixels.
    files = {"image": tiff(photograph(side), gsd, 499_207, 4_150_000, "EPSG:26915", colours=colours)}
    fields = {"eo:bands": NAIP_BANDS} if described else {}
    made = scene({"image": fields}, 1300, "nc_m_1", crs="EPSG:26915", corner=(499_207, 4_150_000))
    with served(made, files) as (item, catalog, _):
        windows = scanned(item, naip, catalog)
        inside = windows.filter(pl.col("nodata_fraction") < 0.05)
        found = chips(item, naip, catalog, inside)
    assert {chip.shape for chip in found.values()} == {(4, 640, 640)} and len(found) >= 1
    seen = {tuple(round(float(v)) for v in chip[:, 320, 320]) for chip in found.values()}
    assert (30, 50, 60, 0) in seen, "water is black in near infrared, and is no hole"
    assert all(np.isnan(chip).mean() < 0.02 for chip in found.values())
    assert inside["cloud_fraction"].max() > 0.05 and inside["cloud_fraction"].min() == 0
    edge = windows.filter(pl.col("left") < 499_207)
    assert edge["nodata_fraction"].min() > 0, "the black border holds nothing"


def test_a_photograph_of_three_bands_has_no_near_infrared_and_is_refused_by_name(tmp_path: Path) -> None:
    files = {"image": tiff(photograph(64)[:3], 1)}
    with (
        served(scene({"image": {"eo:bands": NAIP_BANDS[:3]}}, 64), files) as (item, catalog, _),
        pytest.raises(SceneError, match="no band NIR"),
    ):
        open_scene(item, item.id, table(tmp_path, NAIP), catalog)


def test_a_drones_mosaic_is_cut_into_small_windows_and_its_alpha_says_where_it_is(tmp_path: Path) -> None:
    sensor = table(tmp_path, DRONE)
    side = 3000  # 150 m of 5 cm in the Swiss grid
    values = np.full((4, side, side), 255, np.uint8)
    values[0] = (np.arange(side) // 20 % 200)[None, :]
    values[1] = 0  # green is black everywhere, which is no hole
    values[3, :, : side // 2] = 0
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    corner = (2_600_000.0, 1_200_000.0)
    files = {"visual": tiff(values, 0.05, *corner, "EPSG:2056", colours=colours)}
    made = scene({"visual": {"roles": ["visual"]}}, 150, "flight-7", crs="EPSG:2056", corner=corner)
    with served(made, files) as (item, catalog, _):
        windows = scanned(item, sensor, catalog)
        inside = windows.filter(pl.col("nodata_fraction") == 0)
        found = chips(item, sensor, catalog, inside)
    assert set(windows["right"] - windows["left"]) == {32.0}
    assert {chip.shape for chip in found.values()} == {(3, 640, 640)} and len(found) >= 2
    assert all(np.isfinite(chip).all() and (chip[1] == 0).all() for chip in found.values())
    assert (windows["nodata_fraction"] == 1).any(), "where alpha is 0 nothing was seen"
    # One metre is one number of red: chips are turned against the mosaic by the angle between the two grids.
    chip = next(iter(found.values()))
    assert np.ptp(chip[0][:, 0]) < 4 and chip[0][0, -1] - chip[0][0, 0] == pytest.approx(32, abs=1.5)


def test_windows_too_large_to_hold_are_refused_with_what_to_change(tmp_path: Path) -> None:
    sensor = table(tmp_path, DRONE.replace("window_cells = 0.05\n", ""))
    files = {"image": tiff(np.full((3, 64, 64), 9, np.uint8), 0.05)}
    with (
        served(scene({"image": {}}, 3.2), files) as (item, catalog, _),
        pytest.raises(ParamsError, match=r"12800 x 12800 pixels of 0.05 m in 3 bands.*window_cells = 0.1"),
    ):
        scanned(item, sensor, catalog)


def test_neighbouring_windows_of_a_part_of_a_cell_share_their_edges() -> None:
    from tasks.earth.grid import window_grid

    fine, coarse = window_grid(EPSG, 640, 0.1), window_grid(EPSG, 640, 1)
    columns, rows = np.arange(-480, 480), np.arange(-480, 480)
    boxes = fine.boxes(columns, rows)
    assert (boxes[1:, 0] == boxes[:-1, 2]).all() and fine.size == 64
    assert coarse.size == 640
    with pytest.raises(ParamsError, match=r"650 m are no whole number of metres times the 0.03125"):
        window_grid(EPSG, 650, 0.03125)


RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


@pytest.mark.parametrize(
    ("count", "options", "fields"),
    [
        (4, {"colours": RGBA}, {}),
        # A no-data value beside it hides alpha from GDAL's own masks, and so does a fifth band.
        (4, {"colours": RGBA, "nodata": 7}, {}),
        (4, {"colours": RGBA, "nodata": 7}, {"raster:bands": [{"data_type": "uint8", "nodata": 7}] * 4}),
        # As rio-stac writes items.
        (4, {"colours": RGBA}, {"eo:bands": [{"name": f"b{n + 1}", "description": RGBA[n].name} for n in range(4)]}),
        (5, {"colours": (*RGBA[:3], ColorInterp.undefined, RGBA[3]), "names": ["red", "green", "blue", "dsm", ""]}, {}),
    ],
)
def test_alpha_is_a_mask_whatever_else_the_file_declares(
    count: int, options: dict[str, Any], fields: dict[str, Any], tmp_path: Path
) -> None:
    sensor = table(tmp_path, DRONE)
    values = np.full((count, 1600, 1600), 90, np.uint8)
    values[1], values[-1] = 40, 255
    values[-1, :, :640] = 0
    files = {"image": tiff(values, 0.05, **options)}
    with served(scene({"image": fields}, 80), files) as (item, catalog, _):
        windows = scanned(item, sensor, catalog)
        found = chips(item, sensor, catalog, windows.filter(pl.col("nodata_fraction") == 0))
    assert windows["nodata_fraction"].is_in([0.0, 1.0]).sum() >= 2 and len(found) == 2
    assert {tuple(np.unique(chip[1])) for chip in found.values()} == {(40.0,)}
    west = windows.filter(pl.col("right") <= LEFT + 32)
    assert west.height and (west["nodata_fraction"] == 1).all()


def test_near_infrared_of_zero_takes_nothing_out_of_the_means_of_a_finer_file(tmp_path: Path) -> None:
    """GDAL weighs pixels by what it takes for alpha: water, which is black in near infrared, would become black."""
    sensor = table(tmp_path, NAIP)
    values = np.zeros((4, 2200, 2200), np.uint8)
    values[:3] = np.array([30, 50, 60])[:, None, None]
    files = {"image": tiff(values, 0.3, crs="EPSG:25833", colours=RGBA)}
    with served(scene({"image": {"eo:bands": NAIP_BANDS}}, 660), files) as (item, catalog, _):
        windows = scanned(item, sensor, catalog)
        (chip, *_) = chips(item, sensor, catalog, windows.filter(pl.col("nodata_fraction") < 0.5)).values()
    assert {tuple(chip[:, row, 300].round().tolist()) for row in (50, 300, 600)} == {(30, 50, 60, 0)}


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_a_mosaic_in_degrees_or_web_mercator_has_its_pixels_width_on_the_ground(crs: str, tmp_path: Path) -> None:
    sensor = table(tmp_path, DRONE)
    west, north = transform(f"EPSG:{EPSG}", crs, [LEFT + 1.0], [TOP - 1.0])
    # Of Web Mercator a metre at 52.6 degrees is 0.61 on the ground.
    gsd = 0.05 / 111_320 if crs == "EPSG:4326" else 0.05 / 0.6076
    values = np.full((3, 1600, 2400), 90, np.uint8)
    values[0] = (np.arange(2400) // 20)[None, :]
    files = {"image": tiff(values, gsd, west[0], north[0], crs)}
    made = scene({"image": {}}, 2400 * gsd, crs=crs, corner=(west[0], north[0]))
    with served(made, files) as (item, catalog, _):
        windows = scanned(item, sensor, catalog).filter(pl.col("nodata_fraction") == 0)
        found = chips(item, sensor, catalog, windows)
    assert len(found) >= 1
    chip = next(iter(found.values()))
    per_metre = (chip[0][320, -1] - chip[0][320, 0]) / 32
    assert per_metre == pytest.approx(1.0 / 0.6076 if crs == "EPSG:4326" else 1.0, rel=0.06)
