"""Bands of a chip as they are stored: numbers of the scene's own type, a scale and an offset, their own resolution."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layer:
    """Bands of a chip that share a GSD and a type of number."""

    bands: tuple[str, ...]
    """The name of each."""
    pixels: NDArray[Any]
    """(bands, height, width), numbers as stored, `nodata` where there is none."""
    scales: tuple[float, ...]
    """physical = number * scale + offset, in float32, one of each a band."""
    offsets: tuple[float, ...]
    """In the unit of the physical values, one of each a band."""
    nodata: float
    """The number that stands for no data; NaN for floats."""

    @property
    def is_plain(self) -> bool:
        """Whether its numbers are values by themselves: without a scale, an offset and a number for no data."""
        scaled = any(scale != 1 for scale in self.scales) or any(self.offsets)
        return not scaled and bool(np.isnan(self.nodata))

    def only(self, bands: Collection[str]) -> "Layer":
        """Some of its bands."""
        kept = [place for place, name in enumerate(self.bands) if name in bands]
        return Layer(
            tuple(self.bands[place] for place in kept),
            self.pixels[kept],
            tuple(self.scales[place] for place in kept),
            tuple(self.offsets[place] for place in kept),
            self.nodata,
        )

    def physical(self) -> NDArray[np.float32]:
        """(bands, height, width) in physical units at the layer's own resolution, NaN where there is no data."""
        values = self.pixels.astype(np.float32)
        for plane, scale, offset in zip(values, self.scales, self.offsets, strict=True):
            if (scale, offset) != (1, 0):
                plane *= np.float32(scale)
                plane += np.float32(offset)
        if not np.isnan(self.nodata):
            values[self.pixels == self.nodata] = np.nan
        return values
