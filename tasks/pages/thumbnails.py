"""Small pictures of the images that questions were asked about, from the benchmark's samples or the demo's chips."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core import paths
from tasks.core.data_url import data_url
from tasks.earth.display_sensors import POLARISATIONS, TRUE_COLOURS
from tasks.evaluation.datasets.images import ImageDecodeError, decode
from tasks.evaluation.datasets.registry import HELD_OUT
from tasks.evaluation.datasets.samples import from_row
from tasks.evaluation.leakage.sides import MixtureSide
from tasks.pages import png
from tasks.pages.gallery import colour, own_limits
from tasks.pages.runs import ModelRun

IMPORTED = paths.DATA / "benchmarks/imported"
SIDE = 160
"""Longest side, pixels."""
MAX_IMAGES = 2
"""Images of one question that are shown: before and after."""


def thumbnails(run: ModelRun, keys: Iterable[str], imported: Path = IMPORTED) -> dict[str, list[str]]:
    """Data URIs of the images of some questions, by the key that `Predictions.keys` gives; what has none is left out.

    Args:
        run: whose questions they are.
        keys: of the questions to be shown.
        imported: folder of the imported benchmarks.
    """
    wanted = set(keys)
    if run.benchmark == HELD_OUT.name:
        return _chips(wanted)
    path = imported / run.benchmark / "samples.parquet"
    return _samples(path, wanted) if wanted and path.is_file() else {}


def _samples(path: Path, wanted: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(64):
            for row in batch.to_pylist() if wanted & set(batch["id"].to_pylist()) else []:
                if row["id"] in wanted:
                    sample = from_row(row)
                    try:
                        shown = [
                            _picture(decode(image, path.parent), image.bands) for image in sample.images[:MAX_IMAGES]
                        ]
                    except ImageDecodeError:
                        continue  # the import has named it; here it only cannot be shown
                    found[sample.id] = [data_url(png.encode(picture)) for picture in shown]
    return found


def _chips(wanted: set[str]) -> dict[str, list[str]]:
    """Chips of the demo's mixture; a key is `<sample_id> turn <number>`."""
    samples = {key.partition(" turn ")[0] for key in wanted}
    path = paths.mixture("3") / "test.parquet"
    if not samples or not path.is_file():
        return {}
    mixture = MixtureSide(path)
    chips_of = {one.id: one.images[:MAX_IMAGES] for one in mixture.samples() if one.id in samples}
    shown = {chip for chips in chips_of.values() for chip in chips}
    uris = {image.key: data_url(png.encode(_picture(image.pixels, image.bands))) for image in mixture.images(shown)}
    found = {}
    for key in wanted:
        pictures = [uris[chip] for chip in chips_of.get(key.partition(" turn ")[0], ()) if chip in uris]
        if pictures:
            found[key] = pictures
    return found


def _picture(pixels: NDArray[np.generic], bands: Sequence[str]) -> NDArray[np.uint8]:
    """[height, width, 4] of [bands, height, width] pixels: true colour where the bands tell what it is, radar as both
    polarisations and their difference, the first three of a picture whose bands have no names, else the first alone.
    """
    names = list(bands)
    chosen = next((colours for colours in (*TRUE_COLOURS, *POLARISATIONS) if set(colours) <= set(names)), None)
    if chosen:
        planes = [pixels[names.index(name)] for name in chosen]
    else:
        planes = list(pixels[:3]) if len(pixels) >= 3 and not any(names) else [pixels[0]] * 3
    step = max(1, -(-max(planes[0].shape) // SIDE))
    reduced = [_averaged(plane.astype(np.float32), step) for plane in planes]
    if chosen in POLARISATIONS:
        reduced.append(reduced[0] - reduced[1])
    limits = [(0.0, 255.0)] * 3 if pixels.dtype == np.uint8 else own_limits(reduced)
    return colour(reduced, limits)


def _averaged(plane: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Means of step x step pixels; a rest at the edges is left out."""
    height, width = (side // step * step for side in plane.shape)
    blocks = plane[:height, :width].reshape(height // step, step, width // step, step)
    mean: NDArray[np.float32] = blocks.mean((1, 3))
    return mean
