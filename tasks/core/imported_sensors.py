"""Sensors of data sets made by others, whose pixels are display values and not measurements.

The sensors of `tasks.core.sensors` are calibrated: reflectance or dB. Published instruction sets hold 8-bit
renderings of the same instruments, so their bands may share names but never statistics. Each rendering is
therefore a sensor of its own here. No scene is searched for them; they only ever come in through an import.
"""

from tasks.core.errors import TrainingError
from tasks.core.sensors import SENSORS, Band, Sensor

DISPLAY = "dn8"
"""Unit of 8-bit display values, 0 to 255."""


Wavelengths = dict[str, float | None]
_COLOURS: Wavelengths = {"R": 0.66, "G": 0.56, "B": 0.48}
"""Nominal centres of aerial and commercial cameras, which the published sets do not state."""
_OLI: Wavelengths = {
    "B1": 0.443, "B2": 0.482, "B3": 0.561, "B4": 0.655, "B5": 0.865, "B6": 1.609, "B7": 2.201, "B9": 1.373,
}  # fmt: skip
"""The set of urban heat islands does not name its eight bands; eight bands of 30 m are OLI's, in their order."""
_MAG1C: Wavelengths = {"R": 0.64, "G": 0.55, "B": 0.46, "MAG1C": 2.3}
"""AVIRIS-NG; the methane enhancement is retrieved from the absorption around 2.3 micrometres."""


def _sensor(name: str, gsd: float, bands: Wavelengths, rgb: str, tags: str, unit: str = DISPLAY) -> Sensor:
    """`rgb`: bands of the true-colour composite, or none; `tags`: of all bands, and of true colour if there is one."""
    made = tuple(Band(band, (), wavelength, max(1, round(gsd))) for band, wavelength in bands.items())
    red, green, blue = rgb.split() or ("", "", "")
    tag, *rgb_tag = tags.split()
    return Sensor(
        name=name,
        constellation="",
        gsd=gsd,
        window_cells=1,
        bands=made,
        rgb=(red, green, blue) if rgb else None,
        unit=unit,
        mask=None,
        mask_aliases=(),
        tag=tag,
        rgb_tag=rgb_tag[0] if rgb_tag else None,
    )


IMPORTED = {
    sensor.name: sensor
    for sensor in (
        _sensor("s2-rgb8", 10, {"B04": 0.665, "B03": 0.560, "B02": 0.490}, "B04 B03 B02", "[s2_rgb_10] [s2_rgb_10]"),
        _sensor("l8-rgb8", 30, {"B4": 0.655, "B3": 0.561, "B2": 0.482}, "B4 B3 B2", "[l8_rgb_30] [l8_rgb_30]"),
        _sensor("hr-rgb8", 0.5, _COLOURS, "R G B", "[hr_rgb_0.5] [hr_rgb_0.5]"),
        _sensor("hr-rgbi8", 0.5, {**_COLOURS, "NIR": 0.83}, "R G B", "[hr_rgbi_0.5] [hr_rgb_0.5]"),
        _sensor("aviris-mag1c", 3, _MAG1C, "R G B", "[hyper_rgb_3]", "dn8 and ppm m"),
        _sensor("l8-uhi", 30, _OLI, "B4 B3 B2", "[l8_ms_30]", "dn"),
        _sensor("s1-vh8", 10, {"VH": None}, "", "[s1_vh_10]"),
        _sensor("sar8", 1, {"AMP": None}, "", "[s1_vh_1]"),
        _sensor("thermal8", 1, {"TIR": 10.5}, "", "[Inf_thermal_1]"),
    )
}
"""By name."""


def known_sensor(name: str) -> Sensor:
    """A sensor of the pipeline or of an import.

    Raises:
        TrainingError: there is none of that name.
    """
    if name in SENSORS:
        return SENSORS[name]
    if name in IMPORTED:
        return IMPORTED[name]
    raise TrainingError(f"there is no sensor '{name}'; known: {', '.join([*SENSORS, *IMPORTED])}")
