"""Bands of a hyperspectral cube, from the file itself: how many there are, and where in the spectrum each lies.

EnMAP, PRISMA, EMIT and aerial spectrometers come as one file of some 200 bands, whose centres shift a little from scene
to scene with the instrument's calibration. So a band is named by its place in the file, the same in every scene, and
its wavelength is read: from the item, or from what GDAL tells of the file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rasterio.io import DatasetReader

from tasks.core.errors import SceneError

SPECTRUM = (0.2, 15.0)
"""Micrometres that a band can lie at; PRISMA writes 0 for bands that hold nothing."""
NANOMETRES = 100.0
"""A centre above it that names no unit is in nanometres, one below in micrometres: no sensor lies between."""
COMMON = {
    "coastal": 0.443,
    "blue": 0.490,
    "green": 0.560,
    "red": 0.665,
    "rededge1": 0.704,
    "rededge2": 0.740,
    "rededge3": 0.783,
    "nir": 0.833,
    "nir08": 0.865,
    "nir09": 0.945,
    "cirrus": 1.374,
    "swir16": 1.610,
    "swir22": 2.190,
}
"""Centres, micrometres, by which composites and the rules of land cover find their bands."""
NEAR = 0.012
"""Micrometres that a band may lie off such a centre: the spacing of these instruments is 5 to 12 nm."""
_WAVELENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(nm|nanomet\w*|um|µm|μm|micromet\w*)\b", re.IGNORECASE)


@dataclass(frozen=True)
class SpectralBand:
    """One band of a cube."""

    index: int
    """In the file, from 1."""
    name: str
    """`B001`: by the place in the file, which is the same in every scene."""
    wavelength: float
    """Centre in micrometres."""
    width: float | None = None
    """Full width at half of the maximum, micrometres."""
    common_name: str | None = None
    """Such as red, of the nearest band to its centre."""


def spectral_bands(
    file: DatasetReader, described: Sequence[Mapping[str, Any]] = (), what: str = ""
) -> tuple[SpectralBand, ...]:
    """The bands of a cube that hold something, in ascending order of wavelength.

    Where two detectors overlap, as EnMAP's at 0.90 to 1.00 micrometres, both are kept: they are two measurements.
    Bands that the file or the item calls bad, or whose wavelength is none, are left out; one that has no data in one
    scene alone is a band of no data there.

    Args:
        file: an open raster of n bands.
        described: `bands` or `eo:bands` of the asset, n entries or none.
        what: scene and asset, for errors.

    Raises:
        SceneError: the item describes another number of bands, or neither it nor the file tells the wavelengths.
    """
    if described and len(described) != file.count:
        raise SceneError("bands", f"{what} has {file.count} bands, and its item describes {len(described)}")
    centres = _of_item(described) or _of_file(file)
    if centres is None:
        raise SceneError(
            "no-wavelengths",
            f"{what} has {file.count} bands, and neither its item (`center_wavelength` of `bands` or `eo:bands`) nor "
            "the file (band metadata, descriptions, an ENVI header) says where in the spectrum they lie",
        )
    good = _good(file, described)
    held = [index for index in range(file.count) if good[index] and SPECTRUM[0] <= centres[index][0] <= SPECTRUM[1]]
    if not held:
        raise SceneError("no-wavelengths", f"{what}: all of its {file.count} bands are called bad, or lie at 0")
    common = _common({index: centres[index][0] for index in held})
    digits = max(3, len(str(file.count)))
    return tuple(
        SpectralBand(index + 1, f"B{index + 1:0{digits}d}", *centres[index], common.get(index))
        for index in sorted(held, key=lambda index: (centres[index][0], index))
    )


Centres = list[tuple[float, float | None]]
"""(centre, width) of each band, micrometres."""


def _of_item(described: Sequence[Mapping[str, Any]]) -> Centres | None:
    """From the EO extension, which has micrometres, under either of its spellings."""
    found: Centres = []
    for band in described:
        centre = band.get("eo:center_wavelength", band.get("center_wavelength"))
        if not isinstance(centre, int | float):
            return None
        width = band.get("eo:full_width_half_max", band.get("full_width_half_max"))
        # Items exist that write nanometres all the same.
        found.append((_micrometres(centre, None), _micrometres(width, None) if width else None))
    return found or None


def _of_file(file: DatasetReader) -> Centres | None:
    """From a band's own metadata, as of an ENVI header; GDAL's IMAGERY metadata, rounded to 1 nm; its description."""
    found: Centres = []
    for index in range(1, file.count + 1):
        imagery, own = file.tags(index, ns="IMAGERY"), file.tags(index)
        text = _WAVELENGTH.search(file.descriptions[index - 1] or "")
        if "wavelength" in own:
            width = imagery.get("FWHM_UM")
            centre = _micrometres(float(own["wavelength"]), own.get("wavelength_units"))
            found.append((centre, float(width) if width else None))
        elif "CENTRAL_WAVELENGTH_UM" in imagery:
            width = imagery.get("FWHM_UM")
            found.append((float(imagery["CENTRAL_WAVELENGTH_UM"]), float(width) if width else None))
        elif text:
            found.append((_micrometres(float(text[1]), text[2]), None))
        else:
            return None
    return found


def _micrometres(value: float, units: str | None) -> float:
    in_nanometres = units.lower().startswith("n") if units and units.lower() != "unknown" else value > NANOMETRES
    return round(value / 1000 if in_nanometres else float(value), 6)


def _good(file: DatasetReader, described: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which bands neither the item nor an ENVI header's bad band list calls bad."""
    listed = re.findall(r"[01](?:\.0*)?", file.tags(ns="ENVI").get("bbl", ""))
    good = [value.startswith("1") for value in listed] if len(listed) == file.count else [True] * file.count
    for index, band in enumerate(described):
        good[index] &= not band.get("bad", band.get("enmap:bad", False))
    return good


def _common(centres: Mapping[int, float]) -> dict[int, str]:
    """Common names of the bands nearest to their centres."""
    found: dict[int, str] = {}
    for name, centre in COMMON.items():
        nearest = min(centres, key=lambda index: (abs(centres[index] - centre), index))
        if abs(centres[nearest] - centre) <= NEAR and nearest not in found:
            found[nearest] = name
    return found
