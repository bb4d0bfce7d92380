"""The registry of sensors, first half: what a sensor is, and the measured ones, from whose scenes chips are cut.

Everything that is known of a sensor is a field of its entry in `sensors.toml`, beside this module; no other module
names one. Renderings of sensors, which come in with the data sets of others, are in `tasks.earth.display_sensors`.
docs/how-to/add-a-sensor.md says what a new entry needs besides.
"""

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from tasks.core.errors import ParamsError
from tasks.earth import sensor_checks
from tasks.earth.sensor_parts import CLOSED, Generation, Metres, Pattern, Tag
from tasks.earth.sensor_parts import Band as Band
from tasks.earth.sensor_parts import Product as Product

Mask = Literal["scl", "qa_pixel", "udm2", "luminance"]
"""Layouts of quality masks; `luminance` is computed from the scene's own red, green and blue."""
PublishedNorm = Literal["imagenet", "s2_l2a", "l8_norm", "s1", "rgbm_norm"]
"""How EarthDial's loader normalises pixels, by its own names; `tasks.earth.published_statistics` has the numbers."""

PUBLISHED_TAGS = (
    "[s2_rgb_10]", "[l8_rgb_30]", "[s2_ms_10]", "[hr_rgb_0.5]", "[hr_rgb_temp_0.5]", "[hr_rgbi_0.5]",
    "[s1_vh_10]", "[s1_vh_1]", "[l8_ms_30]", "[hyper_rgb_3]", "[s1_vh_temp_10]", "[s2_ms_30]", "[Inf_thermal_1]",
)  # fmt: skip
"""EarthDial's sensor tags. Each is a token whose number follows from its place, so that the order never changes."""
DISPLAY = "dn8"
"""Unit of 8-bit display values, 0 to 255."""
CUBE_BANDS = 512
"""Bands of a hyperspectral file at most, by which memory is planned."""
C_BAND = 55_466.0
"""Micrometres of Sentinel-1's radar, 5.405 GHz."""


@dataclass(frozen=True, config=CLOSED)
class Sensor:
    """A family of platforms with the same bands, or a rendering of one."""

    name: str
    """As in params.yaml, in every table, and in the paths of artifacts."""
    gsd: Metres
    """Metres a pixel of a chip."""
    bands: tuple[Band, ...]
    """In the order of files that name none."""
    unit: str
    """Unit of calibrated chips: reflectance, dB, or display values; `tasks.earth.radiometry` holds pixels to it."""
    tag: Tag
    """EarthDial's tag for all bands."""
    rgb_tag: Tag | None = None
    """EarthDial's tag for the true-colour composite; None where there is none."""
    dates_tag: Tag | None = None
    """EarthDial's tag for several dates of one place, in its grammar where it has none of its own; None: `tag`."""
    rgb_dates_tag: Tag | None = None
    """The same for true-colour composites."""
    polarisations: tuple[tuple[str, str], ...] = ()
    """Of a radar, the pairs it is flown in, like- before cross-polarised: shown together, their difference in dB as
    third plane."""
    orbits_per_cycle: int | None = None
    """Orbits after which a platform passes over the same ground again, where scenes are named by the orbit's number."""
    first_orbits: Mapping[str, int] = field(default_factory=dict)
    """Platform -> the first orbit of a cycle, from which relative orbits are counted."""
    window_cells: int | float = 1
    """Side of a chip window in cells of the global grid: a whole number, or a whole part of one such as 0.1."""
    files: tuple[Pattern, ...] = ()
    """Asset keys (or expressions that match them) of a file that holds all bands, best first; nothing else is taken.
    Where neither item nor file names its bands, they are in the order of this entry."""
    cube: tuple[Pattern, ...] = ()
    """The same of a hyperspectral file, whose bands are read from it and not from here."""
    nodata: float | None = None
    """What whole numbers are where nothing was measured, in all its products, whatever an item says."""
    nodata_in_all: bool = False
    """Whether it means so only where all bands of a file have it: shadows of 8-bit images are 0 in one or the other."""
    mask: Mask | None = None
    """Layout of the quality mask; None where there is none, as of radar, which sees through cloud."""
    mask_aliases: tuple[str, ...] = ()
    """Asset keys (or expressions that match them) under which catalogs offer the mask."""
    mask_gsd: float | None = None
    """Metres a pixel of the mask."""
    learned_mask: Literal["s2cloudless"] | None = None
    """The model that makes a mask where a scene carries none."""
    offset_from_baseline: str | None = None
    """Processing baseline since which an offset is in the numbers, so that scenes must be asked whether it still is."""
    generations: tuple[Generation, ...] = ()
    """Platforms that number their bands otherwise."""
    products: tuple[Product, ...] = ()
    """What is known of the numbers of products, the first that fits counts."""
    platforms: Pattern | None = None
    """Regular expression for what metadata and names of files call its platforms; None: they never tell it."""
    known_by_names: bool = True
    """Whether a file whose bands have the names of its own can be taken for it; else only its platform tells."""
    known_by_count: bool = False
    """Whether a file of as many bands without names can be of no other sensor."""
    published_norm: PublishedNorm | None = None
    """How the published weights were shown it; None: they never were."""
    credit: str = ""
    """What must stand beside anything made from its scenes; `{years}` are those of their acquisition."""

    @model_validator(mode="after")
    def _is_whole(self) -> "Sensor":
        sensor_checks.check(self)
        return self

    @property
    def band_count(self) -> int:
        """How many bands its chips have at most."""
        return len(self.bands) or CUBE_BANDS

    @property
    def tags(self) -> tuple[str, ...]:
        """All of EarthDial's tags of it, each once."""
        some = (self.tag, self.rgb_tag, self.dates_tag, self.rgb_dates_tag)
        return tuple(dict.fromkeys(tag for tag in some if tag))

    def band(self, name: str) -> Band:
        """The band called `name`.

        Raises:
            KeyError: no band of the table is; those of a hyperspectral sensor are in its files alone.
        """
        found = next((band for band in self.bands if band.name == name), None)
        if found is None:
            raise KeyError(f"{self.name} has no band '{name}' in the table of sensors")
        return found

    def unit_of(self, name: str) -> str:
        """Unit of the band called `name`."""
        return self.unit if self.cube else self.band(name).unit or self.unit

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

    @cached_property
    def file_order(self) -> list[str]:
        """The bands of a file that names none: those in the sensor's unit, of a radar the first polarisations."""
        others = {band for pair in self.polarisations[1:] for band in pair}
        return [band.name for band in self.bands if band.unit is None and band.name not in others]

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

    def composite_of(self, present: Sequence[str]) -> tuple[str, ...]:
        """Bands of a chip that are shown first: true colour, both polarisations, or the first bands there are.

        Args:
            present: bands of the chip.
        """
        if self.rgb or not self.polarisations:
            return self.rgb or tuple(self.band_names[:3])
        return self.pair_of(present) or tuple(name for name in self.band_names if name in present)[:2]

    def pair_of(self, present: Sequence[str]) -> tuple[str, str] | None:
        """The first pair of polarisations that a chip with the bands `present` has both of."""
        return next((pair for pair in self.polarisations if set(pair) <= set(present)), None)

    def ratio_of(self, present: Sequence[str]) -> str | None:
        """Name of the plane that shows the ratio of the polarisations, such as VV-VH; None where there are no two."""
        pair = self.pair_of(present)
        return "-".join(pair) if pair else None

    @property
    def plane_names(self) -> list[str]:
        """All bands, and the ratios of the polarisations where there are any."""
        return [*self.band_names, *("-".join(pair) for pair in self.polarisations)]


WILL_DO_FOR = {"nir": "nir08"}
"""Common name -> a substitute where a sensor has no such band: Landsat has the narrow near infrared only."""
TABLE = Path(__file__).with_name("sensors.toml")


def read_table(path: Path = TABLE) -> dict[str, Sensor]:
    """The sensors of a table, by name.

    Raises:
        ParamsError: it is no TOML, an entry has a field that is not known, lacks one or holds a wrong value, or two
            entries are at odds.
    """
    try:
        entries: dict[str, dict[str, Any]] = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ParamsError(f"{path.name} is not valid TOML: {error}") from error
    sensors = {}
    for name, entry in entries.items():
        try:
            sensors[name] = TypeAdapter(Sensor).validate_python({"name": name, "bands": (), **entry})
        except (ValidationError, TypeError) as error:
            raise ParamsError(f"{path.name}: sensor '{name}': {sensor_checks.explain(error)}") from error
    sensor_checks.check_table(sensors, path.name)
    return sensors


def _at_start() -> dict[str, Sensor]:
    try:
        return read_table()
    except ParamsError as error:
        # Read while the program is still being loaded: nobody is there yet who shows an error as a sentence.
        sys.exit(f"error: {error}")


SENSORS = _at_start()
"""The measured sensors, by the name used in params.yaml, dvc.yaml and every table."""
