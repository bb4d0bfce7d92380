"""Which bands of a sensor an image shows, in which order, and what each is called then. No torch
here.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import TrainingError
from tasks.earth.sensors import Sensor

Modality = Literal["rgb", "ms", "sar"]
MODALITIES: tuple[Modality, ...] = ("rgb", "ms", "sar")


def modality_tags(sensor: Sensor) -> dict[Modality, str | None]:
    """EarthDial's tag of a sensor by the modality it is shown in; None where it cannot be."""
    return {
        "rgb": sensor.rgb_tag,
        "ms": sensor.tag if sensor.rgb else None,
        "sar": None if sensor.rgb else sensor.tag,
    }


def modality_tag(sensor: Sensor, modality: Modality) -> str:
    """EarthDial's tag of a sensor shown in a modality.

    Raises:
        TrainingError: the sensor has no such modality.
    """
    tag = modality_tags(sensor)
    chosen = tag[modality]
    if chosen is None:
        raise TrainingError(
            f"{sensor.name} cannot be shown as {modality}; it allows "
            f"{', '.join(name for name, value in tag.items() if value)}. "
            "Change its modality under `mixture` in params.yaml"
        )
    return chosen


def bands_to_load(sensor: Sensor, modality: Modality, present: Sequence[str]) -> list[str]:
    """Bands of a chip in the order they are shown: true colour first, then the others as the sensor orders
    them.

    Args:
        sensor: the chip's.
        modality: what is shown of it.
        present: bands of the chip; optional ones may be absent.

    Raises:
        TrainingError: the chip lacks a band of the true-colour composite, or a polarisation.
    """
    first = list(sensor.composite_of(present))
    missing = [band for band in first if band not in present]
    if missing:
        raise TrainingError(f"a chip of {sensor.name} has no {', '.join(missing)}, only {', '.join(present)}")
    if modality == "ms":
        return first + [band for band in sensor.band_names if band in present and band not in first]
    return first


def planes(sensor: Sensor, bands: Sequence[str]) -> list[tuple[str, float]]:
    """(name, wavelength in micrometres) of the planes shown for `bands`; radar with both polarisations gets their
    ratio as its third.
    """
    shown = [(band, sensor.band(band).wavelength) for band in bands]
    pair = sensor.pair_of(bands)
    return [*shown, ("-".join(pair), sensor.band(pair[0]).wavelength)] if pair else shown


def with_ratio(sensor: Sensor, pixels: NDArray[np.float32], bands: Sequence[str]) -> NDArray[np.float32]:
    """(bands, H, W) with the ratio as last plane if the sensor is a radar with both polarisations, else as it
    is.
    """
    pair = sensor.pair_of(bands)
    if pair is None:
        return pixels
    first, second = (pixels[list(bands).index(name)] for name in pair)
    with np.errstate(invalid="ignore"):  # of two planes without power, infinite in dB, there is no ratio: NaN, no data
        ratio = first - second  # of powers, which in dB is a difference
    return np.concatenate([pixels, ratio[None]])
