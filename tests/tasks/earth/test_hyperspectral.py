"""Bands of cubes of some 200 bands, from real files: GeoTIFF, and ENVI's BSQ with its header."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from tasks.core.errors import SceneError
from tasks.earth.hyperspectral import spectral_bands

# As EnMAP's: 91 bands of one detector, 133 of the other, overlapping from 900 to 1000 nm.
VNIR = np.linspace(418.4, 993.3, 91)
SWIR = np.linspace(901.9, 2445.5, 133)
CENTRES = np.concatenate([VNIR, SWIR]).round(3)


def cube(path: Path, count: int, driver: str = "GTiff", **tags: str) -> Path:
    profile = {"driver": driver, "height": 4, "width": 4, "count": count, "dtype": "int16", "nodata": -32768}
    with rasterio.open(path, "w", **profile, crs="EPSG:32632", transform=Affine(30, 0, 5e5, 0, -30, 5e6)) as file:
        file.write(np.ones((count, 4, 4), np.int16))
    return path


def test_wavelengths_of_the_item_count_and_bands_come_in_order_of_them(tmp_path: Path) -> None:
    described = [{"name": f"b{i}", "center_wavelength": centre / 1000} for i, centre in enumerate(CENTRES)]
    with rasterio.open(cube(tmp_path / "enmap.tif", 224)) as file:
        bands = spectral_bands(file, described)
    assert len(bands) == 224
    assert [band.wavelength for band in bands] == sorted(round(float(centre) / 1000, 6) for centre in CENTRES)
    # Both detectors stay where they overlap; a band's name is its place in the file.
    overlap = [band for band in bands if 0.902 <= band.wavelength <= 0.993]
    assert {band.index <= 91 for band in overlap} == {True, False}
    assert bands[0].name == "B001" and bands[-1].name == "B224" and bands[-1].index == 224


def test_composites_find_their_bands_by_common_names(tmp_path: Path) -> None:
    described = [{"eo:center_wavelength": centre} for centre in CENTRES]  # nanometres, as some write them
    with rasterio.open(cube(tmp_path / "enmap.tif", 224)) as file:
        found = {band.common_name: band.wavelength for band in spectral_bands(file, described) if band.common_name}
    assert {"red", "green", "blue", "nir", "swir16", "swir22"} <= set(found)
    assert abs(found["red"] - 0.665) < 0.004 and abs(found["swir16"] - 1.61) < 0.007


def test_an_envi_header_tells_wavelengths_and_bad_bands(tmp_path: Path) -> None:
    path = cube(tmp_path / "prisma.bsq", 5, "ENVI")
    header = path.with_suffix(".hdr")
    header.write_text(
        header.read_text()
        + "wavelength units = Nanometers\nwavelength = {0.0, 411.3, 664.9, 1380.0, 2450.1}\n"
        + "fwhm = {0.0, 10.1, 9.9, 11.0, 12.0}\nbbl = {1, 1, 1, 0, 1}\n"
    )
    with rasterio.open(path) as file:
        bands = spectral_bands(file)
    assert [(band.name, band.wavelength, band.width) for band in bands] == [
        ("B002", 0.4113, 0.01),
        ("B003", 0.6649, 0.01),
        ("B005", 2.4501, 0.012),
    ]
    assert bands[1].common_name == "red"


@pytest.mark.parametrize(
    ("description", "centre"),
    [("band 1 (423.03 nm)", 0.42303), ("0.4231 um", 0.4231), ("Band 7: 1004.5 Nanometers", 1.0045)],
)
def test_descriptions_of_bands_tell_wavelengths(description: str, centre: float, tmp_path: Path) -> None:
    with rasterio.open(cube(tmp_path / "one.tif", 1), "r+") as file:
        file.set_band_description(1, description)
    with rasterio.open(tmp_path / "one.tif") as file:
        assert [band.wavelength for band in spectral_bands(file)] == [centre]


def test_metadata_of_bands_tells_wavelengths(tmp_path: Path) -> None:
    with rasterio.open(cube(tmp_path / "two.tif", 2), "r+") as file:
        file.update_tags(1, wavelength="0.7", wavelength_units="Micrometers")
        file.update_tags(2, ns="IMAGERY", CENTRAL_WAVELENGTH_UM="0.6", FWHM_UM="0.01")
    with rasterio.open(tmp_path / "two.tif") as file:
        found = [(band.index, band.wavelength, band.width) for band in spectral_bands(file)]
    assert found == [(2, 0.6, 0.01), (1, 0.7, None)]


def test_a_cube_without_wavelengths_or_with_another_number_of_them_is_refused_by_name(tmp_path: Path) -> None:
    with rasterio.open(cube(tmp_path / "bare.tif", 7)) as file:
        with pytest.raises(SceneError, match="scene x has 7 bands, and neither its item"):
            spectral_bands(file, (), "scene x")
        with pytest.raises(SceneError, match="has 7 bands, and its item describes 6"):
            spectral_bands(file, [{"center_wavelength": 0.5}] * 6, "scene x")
        with pytest.raises(SceneError, match="neither its item"):
            spectral_bands(file, [{"center_wavelength": 0.5}] * 6 + [{}], "scene x")
        with pytest.raises(SceneError, match="all of its 7 bands"):
            spectral_bands(file, [{"center_wavelength": 0.0}] * 7, "scene x")
