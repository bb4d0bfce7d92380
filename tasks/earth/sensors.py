"""The registry of sensors, first half: what a sensor is, and the measured ones, from whose scenes chips are cut.

Everything that is known of a sensor is a field of its entry; no other module names one. Renderings of sensors, which
come in with the data sets of others, stand in `tasks.earth.display_sensors`. docs/how-to/add-a-sensor.md tells what a
new entry needs besides.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Mask = Literal["scl", "qa_pixel"]
PublishedNorm = Literal["imagenet", "s2_l2a", "l8_norm", "s1", "rgbm_norm"]
"""How EarthDial's loader normalises pixels, by its own names; `tasks.published.normalisation` has the numbers."""

PUBLISHED_TAGS = (
    "[s2_rgb_10]", "[l8_rgb_30]", "[s2_ms_10]", "[hr_rgb_0.5]", "[hr_rgb_temp_0.5]", "[hr_rgbi_0.5]",
    "[s1_vh_10]", "[s1_vh_1]", "[l8_ms_30]", "[hyper_rgb_3]", "[s1_vh_temp_10]", "[s2_ms_30]", "[Inf_thermal_1]",
)  # fmt: skip
"""EarthDial's sensor tags. Each is a token whose number follows from its place, so that the order never changes."""
DISPLAY = "dn8"
"""Unit of 8-bit display values, 0 to 255."""
C_BAND = 55_466.0
"""Micrometres of Sentinel-1's radar, 5.405 GHz."""


@dataclass(frozen=True)
class Band:
    """One band of a sensor."""

    name: str
    """Name used in chips, such as B04 or VV."""
    common_name: str
    """STAC's `eo:common_name`, or Earth Search's asset key where several bands share that. Both composites and the
    rules of land cover ask for bands by it."""
    wavelength: float
    """Centre in micrometres."""
    gsd: int
    """Native ground sampling distance in metres."""
    other_names: tuple[str, ...] = ()
    """What catalogs (Planetary Computer, CDSE, USGS) and published data sets call it besides."""
    required: bool = True
    """Whether a scene without it is quarantined. Sentinel-2's cirrus band is absent from L2A by design."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Asset keys under which catalogs offer it, the first that is there counts."""
        return (self.common_name, *self.other_names)


@dataclass(frozen=True)
class Sensor:
    """A family of platforms with the same bands, or a rendering of one."""

    name: str
    """As in params.yaml, in every table, and in the paths of artifacts."""
    gsd: float
    """Metres a pixel of a chip."""
    bands: tuple[Band, ...]
    """In the order of files that name none."""
    unit: str
    """Unit of calibrated chips: reflectance, dB, or display values; `tasks.earth.radiometry` holds pixels to it."""
    tag: str
    """EarthDial's tag for all bands."""
    rgb_tag: str | None = None
    """EarthDial's tag for the true-colour composite; None where there is none."""
    dates_tag: str | None = None
    """EarthDial's tag for several dates of one place; None where it has none."""
    polarisations: tuple[str, str] | None = None
    """Of a radar that has two, like- before cross-polarised: shown together, their difference in dB as third plane."""
    window_cells: int = 1
    """Side of a chip window, in cells of the global grid."""
    mask: Mask | None = None
    """Layout of the quality mask; None where there is none, as of radar, which sees through cloud."""
    mask_aliases: tuple[str, ...] = ()
    """Asset keys under which catalogs offer the mask."""
    platforms: str | None = None
    """Regular expression for what metadata and names of files call its platforms; None: they never tell it."""
    known_by_count: bool = False
    """Whether a file of as many bands without names can be of no other sensor."""
    published_norm: PublishedNorm | None = None
    """How the published weights were shown it; None: they never were."""
    credit: str = ""
    """What must stand beside anything made from its scenes; `{years}` are those of their acquisition."""

    def band(self, name: str) -> Band:
        """The band called `name`."""
        return next(band for band in self.bands if band.name == name)

    def nearest(self, common_name: str) -> str | None:
        """The band of that common name, or of the one that will do for it; None if there is neither."""
        found = {band.common_name: band.name for band in self.bands}
        return found.get(common_name) or found.get(WILL_DO_FOR.get(common_name, ""))

    def band_called(self, text: str) -> str | None:
        """The band that a catalog, a file or a data set calls `text`, in any case; None if none is called so."""
        return self._names.get(text.strip().lower())

    @cached_property
    def _names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for band in self.bands:
            # Earth Engine and others write B4 for B04.
            unpadded = re.sub(r"(?<=[A-Z])0+(?=\d)", "", band.name)
            names |= {name.lower(): band.name for name in (*band.aliases, unpadded, band.name)}
        return names

    @property
    def band_names(self) -> list[str]:
        """All bands, in canonical order."""
        return [band.name for band in self.bands]

    @property
    def required_bands(self) -> list[str]:
        """Bands that every scene has, in canonical order."""
        return [band.name for band in self.bands if band.required]

    @cached_property
    def rgb(self) -> tuple[str, str, str] | None:
        """Bands of the true-colour composite; None where there is none."""
        return self._composite("red", "green", "blue")

    @cached_property
    def false_colour(self) -> tuple[str, str, str] | None:
        """Short-wave infrared, near infrared, red: vegetation green, bare ground pink, water black."""
        return self._composite("swir16", "nir", "red")

    def _composite(self, *wanted: str) -> tuple[str, str, str] | None:
        first, second, third = (self.nearest(name) for name in wanted)
        return (first, second, third) if first and second and third else None

    @property
    def composite(self) -> tuple[str, ...]:
        """Bands that are shown first: true colour, both polarisations, or the bands as they stand."""
        return self.rgb or self.polarisations or tuple(self.band_names[:3])

    @property
    def ratio(self) -> str | None:
        """Name of the plane that shows the ratio of the polarisations, such as VV-VH; None where there are no two."""
        return "-".join(self.polarisations) if self.polarisations else None

    @property
    def plane_names(self) -> list[str]:
        """All bands, and the ratio of the polarisations where there is one."""
        return [*self.band_names, *filter(None, [self.ratio])]


WILL_DO_FOR = {"nir": "nir08"}
"""Common name -> a substitute where a sensor has no such band: Landsat has the narrow near infrared only."""
_COPERNICUS = "Contains modified Copernicus Sentinel data {years}."

SENTINEL_2 = Sensor(
    name="sentinel-2",
    gsd=10,
    bands=(
        Band("B01", "coastal", 0.443, 60, ("B01", "B01_60m")),
        Band("B02", "blue", 0.490, 10, ("B02", "B02_10m")),
        Band("B03", "green", 0.560, 10, ("B03", "B03_10m")),
        Band("B04", "red", 0.665, 10, ("B04", "B04_10m")),
        Band("B05", "rededge1", 0.704, 20, ("B05", "B05_20m")),
        Band("B06", "rededge2", 0.740, 20, ("B06", "B06_20m")),
        Band("B07", "rededge3", 0.783, 20, ("B07", "B07_20m")),
        Band("B08", "nir", 0.833, 10, ("B08", "B08_10m")),
        Band("B8A", "nir08", 0.865, 20, ("B8A", "B8A_20m")),
        Band("B09", "nir09", 0.945, 60, ("B09", "B09_60m")),
        Band("B10", "cirrus", 1.374, 60, ("B10",), required=False),
        Band("B11", "swir16", 1.610, 20, ("B11", "B11_20m")),
        Band("B12", "swir22", 2.190, 20, ("B12", "B12_20m")),
    ),
    unit="reflectance",
    tag="[s2_ms_10]",
    rgb_tag="[s2_rgb_10]",
    mask="scl",
    mask_aliases=("scl", "SCL", "SCL_20m"),
    platforms=r"sentinel[-_ ]?2|(?<![a-z0-9])s2[a-d](?![a-z0-9])",
    known_by_count=True,
    published_norm="s2_l2a",
    credit=_COPERNICUS,
)

LANDSAT = Sensor(
    name="landsat",
    gsd=30,
    window_cells=3,
    bands=(
        Band("B1", "coastal", 0.443, 30, ("SR_B1", "B1")),
        Band("B2", "blue", 0.482, 30, ("SR_B2", "B2")),
        Band("B3", "green", 0.561, 30, ("SR_B3", "B3")),
        Band("B4", "red", 0.655, 30, ("SR_B4", "B4")),
        Band("B5", "nir08", 0.865, 30, ("SR_B5", "B5")),
        Band("B6", "swir16", 1.609, 30, ("SR_B6", "B6")),
        Band("B7", "swir22", 2.201, 30, ("SR_B7", "B7")),
        Band("B9", "cirrus", 1.373, 30, ("B9",), required=False),
    ),
    unit="reflectance",
    tag="[l8_ms_30]",
    rgb_tag="[l8_rgb_30]",
    mask="qa_pixel",
    mask_aliases=("qa_pixel", "QA_PIXEL", "qa"),
    platforms=r"landsat[-_ ]?[89]|(?<![a-z0-9])l[co]0?[89](?![a-z])",
    credit="Landsat courtesy of the U.S. Geological Survey.",
)

SENTINEL_1 = Sensor(
    name="sentinel-1",
    gsd=10,
    bands=(
        Band("VV", "vv", C_BAND, 10, ("VV", "iw-vv")),
        Band("VH", "vh", C_BAND, 10, ("VH", "iw-vh")),
    ),
    unit="dB",
    tag="[s1_vh_10]",
    dates_tag="[s1_vh_temp_10]",
    polarisations=("VV", "VH"),
    platforms=r"sentinel[-_ ]?1|(?<![a-z0-9])s1[a-d](?![a-z0-9])",
    published_norm="s1",
    credit=_COPERNICUS,
)

SENSORS = {sensor.name: sensor for sensor in (SENTINEL_2, SENTINEL_1, LANDSAT)}
"""The measured sensors, by the name used in params.yaml, dvc.yaml and every table."""
