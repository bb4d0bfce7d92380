"""What the pixels of a made-up chip would measure, for the quantities that its sensor can tell."""

import random

from tasks.earth.sensors import Sensor
from tasks.earth.spectral_rules import bands_of


def measured(draw: random.Random, sensor: Sensor) -> dict[str, dict[str, float]]:
    """What the sensor can tell of its pixels, as `ChipFacts.pixels` has it."""

    def around(mean: float, spread: float, share: float) -> dict[str, float]:
        values = {"mean": mean, "low": mean - spread, "high": mean + spread, "share": share}
        return {name: round(value, 4) for name, value in values.items()}

    found = {}
    if bands_of(sensor):
        green = draw.uniform(0.1, 0.75)
        found["ndvi"] = around(green, 0.12, min(max((green - 0.15) / 0.5, 0.0), 1.0))
        wet = draw.uniform(-0.6, 0.4)
        found["ndwi"] = around(wet, 0.2, min(max((wet + 0.4) / 0.8, 0.0), 1.0))
        found["nbr"] = around(draw.uniform(0.0, 0.6), 0.2, draw.choice((0.0, 0.0, 0.3)))
    for name in sensor.polarisations[0] if sensor.polarisations else ():
        found[name.lower()] = around(draw.uniform(-22.0, -5.0), 3.0, 0.0)
    if any(sensor.unit_of(band) == "kelvin" for band in sensor.band_names):
        found["temperature"] = around(draw.uniform(275.0, 318.0), 3.0, 0.0)
    return found
