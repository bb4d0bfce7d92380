"""What an entry of `sensors.toml` is made of: bands, generations of an instrument, products and their numbers."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

CLOSED = ConfigDict(extra="forbid")
NANOMETRES = (100.0, 20_000.0)
"""No instrument measures at 100 to 20,000 micrometres, between thermal infrared and radar: such a number is in nm."""


def _is_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{text}' is not a regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_is_pattern)]
Tag = Annotated[str, Field(pattern=r"^\[[\w.-]+\]$")]
"""A tag of a prompt, such as [s2_ms_10]."""
Metres = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=CLOSED)
class Band:
    """One band of a sensor."""

    name: str
    """Name used in chips, such as B04 or VV."""
    common_name: str
    """STAC's `eo:common_name`, or Earth Search's asset key where several bands share that. Both composites and the
    rules of land cover ask for bands by it."""
    wavelength: float
    """Centre in micrometres."""
    gsd: Metres
    """Native ground sampling distance in metres."""
    other_names: tuple[str, ...] = ()
    """What catalogs (Planetary Computer, CDSE, USGS) and published data sets call it besides."""
    required: bool = True
    """Whether a scene without it is quarantined. Sentinel-2's cirrus band is absent from L2A by design."""
    synonyms: tuple[str, ...] = ()
    """Common names that catalogs give it and that other bands may share, such as `rededge`."""
    absent_from: Pattern | None = None
    """Regular expression for platforms that lack it: their scenes are whole without."""
    unit: str | None = None
    """Where it is another than the sensor's: kelvin of a thermal band."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Asset keys under which catalogs offer it, the first that is there counts."""
        return (self.common_name, self.name, *self.other_names)

    @field_validator("wavelength")
    @classmethod
    def _is_in_micrometres(cls, value: float) -> float:
        if value < 0 or NANOMETRES[0] <= value <= NANOMETRES[1]:
            raise ValueError(f"{value:g} is no wavelength in micrometres; 0.665 is red, 665 nm")
        return value


@dataclass(frozen=True, config=CLOSED)
class Generation:
    """Platforms of a sensor whose instrument numbers its bands otherwise."""

    platforms: Pattern
    """Regular expression for the platform, or for the id where an item names none."""
    names: dict[str, tuple[str, ...]]
    """Band -> its names in their files. A band that is not here has only its common name."""


@dataclass(frozen=True, config=CLOSED)
class Product:
    """What is known of the numbers of a product where neither file, item nor collection says it."""

    ids: Pattern
    """Regular expression that finds the product in an item's id, product name or type, collection or asset key."""
    unit: str | None = None
    """Of the bands it holds for; None: of those in the sensor's unit."""
    scale: float = 1.0
    offset: float = 0.0
    unit_of_numbers: str | None = None
    """What the scaled numbers are, of radar: power, amplitude or dB."""
    annotation: Literal["safe"] | None = None
    """Where the calibration is that turns its numbers into the unit: the annotation of Sentinel-1's SAFE."""
