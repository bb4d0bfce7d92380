"""From a chip's GeoTIFF to the groups of three bands that the model takes, normalised by the training
statistics.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.parts.image import Image, grouped, standardised
from tasks.core.errors import TrainingError
from tasks.core.stage import read_json, write_json
from tasks.earth.display_sensors import PICTURE, known_sensor
from tasks.vlm.bands import planes, with_ratio
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE


class Normalisation:
    """Mean and standard deviation of each plane of each sensor. Travels with a checkpoint, which is useless
    without.
    """

    def __init__(self, values: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        self.values = {sensor: {name: list(pair) for name, pair in bands.items()} for sensor, bands in values.items()}

    @classmethod
    def from_stats(cls, stats: Mapping[str, Path]) -> "Normalisation":
        """From what stage `stats` wrote, by sensor.

        Pictures that the model may be asked about have the statistics of the chips' 8-bit renderings, those of all
        sensors together, unless pictures were trained on.
        """
        found = {sensor: read_json(path) for sensor, path in stats.items()}
        values = {s: {band["name"]: (band["mean"], band["std"]) for band in one["bands"]} for s, one in found.items()}
        renderings = [one["rendering"]["bands"] for one in found.values() if "rendering" in one]
        if renderings:
            pooled = {bands[0]["name"]: _pooled(bands) for bands in zip(*renderings, strict=True)}
            values.setdefault(PICTURE.name, pooled)
        return cls(values)

    @classmethod
    def load(cls, checkpoint: Path) -> "Normalisation":
        """That of a checkpoint's folder.

        Raises:
            TrainingError: the file does not hold a mean and a deviation for each plane of each sensor.
        """
        path = checkpoint / NORMALISATION_FILE
        try:
            values = read_json(path)
            pairs = [pair for bands in values.values() for pair in bands.values()]
            finite = all(len(pair) == 2 and np.isfinite(np.asarray(pair, dtype=np.float64)).all() for pair in pairs)
        except (ValueError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{path} is not a JSON object of sensors, bands and their statistics: {error}"
            ) from error
        if not finite:
            raise TrainingError(f"{path}: a band has something else than a mean and a deviation")
        return cls(values)

    def save(self, checkpoint: Path) -> None:
        """Put it beside the weights."""
        write_json(checkpoint / NORMALISATION_FILE, self.values)

    def __call__(self, plane: NDArray[np.float32], sensor: str, name: str) -> NDArray[np.float32]:
        """Zero mean and unit deviation over the training chips; no data becomes the mean, zero.

        Raises:
            TrainingError: the statistics do not know this plane.
        """
        if name not in self.values.get(sensor, {}):
            known = ", ".join(self.values.get(sensor, {})) or "none"
            raise TrainingError(
                f"no training statistics for band {name} of {sensor} (known: {known}); run stage `stats`"
            )
        mean, std = self.values[sensor][name]
        return standardised(plane, mean, std)


def _pooled(parts: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Mean and deviation of values from those of their parts."""
    total = sum(part["count"] for part in parts)
    mean = sum(part["count"] * part["mean"] for part in parts) / total
    squares = sum(part["count"] * (part["std"] ** 2 + (part["mean"] - mean) ** 2) for part in parts)
    return mean, float(np.sqrt(squares / total))


def preprocess(
    pixels: Mapping[str, NDArray[np.float32]], sensor: str, bands: Sequence[str], normalise: Normalisation
) -> Image:
    """Group, normalise and describe the bands of one chip, as the model takes them.

    Args:
        pixels: (H, W) of each band, calibrated, NaN where there is no data.
        sensor: name of the sensor.
        bands: which to show, the true-colour composite first, as `bands_to_load` orders them.
        normalise: the training statistics.

    Raises:
        TrainingError: a band is missing from the chip or from the statistics.
    """
    missing = [band for band in bands if band not in pixels]
    if missing:
        raise TrainingError(f"the chip has no {', '.join(missing)}, only {', '.join(pixels)}; rebuild stage `mixture`")
    known = known_sensor(sensor)
    stack = with_ratio(known, np.stack([pixels[band] for band in bands]), bands)
    shown = planes(known, bands)
    values = [normalise(plane, sensor, name) for plane, (name, _) in zip(stack, shown, strict=True)]
    return grouped(values, [wavelength for _, wavelength in shown])
