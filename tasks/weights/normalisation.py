"""The statistics that the published weights were trained with, in the units of our sensors.

From the reference's code (spec, section 2), its mistakes included: a network answers what it was trained on. Radar
pictures of 8 bit, scaled to 0 to 1, were normalised with statistics of dB; the same is done to them here. Planes that
no published loader normalises (a ratio of polarisations, Sentinel-2's cirrus band) have no entry, and are refused by
name.
"""

from collections.abc import Mapping

from tasks.core.imported_sensors import IMPORTED
from tasks.core.sensors import SENSORS

Statistics = dict[str, dict[str, list[float]]]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""Of red, green, blue between 0 and 1."""
SENTINEL_2 = {
    "mean": (756.4, 889.6, 1151.7, 1307.6, 1637.6, 2212.6, 2442.0, 2538.9, 2602.9, 2666.8, 2388.8, 1821.5),
    "std": (1111.4, 1159.1, 1188.1, 1375.2, 1376.6, 1358.6, 1418.4, 1476.4, 1439.9, 1582.1, 1460.7, 1352.2),
}
"""`s2_l2a`: of B01 to B12 without B10, in ten-thousandths of reflectance."""
LANDSAT = {
    "mean": (1685.92, 2576.61, 3412.41, 4061.92, 4908.37, 4252.26, 4252.26, 4252.26),
    "std": (359.73, 418.77, 568.26, 626.04, 978.89, 866.68, 866.68, 866.68),
}
"""`l8_norm`, of eight bands; the last three are copies of one another in the reference."""
RADAR = (-20.26, 5.91)
"""`s1`: of VH in dB."""
WHITE = 255.0
"""Largest display value."""
PICTURES = ("s2-rgb8", "l8-rgb8", "hr-rgb8")
UNSCALED = ("hr-rgbi8", "aviris-mag1c")
"""Divided by 255 and no more (`tree_norm`, `rgbm_norm`)."""
RADAR_PICTURES = ("s1-vh8", "sar8", "thermal8")


def published_statistics() -> Statistics:
    """Mean and standard deviation of each plane, by sensor, as a `normalisation.json` holds them."""
    out: Statistics = {}
    bands = [name for name in SENSORS["sentinel-2"].band_names if name != "B10"]
    out["sentinel-2"] = _pairs(bands, SENTINEL_2, 1e-4)
    out["sentinel-1"] = {"VH": list(RADAR)}
    for name in PICTURES:
        out[name] = _pairs(list(IMPORTED[name].rgb or ()), IMAGENET, WHITE)
    out["l8-uhi"] = _pairs(IMPORTED["l8-uhi"].band_names, LANDSAT, 1.0)
    for name in UNSCALED:
        out[name] = {band: [0.0, WHITE] for band in IMPORTED[name].band_names}
    for name in RADAR_PICTURES:
        out[name] = {band: [value * WHITE for value in RADAR] for band in IMPORTED[name].band_names}
    return out


def _pairs(bands: list[str], told: Mapping[str, tuple[float, ...]], scale: float) -> dict[str, list[float]]:
    pairs = zip(bands, told["mean"], told["std"], strict=True)
    return {band: [round(mean * scale, 6), round(std * scale, 6)] for band, mean, std in pairs}
