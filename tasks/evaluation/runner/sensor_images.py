"""Images of benchmarks as the sensors that models know: which sensor, which bands, and what their numbers are.

A benchmark's image says little of itself: a tag, and names of bands where it is more than a picture. The bands count
before the tag: the published prompt of So2Sat has the tag of Sentinel-1 over images of Sentinel-2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import TrainingError, UnaskableError
from tasks.earth.display_sensors import RENDERED
from tasks.earth.pictures import is_grey, stretched
from tasks.earth.radiometry import RadiometryError, Stored, check_plausible, to_physical
from tasks.earth.sensors import DISPLAY, SENSORS, Sensor
from tasks.evaluation.datasets import registry
from tasks.evaluation.datasets.images import ImageDecodeError, decode
from tasks.evaluation.datasets.samples import BenchmarkImageRef
from tasks.vlm.bands import Modality, bands_to_load


@dataclass(frozen=True)
class Kind:
    """What an image is, known without its pixels."""

    sensor: Sensor
    stored: tuple[str, ...]
    """The sensor's name of each plane, in storage order."""
    scale: float = 1.0
    """A stored number times this is in the sensor's unit."""

    @property
    def bands(self) -> list[str]:
        """Bands in the order they are shown: true colour first."""
        if self.sensor.rgb is None and not set(self.sensor.composite_of(self.stored)) <= set(self.stored):
            return list(self.stored)
        rgb = self.sensor.rgb is not None and set(self.stored) <= set(self.sensor.rgb)
        modality: Modality = "sar" if self.sensor.rgb is None else "rgb" if rgb else "ms"
        return bands_to_load(self.sensor, modality, self.stored)


@dataclass(frozen=True)
class CalibratedImage:
    """Calibrated planes of one image."""

    kind: Kind
    planes: Mapping[str, NDArray[np.float32]]
    """(H, W) by band, NaN where there is no data."""

    def true_colour(self) -> NDArray[np.uint8]:
        """A picture for models that take no bands, (H, W, 3): display values as they are, measurements stretched.

        Radar is shown as its polarisations and their mean, another single band as grey.
        """
        shown = self.kind.sensor.rgb or tuple(self.planes)[:2]
        planes = [self.planes[name] for name in shown]
        while len(planes) < 3:
            planes.append(np.mean(planes, axis=0, dtype=np.float32))
        if self.kind.sensor.unit == DISPLAY:
            return np.nan_to_num(np.stack(planes, axis=-1)).astype(np.uint8)
        return (np.stack([stretched(plane) for plane in planes], axis=-1) * 255).round().astype(np.uint8)


def kind_of(image: BenchmarkImageRef, benchmark: str) -> Kind:
    """What an image is, from its tag, its bands and its format.

    Raises:
        UnaskableError: nothing says which sensor it is of.
    """
    measured = _measured(image)
    if measured is not None:
        row = registry.benchmarks().get(benchmark)
        return Kind(measured, image.bands, row.scale if row else 1.0)
    if image.sensor not in RENDERED:
        raise UnaskableError("unknown_sensor", f"no sensor is known for the tag {image.sensor or '(none)'}")
    sensor = RENDERED[image.sensor]
    names = [sensor.band_called(name) for name in image.bands]
    unknown = [name for name, found in zip(image.bands, names, strict=True) if found is None]
    if unknown:
        why = f"band {', '.join(unknown)} of {image.sensor} is none of {', '.join(sensor.band_names)}"
        raise UnaskableError("unknown_band", why)
    return Kind(sensor, tuple(filter(None, names)) or tuple(sensor.file_order))


def _measured(image: BenchmarkImageRef) -> Sensor | None:
    """The measured sensor whose bands an image holds by their names; None for a picture, which holds renderings.

    Radar has no true colour that a picture could show. Where several sensors call their bands alike, the tag decides.
    """
    names = set(image.bands)
    fitting = [
        sensor
        for sensor in SENSORS.values()
        if names and names <= set(sensor.band_names) and (image.format == "npy" or sensor.rgb is None)
    ]
    if len(fitting) > 1:
        fitting = [sensor for sensor in fitting if image.sensor in sensor.tags]
    return fitting[0] if len(fitting) == 1 else None


def read_calibrated(image: BenchmarkImageRef, folder: Path, benchmark: str) -> CalibratedImage:
    """Read and calibrate an image.

    Args:
        image: of a sample.
        folder: of the imported benchmark, that paths are relative to.
        benchmark: its name.

    Raises:
        UnaskableError: it cannot be read, has other bands than it should, or numbers that cannot be what they are
            said to be.
    """
    kind = kind_of(image, benchmark)
    what = image.path or "the embedded image"
    try:
        pixels = decode(image, folder)
    except ImageDecodeError as error:
        raise UnaskableError("unreadable_image", f"{what}: {error}") from error
    pixels, there = _fitted(pixels, kind, what)
    planes = {}
    stored, unit = Stored(kind.scale), kind.sensor.unit
    try:
        for name, plane in zip(kind.stored, pixels, strict=True):
            valid = np.isfinite(plane) & there
            planes[name] = to_physical(plane, valid, stored, unit, f"{what}, band {name}")
            check_plausible(planes[name], stored, unit, f"{what}, band {name}")
        ordered = {name: planes[name] for name in kind.bands}
    except RadiometryError as error:
        raise UnaskableError("implausible_numbers", str(error)) from error
    except TrainingError as error:
        raise UnaskableError("missing_band", f"{what}: {error}") from error
    return CalibratedImage(kind, ordered)


def _fitted(pixels: NDArray[Any], kind: Kind, what: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """As many planes as the sensor has, and where there is data: grey as colour, colour as grey, without alpha."""
    if pixels.ndim != 3:
        raise UnaskableError("wrong_bands", f"{what}: {pixels.ndim} dimensions {pixels.shape} are no image")
    count, there = len(kind.stored), np.ones(pixels.shape[1:], dtype=np.bool_)
    if len(pixels) == count + 1 and count in (1, 3) and set(np.unique(pixels[-1])) <= {0, 255}:
        pixels, there = pixels[:-1], pixels[-1] > 0
    if len(pixels) == 1 and count == 3:
        pixels = np.repeat(pixels, 3, axis=0)
    elif len(pixels) == 3 and count == 1 and is_grey(pixels):
        pixels = pixels[1:2]
    if len(pixels) != count:
        detail = f"{what}: {len(pixels)} bands, but {kind.sensor.name} is shown with {count} ({', '.join(kind.stored)})"
        raise UnaskableError("wrong_bands", detail)
    return pixels, there
