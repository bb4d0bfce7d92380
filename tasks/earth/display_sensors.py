"""The registry of sensors, second half: renderings, whose pixels are display values and not measurements.

The sensors of `tasks.earth.sensors` are calibrated: reflectance or dB. Published instruction sets hold 8-bit
renderings of the same instruments, so their bands may share names but never statistics. Each rendering is
therefore a sensor of its own here. No scene is searched for them; they only ever come in through an import.
"""

from tasks.core.errors import TrainingError
from tasks.earth.sensors import C_BAND, DISPLAY, PUBLISHED_TAGS, SENSORS, Band, Sensor

_RED_GREEN_BLUE = (Band("R", "red", 0.66, 1), Band("G", "green", 0.56, 1), Band("B", "blue", 0.48, 1))
"""Nominal centres of aerial and commercial cameras, which the published sets do not state."""
_OLI = (
    Band("B1", "coastal", 0.443, 30, ("L1",)),
    Band("B2", "blue", 0.482, 30, ("L2",)),
    Band("B3", "green", 0.561, 30, ("L3",)),
    Band("B4", "red", 0.655, 30, ("L4",)),
    Band("B5", "nir08", 0.865, 30, ("L5",)),
    Band("B6", "swir16", 1.609, 30, ("L6",)),
    Band("B7", "swir22", 2.201, 30, ("L7",)),
    Band("B9", "cirrus", 1.373, 30, ("L8",)),
)
"""The set of urban heat islands numbers its eight layers; eight bands of 30 m are OLI's, in their order."""
_AVIRIS_MAG1C = (
    Band("R", "red", 0.64, 3, ("TOA_AVIRIS_640nm",)),
    Band("G", "green", 0.55, 3, ("TOA_AVIRIS_550nm",)),
    Band("B", "blue", 0.46, 3, ("TOA_AVIRIS_460nm",)),
    Band("MAG1C", "mag1c", 2.3, 3),
)
"""AVIRIS-NG; the methane enhancement is retrieved from the absorption around 2.3 micrometres."""


def _true_colour(sensor: Sensor) -> tuple[Band, ...]:
    """Red, green and blue of a measured sensor, as its 8-bit rendering holds them."""
    return tuple(sensor.band(name) for name in sensor.rgb or ())


PICTURE = Sensor(
    "hr-rgb8", 0.5, _RED_GREEN_BLUE, DISPLAY, "[hr_rgb_0.5]", rgb_tag="[hr_rgb_0.5]",
    dates_tag="[hr_rgb_temp_0.5]", published_norm="imagenet",
)  # fmt: skip
"""High resolution in true colour: also what a picture is taken for of which nothing else is known."""
IMPORTED = {
    sensor.name: sensor
    for sensor in (
        Sensor(
            "s2-rgb8", 10, _true_colour(SENSORS["sentinel-2"]), DISPLAY, "[s2_rgb_10]", rgb_tag="[s2_rgb_10]",
            published_norm="imagenet",
        ),
        Sensor(
            "l8-rgb8", 30, _true_colour(SENSORS["landsat"]), DISPLAY, "[l8_rgb_30]", rgb_tag="[l8_rgb_30]",
            published_norm="imagenet",
        ),
        PICTURE,
        Sensor(
            "hr-rgbi8", 0.5, (*_RED_GREEN_BLUE, Band("NIR", "nir", 0.83, 1)), DISPLAY, "[hr_rgbi_0.5]",
            rgb_tag="[hr_rgb_0.5]", published_norm="rgbm_norm",
        ),
        Sensor("aviris-mag1c", 3, _AVIRIS_MAG1C, "dn8 and ppm m", "[hyper_rgb_3]", published_norm="rgbm_norm"),
        Sensor("l8-uhi", 30, _OLI, "dn", "[l8_ms_30]", published_norm="l8_norm"),
        Sensor("s1-vh8", 10, (Band("VH", "vh", C_BAND, 10),), DISPLAY, "[s1_vh_10]", published_norm="s1"),
        Sensor("sar8", 1, (Band("AMP", "amplitude", C_BAND, 1),), DISPLAY, "[s1_vh_1]", published_norm="s1"),
        Sensor("thermal8", 1, (Band("TIR", "lwir", 10.5, 1),), DISPLAY, "[Inf_thermal_1]", published_norm="s1"),
    )
}  # fmt: skip
"""By name."""
PICTURES = {name: sensor for name, sensor in IMPORTED.items() if sensor.unit == DISPLAY and len(sensor.bands) == 3}
"""The renderings that are ordinary pictures, red, green and blue of 8 bits, by name."""
ALL = {**SENSORS, **IMPORTED}
"""Measured sensors and renderings, by name."""
_OF_SENSORS = [tag for sensor in ALL.values() for tag in sensor.tags]
NEW_TAGS = tuple(dict.fromkeys(tag for tag in _OF_SENSORS if tag not in PUBLISHED_TAGS))
"""Tags of our own, of sensors that EarthDial does not know."""
SENSOR_TAGS = PUBLISHED_TAGS + NEW_TAGS
DATES_TAGS = {
    alone: several
    for sensor in ALL.values()
    for alone, several in ((sensor.tag, sensor.dates_tag), (sensor.rgb_tag, sensor.rgb_dates_tag))
    if alone and several
}
"""Tag of an image alone -> tag of several dates that are shown so."""
RENDERED = {tag: sensor for sensor in reversed(IMPORTED.values()) for tag in sensor.tags}
"""Tag -> the sensor whose renderings carry it; the first of them where several do."""
TRUE_COLOURS = tuple(dict.fromkeys([*(sensor.rgb for sensor in ALL.values() if sensor.rgb), ("red", "green", "blue")]))
"""Red, green and blue by every name they have in chips and data sets."""
POLARISATIONS = tuple(dict.fromkeys(pair for sensor in ALL.values() for pair in sensor.polarisations))
"""Pairs of radar bands that are shown together."""


def picture_of(sensor: Sensor) -> Sensor | None:
    """The 8-bit rendering of a measured sensor in true colour; None where there is none."""
    return next((one for one in PICTURES.values() if one.rgb == sensor.rgb), None)


def known_sensor(name: str) -> Sensor:
    """A sensor of the pipeline or of an import.

    Raises:
        TrainingError: no sensor has that name.
    """
    if name not in ALL:
        raise TrainingError(f"there is no sensor '{name}'; known: {', '.join(ALL)}")
    return ALL[name]
