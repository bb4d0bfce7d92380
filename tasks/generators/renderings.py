"""Chips as a vision model is shown them: three planes, stretched, of a size that its encoder was made for.

Which bands are shown follows from their roles in the registry of sensors: true colour; false colour of near infrared,
red and green, where plants are red; of a radar both polarisations and their ratio. The same pixels give the same
picture, and the stretch is part of its description.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.earth.composites import FALSE_COLOUR
from tasks.earth.pictures import QUANTILES, stretch_limits, stretched
from tasks.earth.sensors import Sensor
from tasks.generators.asks import Picture

Plane = NDArray[np.float32]


def renderings(planes: Mapping[str, Plane], sensor: Sensor, most: int, side: int) -> list[Picture]:
    """What is shown of a chip, the plainest first: true colour, then false colour; of a radar one composite.

    Args:
        planes: its bands by name, (H, W) each, calibrated, NaN where there is no data.
        sensor: that took it.
        most: pictures at most.
        side: pixels that a picture is wide and high.
    """
    return [_picture(title, shown, side) for title, shown in composites(planes, sensor)[:most]]


def composites(planes: Mapping[str, Plane], sensor: Sensor) -> list[tuple[str, dict[str, Plane]]]:
    """(title, planes by name) of each composite that the chip's bands allow: three planes, or the one there is."""
    pair = sensor.pair_of(list(planes))
    if pair is not None:
        first, second = (planes[name] for name in pair)
        with np.errstate(invalid="ignore"):
            ratio = first - second  # of powers, which in dB is a difference
        return [("radar", {pair[0]: first, pair[1]: second, "-".join(pair): ratio})]
    false_colour = tuple(sensor.nearest(name) for name in FALSE_COLOUR)
    out = []
    for title, bands in (("true colour", sensor.rgb), ("false colour", false_colour)):
        if bands and all(name in planes for name in bands):
            out.append((title, {str(name): planes[str(name)] for name in bands}))
    if not out:
        shown = [name for name in sensor.composite_of(list(planes)) if name in planes] or list(planes)
        out = [("composite", {name: planes[name] for name in shown[:3]})] if len(shown) >= 3 else []
        out = out or [("one band", {shown[0]: planes[shown[0]]})]
    return out


def _picture(title: str, shown: Mapping[str, Plane], side: int) -> Picture:
    stack = [np.rint(stretched(plane) * 255).astype(np.uint8) for plane in shown.values()]
    levels = np.stack(stack * 3 if len(stack) == 1 else stack, axis=-1)
    height, width = levels.shape[:2]
    limits = {name: stretch_limits(plane) for name, plane in shown.items()}
    said = ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in limits.items())
    low, high = (round(100 * bound) for bound in QUANTILES)
    return Picture(
        levels.tobytes(),
        height,
        width,
        side,
        f"{title} ({said}; {low} to {high} % of valid pixels; {width} x {height} to {side} x {side}, bicubic)",
    )
