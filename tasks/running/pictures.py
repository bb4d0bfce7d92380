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

from tasks.benchmarks.images import ImageError, decode
from tasks.benchmarks.samples import ImageRef
from tasks.core.errors import TrainingError, UnaskableError
from tasks.core.imported_sensors import DISPLAY, known_sensor
from tasks.core.radiometry import RadiometryError, Stored, check_plausible, to_physical
from tasks.core.sensors import SENTINEL_1, SENTINEL_2, Sensor
from tasks.inference.compose import Modality, bands_to_load

PICTURES = {
    "[hr_rgb_0.5]": "hr-rgb8",
    "[hr_rgb_temp_0.5]": "hr-rgb8",
    "[s2_rgb_10]": "s2-rgb8",
    "[l8_rgb_30]": "l8-rgb8",
    "[hr_rgbi_0.5]": "hr-rgbi8",
    "[s1_vh_10]": "s1-vh8",
    "[s1_vh_1]": "sar8",
    "[Inf_thermal_1]": "thermal8",
    "[hyper_rgb_3]": "aviris-mag1c",
    "[l8_ms_30]": "l8-uhi",
}
"""Tag -> the sensor whose renderings carry it."""
RENAMED = {
    "red": "R", "green": "G", "blue": "B", "nir": "NIR",
    "TOA_AVIRIS_640nm": "R", "TOA_AVIRIS_550nm": "G", "TOA_AVIRIS_460nm": "B", "mag1c": "MAG1C",
    "L1": "B1", "L2": "B2", "L3": "B3", "L4": "B4", "L5": "B5", "L6": "B6", "L7": "B7", "L8": "B9",
}  # fmt: skip
"""Bands by the benchmark's names -> by ours."""
TEN_THOUSANDTHS = frozenset({"bigearthnet-rgb", "bigearthnet-ms"})
"""Benchmarks whose numbers are ten-thousandths of reflectance, as level 2A is published; So2Sat's are reflectance."""
JPEG_NOISE = 8
"""Grey levels that JPEG's colour transform may put between three copies of one band."""
QUANTILES = (0.02, 0.98)
"""Of a measured image: what becomes black and white where it is shown as a picture."""


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
        if self.sensor.rgb is None and "VV" not in self.stored:
            return list(self.stored)
        rgb = self.sensor.rgb is not None and set(self.stored) <= set(self.sensor.rgb)
        modality: Modality = "sar" if self.sensor.rgb is None else "rgb" if rgb else "ms"
        return bands_to_load(self.sensor, modality, self.stored)


@dataclass(frozen=True)
class Picture:
    """Calibrated planes of one image."""

    kind: Kind
    planes: Mapping[str, NDArray[np.float32]]
    """(H, W) by band, NaN where there is no data."""

    def true_colour(self) -> NDArray[np.uint8]:
        """A picture for models that take no bands, (H, W, 3): display values as they are, measurements stretched.

        Radar is shown as VV, VH and their mean, another single band as grey.
        """
        shown = self.kind.sensor.rgb or tuple(self.planes)[:2]
        planes = [self.planes[name] for name in shown]
        while len(planes) < 3:
            planes.append(np.mean(planes, axis=0, dtype=np.float32))
        if self.kind.sensor.unit == DISPLAY:
            return np.nan_to_num(np.stack(planes, axis=-1)).astype(np.uint8)
        return np.stack([_stretched(plane) for plane in planes], axis=-1)


def _stretched(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    finite = plane[np.isfinite(plane)]
    low, high = (float(bound) for bound in np.quantile(finite, QUANTILES)) if finite.size else (0.0, 1.0)
    scaled = (np.nan_to_num(plane, nan=low) - low) / max(high - low, 1e-6)
    return np.asarray((np.clip(scaled, 0, 1) * 255).round(), dtype=np.uint8)


def kind_of(image: ImageRef, benchmark: str) -> Kind:
    """What an image is, from its tag, its bands and its format.

    Raises:
        UnaskableError: nothing says which sensor it is of.
    """
    names = tuple(RENAMED.get(name, name) for name in image.bands)
    if names and image.format == "npy" and set(names) <= set(SENTINEL_2.band_names):
        return Kind(SENTINEL_2, names, 1e-4 if benchmark in TEN_THOUSANDTHS else 1.0)
    if names and set(names) <= set(SENTINEL_1.band_names):
        return Kind(SENTINEL_1, names)
    if image.sensor not in PICTURES:
        raise UnaskableError("unknown_sensor", f"no sensor is known for the tag {image.sensor or '(none)'}")
    sensor = known_sensor(PICTURES[image.sensor])
    unknown = [name for name in names if name not in sensor.band_names]
    if unknown:
        told = f"band {', '.join(unknown)} of {image.sensor} is none of {', '.join(sensor.band_names)}"
        raise UnaskableError("unknown_band", told)
    return Kind(sensor, names or tuple(sensor.band_names))


def open_picture(image: ImageRef, folder: Path, benchmark: str) -> Picture:
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
    except ImageError as error:
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
    return Picture(kind, ordered)


def _fitted(pixels: NDArray[Any], kind: Kind, what: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """As many planes as the sensor has, and where there is data: grey as colour, colour as grey, without alpha."""
    if pixels.ndim != 3:
        raise UnaskableError("wrong_bands", f"{what}: {pixels.ndim} dimensions {pixels.shape} are no image")
    count, there = len(kind.stored), np.ones(pixels.shape[1:], dtype=np.bool_)
    if len(pixels) == count + 1 and count in (1, 3) and set(np.unique(pixels[-1])) <= {0, 255}:
        pixels, there = pixels[:-1], pixels[-1] > 0
    if len(pixels) == 1 and count == 3:
        pixels = np.repeat(pixels, 3, axis=0)
    elif len(pixels) == 3 and count == 1 and int(np.ptp(pixels.astype(np.float64), axis=0).max()) <= JPEG_NOISE:
        pixels = pixels[1:2]
    if len(pixels) != count:
        told = f"{what}: {len(pixels)} bands, but {kind.sensor.name} is shown with {count} ({', '.join(kind.stored)})"
        raise UnaskableError("wrong_bands", told)
    return pixels, there
