"""Sensors and their bands: one table. Names are the field's; asset names of several catalogs lead to each band."""

from dataclasses import dataclass
from typing import Literal

Mask = Literal["scl", "qa_pixel"]


@dataclass(frozen=True)
class Band:
    """One band of a sensor."""

    name: str
    """Name used in chips, such as B04 or VV."""
    aliases: tuple[str, ...]
    """Asset keys under which catalogs offer it (Earth Search, Planetary Computer, CDSE, USGS)."""
    wavelength: float | None
    """Centre wavelength in micrometres; None for radar."""
    gsd: int
    """Native ground sampling distance in metres."""
    required: bool = True
    """Whether a scene without it is quarantined. Sentinel-2's cirrus band is absent from L2A by design."""


@dataclass(frozen=True)
class Sensor:
    """A family of platforms with the same bands."""

    name: str
    constellation: str
    gsd: float
    """Metres a pixel of a chip."""
    window_cells: int
    """Side of a chip window, in cells of the global grid."""
    bands: tuple[Band, ...]
    rgb: tuple[str, str, str] | None
    """Bands of the true-colour composite; None where there is none."""
    unit: str
    """Unit of calibrated chips: reflectance, or dB."""
    mask: Mask | None
    """Layout of the quality mask; None for radar, which sees through cloud."""
    mask_aliases: tuple[str, ...]
    tag: str
    """EarthDial's tag for all bands."""
    rgb_tag: str | None
    """EarthDial's tag for the true-colour composite."""

    def band(self, name: str) -> Band:
        """The band called `name`."""
        return next(band for band in self.bands if band.name == name)

    @property
    def band_names(self) -> list[str]:
        """All bands, in canonical order."""
        return [band.name for band in self.bands]


SENTINEL_2 = Sensor(
    name="sentinel-2",
    constellation="sentinel-2",
    gsd=10,
    window_cells=1,
    bands=(
        Band("B01", ("coastal", "B01", "B01_60m"), 0.443, 60),
        Band("B02", ("blue", "B02", "B02_10m"), 0.490, 10),
        Band("B03", ("green", "B03", "B03_10m"), 0.560, 10),
        Band("B04", ("red", "B04", "B04_10m"), 0.665, 10),
        Band("B05", ("rededge1", "B05", "B05_20m"), 0.704, 20),
        Band("B06", ("rededge2", "B06", "B06_20m"), 0.740, 20),
        Band("B07", ("rededge3", "B07", "B07_20m"), 0.783, 20),
        Band("B08", ("nir", "B08", "B08_10m"), 0.833, 10),
        Band("B8A", ("nir08", "B8A", "B8A_20m"), 0.865, 20),
        Band("B09", ("nir09", "B09", "B09_60m"), 0.945, 60),
        Band("B10", ("cirrus", "B10"), 1.374, 60, required=False),
        Band("B11", ("swir16", "B11", "B11_20m"), 1.610, 20),
        Band("B12", ("swir22", "B12", "B12_20m"), 2.190, 20),
    ),
    rgb=("B04", "B03", "B02"),
    unit="reflectance",
    mask="scl",
    mask_aliases=("scl", "SCL", "SCL_20m"),
    tag="[s2_ms_10]",
    rgb_tag="[s2_rgb_10]",
)

LANDSAT = Sensor(
    name="landsat",
    constellation="landsat",
    gsd=30,
    window_cells=3,
    bands=(
        Band("B1", ("coastal", "SR_B1", "B1"), 0.443, 30),
        Band("B2", ("blue", "SR_B2", "B2"), 0.482, 30),
        Band("B3", ("green", "SR_B3", "B3"), 0.561, 30),
        Band("B4", ("red", "SR_B4", "B4"), 0.655, 30),
        Band("B5", ("nir08", "SR_B5", "B5"), 0.865, 30),
        Band("B6", ("swir16", "SR_B6", "B6"), 1.609, 30),
        Band("B7", ("swir22", "SR_B7", "B7"), 2.201, 30),
        Band("B9", ("cirrus", "B9"), 1.373, 30, required=False),
    ),
    rgb=("B4", "B3", "B2"),
    unit="reflectance",
    mask="qa_pixel",
    mask_aliases=("qa_pixel", "QA_PIXEL", "qa"),
    tag="[l8_ms_30]",
    rgb_tag="[l8_rgb_30]",
)

SENTINEL_1 = Sensor(
    name="sentinel-1",
    constellation="sentinel-1",
    gsd=10,
    window_cells=1,
    bands=(
        Band("VV", ("vv", "VV", "iw-vv"), None, 10),
        Band("VH", ("vh", "VH", "iw-vh"), None, 10),
    ),
    rgb=None,
    unit="dB",
    mask=None,
    mask_aliases=(),
    tag="[s1_vh_10]",
    rgb_tag=None,
)

SENSORS = {sensor.name: sensor for sensor in (SENTINEL_2, SENTINEL_1, LANDSAT)}
"""By the name used in params.yaml, dvc.yaml and every table."""
