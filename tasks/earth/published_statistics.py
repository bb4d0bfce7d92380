"""The statistics that the published weights were trained with, in the units of our sensors.

From the reference's code (spec, section 2), its mistakes included: a network answers what it was trained on. Radar
pictures of 8 bit, scaled to 0 to 1, were normalised with statistics of dB; the same is done to them here. Planes that
no published loader normalises (a ratio of polarisations, Sentinel-2's cirrus band) have no entry, and are refused by
name.
"""

from collections.abc import Mapping, Sequence

from tasks.earth.display_sensors import ALL
from tasks.earth.sensors import DISPLAY, Sensor

Statistics = dict[str, dict[str, list[float]]]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""Of red, green, blue between 0 and 1."""
S2_L2A = {
    "mean": (756.4, 889.6, 1151.7, 1307.6, 1637.6, 2212.6, 2442.0, 2538.9, 2602.9, 2666.8, 2388.8, 1821.5),
    "std": (1111.4, 1159.1, 1188.1, 1375.2, 1376.6, 1358.6, 1418.4, 1476.4, 1439.9, 1582.1, 1460.7, 1352.2),
}
"""Of the bands that every product has, in ten-thousandths of reflectance."""
L8_NORM = {
    "mean": (1685.92, 2576.61, 3412.41, 4061.92, 4908.37, 4252.26, 4252.26, 4252.26),
    "std": (359.73, 418.77, 568.26, 626.04, 978.89, 866.68, 866.68, 866.68),
}
"""Of eight bands; the last three are copies of one another in the reference."""
S1 = (-20.26, 5.91)
"""Of the cross-polarised band in dB."""
WHITE = 255.0
"""Largest display value."""


def published_statistics() -> Statistics:
    """Mean and standard deviation of each plane, by sensor, as a `normalisation.json` holds them."""
    return {name: _of(sensor) for name, sensor in ALL.items() if sensor.published_norm is not None}


def _of(sensor: Sensor) -> dict[str, list[float]]:
    """Statistics of one sensor, as the normaliser of the reference that its entry names has them."""
    match sensor.published_norm:
        case "imagenet":
            return _pairs(sensor.rgb or (), IMAGENET, WHITE)
        case "s2_l2a":
            return _pairs(sensor.required_bands, S2_L2A, 1e-4)
        case "l8_norm":
            return _pairs(sensor.band_names, L8_NORM, 1.0)
        case "s1" if sensor.unit == DISPLAY:
            return {band: [value * WHITE for value in S1] for band in sensor.band_names}
        case "s1":
            return {band: list(S1) for _, band in sensor.polarisations[:1]}
        case _:  # `rgbm_norm`, and `tree_norm` alike: divided by 255 and no more
            return {band: [0.0, WHITE] for band in sensor.band_names}


def _pairs(bands: Sequence[str], published: Mapping[str, tuple[float, ...]], scale: float) -> dict[str, list[float]]:
    pairs = zip(bands, published["mean"], published["std"], strict=True)
    return {band: [round(mean * scale, 6), round(std * scale, 6)] for band, mean, std in pairs}
