"""What is known of the images of a series: what its conversations carry, so that a pair is verified from its row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.parts.prompt import image_tags
from tasks.dialogue.facts import MARGIN, ChipFacts, SourceInfo, one_line
from tasks.earth.chip_planes import planes_of
from tasks.earth.display_sensors import DATES_TAGS, known_sensor
from tasks.earth.label_fractions import COMPASS
from tasks.earth.sensors import SENSORS
from tasks.earth.series_measures import INDEX, SIDE, Cells, measure
from tasks.earth.spectral_rules import CLASSES

PARTS: tuple[str, ...] = tuple(COMPASS.ravel().tolist())
"""Thirds of a window in each direction, row by row, as label positions are named."""
LEAST_CELLS = 0.6
"""Share of the cells that must have a value in both images for anything to be said of their difference."""


@dataclass(frozen=True)
class Scale:
    """From which difference on a quantity of one unit has changed for certain, and below which it has not."""

    clear: float
    """Of the means over the window; for a third of it the same."""
    same: float
    lead: float
    """By which the third that is named must be ahead of the next."""


DECIBEL = Scale(1.0, 0.3, 0.3)
"""A quarter more or less power; the radiometric stability of the instruments is a few tenths of a decibel."""
SHARE = Scale(0.10, MARGIN, 0.05)
"""Of land cover, and of the vegetation index."""


def scale_of(quantity: str) -> Scale:
    """The scale of a quantity of `tasks.earth.series_measures`."""
    return SHARE if quantity == INDEX or quantity in CLASSES else DECIBEL


@dataclass(frozen=True)
class SeriesImage:
    """One image of a series."""

    chip_id: str
    sensor: str
    platform: str
    taken: datetime
    """UTC."""
    cells: Mapping[str, Cells]
    """As `tasks.earth.series_measures.measure` gives them."""

    @cached_property
    def is_radar(self) -> bool:
        """Whether a radar took it."""
        return bool(known_sensor(self.sensor).polarisations)

    @cached_property
    def is_blank(self) -> bool:
        """Whether no cell of it has a value, in anything that is measured of its sensor."""
        return bool(self.cells) and all(value is None for cells in self.cells.values() for value in cells)


@dataclass(frozen=True)
class SeriesFacts:
    """A series to ask about. It has what the writer of pairs needs of a chip's facts."""

    series_id: str
    kind: str
    """dates or sensors."""
    images: tuple[SeriesImage, ...]
    """In the order in which they are shown."""

    @property
    def chip_id(self) -> str:
        """What conversations and rejected pairs name it by."""
        return self.series_id

    @property
    def sensor(self) -> str:
        """Of the first image."""
        return self.images[0].sensor

    @property
    def sources(self) -> Mapping[str, SourceInfo]:
        """Label sources: none, for the labels of a place are of one date only."""
        return {}

    @property
    def sensor_tags(self) -> tuple[str, ...]:
        """EarthDial's tag for several dates of one sensor, or the tag of each image, with all bands."""
        return sensor_tags([image.sensor for image in self.images])

    @property
    def image_count(self) -> int:
        """How many `<image>` a conversation has."""
        return len(self.images)

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Quantities that every image tells, in the order of the first; none where the sensors differ."""
        if len({image.sensor for image in self.images}) > 1:
            return ()
        return tuple(name for name in self.images[0].cells if all(name in image.cells for image in self.images))

    def grid(self, image: int, quantity: str) -> NDArray[np.float64] | None:
        """(SIDE, SIDE) of one quantity of an image, NaN where it has no value; None where the image does not tell."""
        cells = self.images[image].cells.get(quantity)
        return None if cells is None else np.array(cells, np.float64).reshape(SIDE, SIDE)

    def mean(self, image: int, quantity: str) -> float | None:
        """Over the window, of the cells that have a value in all images that tell it."""
        grid = self.grid(image, quantity)
        return None if grid is None else _mean(grid[self._valid(quantity)], LEAST_CELLS * grid.size)

    def change(self, quantity: str) -> float | None:
        """Mean of the last image less that of the first; None where they cannot be compared."""
        if quantity not in self.shared:
            return None
        first, last = (self.mean(place, quantity) for place in (0, -1))
        return None if first is None or last is None else last - first

    def thirds(self, image: int, quantity: str, less: int | None = None) -> NDArray[np.float64] | None:
        """Means over the thirds of the window, (9,), in the order of `PARTS`; NaN where most has no value.

        Args:
            image: number of the image.
            quantity: what.
            less: number of an image whose values are taken off first.
        """
        grid = self.grid(image, quantity)
        other = self.grid(less, quantity) if less is not None else None
        if grid is None or (less is not None and (other is None or quantity not in self.shared)):
            return None
        values = grid if other is None else grid - other
        step = SIDE // 3
        each = values.reshape(3, step, 3, step).transpose(0, 2, 1, 3).reshape(9, step * step)
        found = [_mean(third, LEAST_CELLS * step * step) for third in each]
        return np.array([np.nan if value is None else value for value in found])

    def _valid(self, quantity: str) -> NDArray[np.bool_]:
        grids = [grid for place in range(len(self.images)) if (grid := self.grid(place, quantity)) is not None]
        return np.asarray(np.isfinite(np.stack(grids)).all(0))

    def to_json(self) -> str:
        """All of it as one line of JSON, the same for the same facts."""
        rows = [{**asdict(one), "taken": one.taken.astimezone(UTC).isoformat()} for one in self.images]
        return one_line({"series_id": self.series_id, "kind": self.kind, "images": rows})

    @classmethod
    def from_json(cls, text: str) -> "SeriesFacts":
        """What `to_json` wrote.

        Raises:
            ValueError: it is nothing of that kind; says what is wrong.
        """
        try:
            row = json.loads(text)
            images = tuple(map(_image, row["images"]))
            if not images:
                raise ValueError("there is no image")
            return cls(row["series_id"], row["kind"], images)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"these are no facts of a series: {error!r}") from error


def sensor_tags(sensors: Sequence[str], rgb: bool = False) -> tuple[str, ...]:
    """EarthDial's tags of the images of a series, as `models.parts.prompt.image_tags` orders them.

    Args:
        sensors: of each image.
        rgb: whether they are shown in true colour, where they can be.
    """
    known = map(known_sensor, sensors)
    return image_tags([(one.name, (one.rgb_tag if rgb else None) or one.tag) for one in known], DATES_TAGS)


def cells_of(sensor: str, content: bytes, what: str) -> dict[str, Cells]:
    """What the pixels of a chip say of it in a series.

    Args:
        sensor: name of the sensor.
        content: its GeoTIFF.
        what: it is called, for the message.

    Raises:
        DamagedFileError: it cannot be read.
    """
    return measure(planes_of(content, what), SENSORS[sensor])


def read_facts(text: str) -> "ChipFacts | SeriesFacts":
    """The facts of a conversation, of a chip or of a series.

    Raises:
        ValueError: they are neither.
    """
    return SeriesFacts.from_json(text) if '"series_id":' in text else ChipFacts.from_json(text)


def _image(row: Mapping[str, Any]) -> SeriesImage:
    cells = {
        name: tuple(None if value is None else float(value) for value in some) for name, some in row["cells"].items()
    }
    if any(len(some) != SIDE * SIDE for some in cells.values()):
        raise ValueError(f"the cells of {row['chip_id']} are not {SIDE} x {SIDE}")
    taken = datetime.fromisoformat(row["taken"])
    return SeriesImage(row["chip_id"], row["sensor"], row["platform"], taken, cells)


def _mean(values: NDArray[np.float64], least: float) -> float | None:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) >= max(least, 1) else None
