"""Hyperspectral scenes: chips of as many bands as the file has, each with its wavelength, from the file or the item."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from tasks.core.errors import ParamsError, SceneError
from tasks.earth.assets import resolve
from tasks.earth.label_params import LabelsParams, require_label_source
from tasks.earth.scene import open_scene
from tasks.earth.scene_chips import scene_chips
from tests.fixtures.one_file_scenes import GRID, LEFT, TOP, ramp, scanned, scene, served, table, tiff

ENMAP = """
[enmap]
gsd = 30
unit = "reflectance"
tag = "[hyper_ms_30]"
cube = ["image", "spectral_image"]
nodata = -32768
products = [{ ids = 'enmap.*l2a', scale = 1.0e-4 }]
"""
SIDE = 48
CENTRES = np.concatenate([np.linspace(418.4, 993.3, 91), np.linspace(901.9, 2445.5, 133)]).round(3)


def cube(count: int = 224, tags: bool = True) -> bytes:
    """Band n holds n x 10 and its place; band 1, and 130 to 140, where the air absorbs all
    light, hold nothing."""
    values = (ramp(1, SIDE, SIDE, 1)[0] + 10 * np.arange(1, count + 1)[:, None, None]).astype(np.int16)
    values[129:140] = values[:1] = -32768
    values[:, :3] = -32768
    of_bands = {n: {"wavelength": f"{CENTRES[n - 1]}", "wavelength_units": "Nanometers"} for n in range(1, count + 1)}
    return tiff(values, 30, LEFT, TOP, nodata=-32768, tags=of_bands if tags else None)


DESCRIBED = [
    {"name": f"band{i}", "center_wavelength": c / 1000, **({"bad": True} if 100 < i <= 105 else {})}
    for i, c in enumerate(CENTRES, 1)
]


@pytest.mark.parametrize("by_item", [False, True])
def test_a_cube_gives_chips_of_all_its_bands_in_order_of_wavelength_and_leaves_bad_ones_out(
    by_item: bool, tmp_path: Path
) -> None:
    sensor = table(tmp_path, ENMAP)
    fields: dict[str, Any] = {"bands": DESCRIBED} if by_item else {}
    made = scene({"spectral_image": fields}, SIDE * 30, "ENMAP01-____L2A-DT1", "enmap-hsi-l2a")
    with served(made, {"spectral_image": cube(tags=not by_item)}) as (item, catalog, running):
        windows = scanned(item, sensor, catalog).filter(pl.col("nodata_fraction") < 0.5)
        asked = len(running.asked)
        found = list(scene_chips(item, windows, sensor, catalog, GRID.cell, None, 2.1))
        assert len(running.asked) - asked < 12, "the file is opened for what it says, and once for all of its bands"
    assert all(isinstance(some, pa.RecordBatch) for some in found)
    rows = [row for some in found for row in some.to_pylist()]  # type: ignore[union-attr]
    assert len(rows) == windows.height > 0
    count = 219 if by_item else 224
    row = rows[0]
    assert len(row["bands"]) == len(row["wavelengths"]) == count
    assert row["wavelengths"] == sorted(row["wavelengths"]) and row["wavelengths"][0] == pytest.approx(0.4184)
    assert row["bands"][0] == "B001" and row["bands"][-1] == "B224"
    assert row["unit"] == "reflectance" and row["width"] == 21
    assert 0 <= row["nodata_fraction"] < 0.5, "bands without light are no holes in the others"
    from tasks.earth import geotiff

    raster = geotiff.decode(row["pixels"])
    assert raster.bands == tuple(row["bands"])
    by_name = dict(zip(raster.bands, raster.pixels, strict=True))
    assert np.nanmean(by_name["B224"] - by_name["B002"]) == pytest.approx(2220e-4, abs=1e-6)
    assert np.isnan(by_name["B135"]).all() and np.isnan(by_name["B001"]).all()


@pytest.mark.parametrize(
    ("key", "content", "fields", "why"),
    [
        ("thing", cube(4), {}, "no file of its bands: none of image, spectral_image"),
        ("image", cube(4, tags=False), {}, "neither its item .* nor the file"),
        ("image", cube(4), {"bands": DESCRIBED[:3]}, "has 4 bands, and its item describes 3"),
        ("image", cube(4), {"raster:bands": [{"scale": 1e-4}] * 3}, "has 4 bands, and its item describes 3"),
    ],
)
def test_a_cube_whose_bands_are_not_known_is_refused_by_name(
    key: str, content: bytes, fields: dict[str, Any], why: str, tmp_path: Path
) -> None:
    sensor = table(tmp_path, ENMAP)
    made = scene({key: fields}, SIDE * 30, "ENMAP01-____L2A-DT1")
    with served(made, {key: content}) as (item, catalog, _), pytest.raises(SceneError, match=why):
        open_scene(item, item.id, sensor, catalog)


def test_what_cannot_be_done_with_a_cube_is_refused_by_name(tmp_path: Path) -> None:
    sensor = table(tmp_path, ENMAP)
    params = LabelsParams.model_validate({"min_fraction": 0.1, "spectral": "auto", "sources": {}})
    with pytest.raises(ParamsError, match="enmap cannot be labelled: its bands do not tell land cover"):
        require_label_source(sensor, "own", [], params)
    with pytest.raises(KeyError, match="enmap has no band 'B001' in the table"):
        sensor.band("B001")


def test_what_is_asked_of_a_scene_before_it_is_opened_is_the_file_itself(tmp_path: Path) -> None:
    sensor = table(tmp_path, ENMAP)
    made = scene({"image": {"bands": DESCRIBED}}, SIDE * 30)
    with served(made, {}) as (item, _, running):
        found = resolve(item, sensor)
        assert [asset.href for asset in found.values()] == [item.assets["image"].href] and running.asked == []
