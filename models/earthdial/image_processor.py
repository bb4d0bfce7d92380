"""From arrays of bands, or pictures, to the tiles that the network takes, by the statistics it was trained with."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import BatchFeature, ImageProcessingMixin

from models.parts.image import Image, Tiles, batch_images, dated, grouped, standardised
from models.parts.prompt import image_tags

NEAR = 0.011
"""Micrometres within which a wavelength means a band: less than half the distance of any two bands of a sensor."""


class EarthDialImageProcessor(ImageProcessingMixin):
    """Images as tiles of groups of three bands, normalised by the training chips.

    An image is `{"pixels": array (bands, H, W), "sensor": name, "bands": names}`, or `"wavelengths"` in micrometres in
    the place of `"bands"`, and optionally `"date"`, such as "2017-02-16"; its numbers are calibrated, in the unit of
    the sensor, NaN where there is no data. Or it is a picture of PIL, for a sensor of display values.
    """

    model_input_names = ["pixel_values", "tile_of_group", "wavelengths", "band_mask", "days"]  # noqa: RUF012

    def __init__(
        self,
        sensors: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        size: int = 448,
        max_tiles: int = 6,
        tokens_per_tile: int = 256,
        dates_tags: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the settings.

        Args:
            sensors: by name: `unit`; `range` of the median of real ground, or None; `bands` in their order, each with
                `name`, `wavelength`, `mean` and `std`; `first` and `pairs`: what is shown first, or both polarisations;
                `ratios` of the pairs; `tags` by modality.
            tags: what a question may begin with.
            size: side of a tile in pixels.
            max_tiles: most tiles of a question's images.
            tokens_per_tile: visual tokens of a tile.
            dates_tags: tag of one image -> tag of several dates.
            **kwargs: of transformers.
        """
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.sensors, self.tags = dict(sensors or {}), list(tags)
        self.size, self.max_tiles, self.tokens_per_tile = size, max_tiles, tokens_per_tile
        self.dates_tags = dict(dates_tags or {})

    def __call__(self, images: Sequence[Any], return_tensors: str | None = None) -> BatchFeature:
        """The images of one question, as keyword arguments of the model's `forward`, all on the CPU."""
        return BatchFeature(batch_images(self.tiles(images)))

    def tiles(self, images: Sequence[Any]) -> list[Tiles]:
        """The images of one question, cut into tiles: several share the room of one.

        Raises:
            ValueError: an image is not of a sensor or of bands that the model knows, or its numbers cannot be.
        """
        share = max(1, self.max_tiles // max(1, len(images)))
        described = [self.described(image) for image in images]
        whole = dated([self._image(one) for one in described], [_date(one.get("date")) for one in described])
        return [image.tiled(self.size, share) for image in whole]

    def image_tags(self, images: Sequence[Any]) -> tuple[str, ...]:
        """The tags of the images of one question, which the questions of training began with.

        Raises:
            ValueError: there is no tag for an image as it is shown.
        """
        return image_tags([self._tagged(self.described(image)) for image in images], self.dates_tags)

    def _tagged(self, image: Mapping[str, Any]) -> tuple[str, str]:
        """(sensor, tag of the image alone)."""
        modality, _ = self._shown(image)
        tag = self.sensors[image["sensor"]]["tags"][modality]
        if tag is None:
            raise ValueError(f"{image['sensor']} cannot be shown as {modality}: EarthDial has no tag for it")
        return image["sensor"], str(tag)

    def described(self, image: Any) -> dict[str, Any]:
        """An image as a dictionary with `pixels`, `sensor` and `bands`.

        Raises:
            ValueError: something of it is missing, or not what the model knows.
        """
        if not isinstance(image, Mapping):
            image = self._picture(image)
        name = image.get("sensor")
        if name not in self.sensors:
            raise ValueError(f"this model was not trained on images of {name!r}; it knows {', '.join(self.sensors)}")
        pixels = np.asarray(image.get("pixels"), dtype=np.float32)
        bands = image.get("bands") or self._named(name, image.get("wavelengths"))
        if pixels.ndim != 3 or not bands or len(bands) != len(pixels):
            raise ValueError(
                f"an image needs `pixels` (bands, height, width) and a name in `bands`, or a wavelength, for each of "
                f"them; got pixels of shape {pixels.shape} and bands {bands}"
            )
        return {**image, "pixels": pixels, "bands": list(bands)}

    def _picture(self, image: Any) -> dict[str, Any]:
        shown = [name for name, sensor in self.sensors.items() if sensor["range"] == [0, 255] and sensor["tags"]["rgb"]]
        if not hasattr(image, "convert"):
            raise ValueError(
                "an image is a dictionary with `pixels`, `sensor` and `bands`, or a picture of PIL; got "
                f"{type(image).__name__}"
            )
        if not shown:
            raise ValueError(
                "a picture holds display values from 0 to 255, and this model takes calibrated numbers: "
                + ", ".join(f"{name} in {sensor['unit']}" for name, sensor in self.sensors.items())
                + '. Give {"pixels": array, "sensor": name, "bands": names}'
            )
        pixels = np.asarray(image.convert("RGB"), dtype=np.float32).transpose(2, 0, 1)
        return {"pixels": pixels, "sensor": shown[0], "bands": self.sensors[shown[0]]["first"]}

    def _named(self, sensor: str, wavelengths: Sequence[float] | None) -> list[str]:
        names = []
        for wavelength in wavelengths if wavelengths is not None else ():
            bands = self.sensors[sensor]["bands"]
            fitting = [band["name"] for band in bands if abs(band["wavelength"] - wavelength) <= NEAR]
            if len(fitting) != 1:
                known = ", ".join(f"{band['name']} {band['wavelength']}" for band in bands)
                raise ValueError(f"{wavelength} micrometres is no one band of {sensor}; it has {known}: name the bands")
            names.append(fitting[0])
        return names

    def _shown(self, image: Mapping[str, Any]) -> tuple[str, list[str]]:
        """(modality, bands in the order they are shown): true colour first, or both polarisations."""
        sensor, present = self.sensors[image["sensor"]], image["bands"]
        order = [band["name"] for band in sensor["bands"]]
        if unknown := [band for band in present if band not in order]:
            raise ValueError(f"{image['sensor']} has no {', '.join(unknown)} here; the model knows {', '.join(order)}")
        if sensor["pairs"]:
            pair = next((pair for pair in sensor["pairs"] if set(pair) <= set(present)), None)
            return "sar", list(pair or [band for band in order if band in present][:2])
        if missing := [band for band in sensor["first"] if band not in present]:
            raise ValueError(f"an image of {image['sensor']} needs {', '.join(missing)} too, which is shown first")
        rest = [band for band in order if band in present and band not in sensor["first"]]
        if sensor["tags"]["sar"]:
            return "sar", list(sensor["first"])
        return ("ms", [*sensor["first"], *rest]) if rest else ("rgb", list(sensor["first"]))

    def _image(self, image: Mapping[str, Any]) -> Image:
        sensor = self.sensors[image["sensor"]]
        known = {band["name"]: band for band in sensor["bands"]}
        _, shown = self._shown(image)
        planes = {band: image["pixels"][image["bands"].index(band)] for band in shown}
        for band, plane in planes.items():
            _check(plane, sensor, f"{image['sensor']}, band {band}")
        values = [standardised(plane, known[band]["mean"], known[band]["std"]) for band, plane in planes.items()]
        wavelengths = [known[band]["wavelength"] for band in shown]
        if shown in sensor["pairs"]:
            first, second = planes.values()
            with np.errstate(invalid="ignore"):  # of two planes without power, infinite in dB, there is no ratio
                ratio = first - second
            values.append(standardised(ratio, *sensor["ratios"]["-".join(shown)]))
            wavelengths.append(wavelengths[0])
        return grouped(values, wavelengths)


def _check(plane: NDArray[np.float32], sensor: Mapping[str, Any], what: str) -> None:
    values = plane[np.isfinite(plane)]
    if sensor["range"] is None or not values.size:
        return
    low, high = sensor["range"]
    median = float(np.median(values))
    if not low <= median <= high:
        raise ValueError(
            f"{what}: the median is {median:.4g}, and {sensor['unit']} of real ground lies in {low} to {high}; "
            "apply the scale and offset of the product first"
        )


def _date(date: Any) -> datetime | None:
    return datetime.fromisoformat(date) if isinstance(date, str) else date
