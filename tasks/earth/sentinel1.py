"""Sentinel-1 ground range detected counts as sigma nought, by the calibration and noise annotation of their product.

sigma0 = (count^2 - noise) / calibration^2 (Sentinel-1 Level 1 Detailed Algorithm Definition, section 10; thermal
denoising by MPC-0392). The look-up tables are given on a grid of lines and pixels, with straight lines between them.
Noise has one table until March 2018 (IPF 2.8) and since then one along range and one along azimuth, by sub-swath.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import numpy as np
from defusedxml import DefusedXmlException
from numpy.typing import NDArray
from rasterio.windows import Window

from tasks.core.errors import SceneError

LARGEST = 30_000_000
"""Bytes of an annotation file; real ones have 0.5 to 6 MB."""
FAINTEST = 1e-6
"""Power that stands for no more than noise, -60 dB: what is left after the subtraction may be negative."""
BORDER = 2000
"""Samples from either edge of a line within which the processor may leave the noise of the border (MPC-0243)."""
BORDER_LINES = 400
"""The same from the first and the last line."""
BORDER_SHARE = 0.4
"""Of thermal noise, the power under which a sample is of the border: calm water has all of it, the border little."""
BORDER_COUNTS = 5
"""Counts under which a sample is of the border, where there is no noise table."""
SMOOTHED = 21
"""Samples over which the power of a line is averaged before it is compared with noise: single samples are speckle."""
Lut = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Values on some lines, each at some pixels of its own."""

    lines: NDArray[np.float64]
    pixels: tuple[NDArray[np.float64], ...]
    values: tuple[Lut, ...]

    def on(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values on all crossings, [rows, columns], linearly between the table's."""
        first = max(int(np.searchsorted(self.lines, rows[0], side="right")) - 1, 0)
        last = min(int(np.searchsorted(self.lines, rows[-1], side="left")), len(self.lines) - 1)
        across = np.stack([np.interp(columns, self.pixels[i], self.values[i]) for i in range(first, last + 1)])
        lines = self.lines[first : last + 1]
        if len(lines) == 1:
            return np.repeat(across, len(rows), axis=0).astype(np.float32)
        above = np.clip(np.searchsorted(lines, rows, side="right") - 1, 0, len(lines) - 2)
        share = np.clip((rows - lines[above]) / (lines[above + 1] - lines[above]), 0, 1)[:, None]
        return (across[above] * (1 - share) + across[above + 1] * share).astype(np.float32)


@dataclass(frozen=True)
class AzimuthNoise:
    """The factor of noise along azimuth in one rectangle of the image."""

    first_line: int
    last_line: int
    first_pixel: int
    last_pixel: int
    lines: NDArray[np.float64]
    values: Lut


@dataclass(frozen=True)
class Annotation:
    """What turns the counts of one polarisation into sigma nought."""

    calibration: Table
    noise: Table | None
    azimuth: tuple[AzimuthNoise, ...]
    width: int
    height: int

    def power(self, counts: NDArray[Any], row: int, column: int) -> NDArray[np.float32]:
        """Sigma nought as linear power of a window that begins at `row` and `column`; NaN where there is no count."""
        rows = np.arange(row, row + counts.shape[0], dtype=np.float64)
        columns = np.arange(column, column + counts.shape[1], dtype=np.float64)
        squared = counts.astype(np.float32) ** 2
        noise = self.noise_on(rows, columns)
        power = (squared - noise) / self.calibration.on(rows, columns) ** 2
        there = (counts > 0) & ~self._border(squared, noise, row, column)
        return np.where(there, np.maximum(power, np.float32(FAINTEST)), np.float32(np.nan)).astype(np.float32)

    def reach(self, window: Window) -> Window:
        """A window widened to the edges of the image that it is near to, for the border begins there."""
        left = 0 if window.col_off < BORDER else window.col_off
        top = 0 if window.row_off < BORDER_LINES else window.row_off
        right, bottom = window.col_off + window.width, window.row_off + window.height
        right = self.width if right > self.width - BORDER else right
        bottom = self.height if bottom > self.height - BORDER_LINES else bottom
        return Window(left, top, right - left, bottom - top)

    def noise_on(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float32]:
        """Thermal noise in squared counts on all crossings."""
        if self.noise is None:
            return np.zeros((len(rows), len(columns)), np.float32)
        noise = self.noise.on(rows, columns)
        for part in self.azimuth:
            down = (rows >= part.first_line) & (rows <= part.last_line)
            across = (columns >= part.first_pixel) & (columns <= part.last_pixel)
            if down.any() and across.any():
                along = np.interp(rows[down], part.lines, part.values).astype(np.float32)
                noise[np.ix_(down, across)] *= along[:, None]
        return noise

    def _border(
        self, squared: NDArray[np.float32], noise: NDArray[np.float32], row: int, column: int
    ) -> NDArray[np.bool_]:
        """Which samples are noise of the border: from an edge of the image on, less power than thermal noise has."""
        height, width = squared.shape
        level = np.maximum(noise * np.float32(BORDER_SHARE), np.float32(BORDER_COUNTS**2))
        border = np.zeros(squared.shape, bool)
        faint = np.less(_smoothed(squared), level)
        for near, side in ((column < BORDER, 1), (column + width > self.width - BORDER, -1)):
            if near:
                border |= np.logical_and.accumulate(faint[:, ::side], axis=1)[:, ::side]
        faint_lines = np.less(_smoothed(squared.T).T, level)
        for near, side in ((row < BORDER_LINES, 1), (row + height > self.height - BORDER_LINES, -1)):
            if near:
                border |= np.logical_and.accumulate(faint_lines[::side], axis=0)[::side]
        return border


def annotation(calibration: bytes, noise: bytes | None, width: int, height: int, where: str) -> Annotation:
    """Read the annotation of one polarisation.

    Args:
        calibration, noise: the XML files.
        width, height: of the image.
        where: scene and asset, for errors.

    Raises:
        SceneError: annotation, a file is none of Sentinel-1's or is of an image of another size.
    """
    try:
        sigma = _table(_parse(calibration), "calibrationVectorList/calibrationVector", "sigmaNought")
        table, azimuth = _noise(_parse(noise)) if noise is not None else (None, ())
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise SceneError("annotation", f"{where}: its calibration or noise cannot be read: {error}") from error
    far = max(float(pixels[-1]) for pixels in sigma.pixels)
    if not 0.9 * width <= far + 1 <= 1.1 * width + 80:
        raise SceneError(
            "annotation",
            f"{where} is {width} pixels wide, and its calibration is of an image of {far + 1:.0f}: it was "
            "resampled, and cannot be calibrated",
        )
    if any((values <= 0).any() for values in sigma.values):
        raise SceneError("annotation", f"{where}: its calibration holds factors that are not positive")
    return Annotation(sigma, table, azimuth, width, height)


def _noise(root: Element) -> tuple[Table, tuple[AzimuthNoise, ...]]:
    if root.find("noiseRangeVectorList/noiseRangeVector") is None:
        return _table(root, "noiseVectorList/noiseVector", "noiseLut"), ()
    parts = []
    for vector in root.findall("noiseAzimuthVectorList/noiseAzimuthVector"):
        first_line, last_line, first_pixel, last_pixel = (
            int(_text(vector, name))
            for name in ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
        )
        lines, values = _numbers(_text(vector, "line")), _numbers(_text(vector, "noiseAzimuthLut"))
        _same_length(lines, values)
        parts.append(AzimuthNoise(first_line, last_line, first_pixel, last_pixel, lines, values))
    return _table(root, "noiseRangeVectorList/noiseRangeVector", "noiseRangeLut"), tuple(parts)


def _table(root: Element, path: str, name: str) -> Table:
    lines, pixels, values = [], [], []
    for vector in root.findall(path):
        lines.append(float(_text(vector, "line")))
        pixels.append(_numbers(_text(vector, "pixel")))
        values.append(_numbers(_text(vector, name)))
        _same_length(pixels[-1], values[-1])
    if not lines:
        raise ValueError(f"it has no {path}")
    order = np.argsort(lines, kind="stable")
    return Table(np.array(lines)[order], tuple(pixels[i] for i in order), tuple(values[i] for i in order))


def _parse(content: bytes) -> Element:
    # Neither entities nor document types: the file comes from a stranger.
    root: Element = defusedxml.ElementTree.fromstring(content, forbid_dtd=True)
    return root


def _text(element: Element, name: str) -> str:
    found = element.findtext(name)
    if found is None or not found.strip():
        raise ValueError(f"<{element.tag}> has no <{name}>")
    return found


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array(text.split(), dtype=np.float64)


def _same_length(a: Sequence[float] | Lut, b: Sequence[float] | Lut) -> None:
    if len(a) != len(b) or not len(a):
        raise ValueError(f"{len(a)} places have {len(b)} values")


def _smoothed(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over `SMOOTHED` samples along each line, of fewer at its ends."""
    half = SMOOTHED // 2
    total = np.cumsum(np.pad(power.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    width = power.shape[1]
    index = np.arange(width)
    left, right = np.clip(index - half, 0, width), np.clip(index + half + 1, 0, width)
    return ((total[:, right] - total[:, left]) / (right - left)).astype(np.float32)
