"""What people are shown of an image: three of its planes as red, green and blue, or one as grey.

Which there are follows from the roles of bands in the registry of sensors, never from their names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.earth.sensors import Sensor

FALSE_COLOUR = ("nir", "red", "green")
"""Common names of what is shown as red, green and blue, so that plants are red."""


@dataclass(frozen=True)
class Composite:
    """One way to show an image."""

    name: str
    """For people, and to ask for it by."""
    planes: tuple[str, ...]
    """Three bands, the last of a radar the ratio of the other two; or one band."""


def composites_of(sensor: Sensor, present: Sequence[str]) -> list[Composite]:
    """All ways to show an image, the plainest first: true colour, then infrared, radar; then each band alone.

    Args:
        sensor: that took it.
        present: its bands.
    """
    pair = sensor.pair_of(present)
    wanted = {
        "true colour": sensor.rgb,
        "false colour": tuple(filter(None, map(sensor.nearest, FALSE_COLOUR))),
        "short-wave infrared": sensor.false_colour,
        "radar": (*pair, "-".join(pair)) if pair else None,
    }
    shown = {*present, sensor.ratio_of(present)}
    coloured = [
        Composite(name, planes)
        for name, planes in wanted.items()
        if planes is not None and len(planes) == 3 and shown.issuperset(planes)
    ]
    return [*coloured, *(Composite(band, (band,)) for band in present)]
