"""Which changes of a picture the near-image check sees through: share of a run's chips that are found again.

    python -m benchmarks.leakage_edits [--data data]

Needs the chips of a run (`earthloom demo`). Every second chip is rendered in 8 bits, changed, and looked for among all
renderings by the hashes and limits that `earthloom leakage` uses.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile

from tasks.earth.display_sensors import TRUE_COLOURS
from tasks.evaluation.leakage import perceptual_hash
from tasks.evaluation.leakage.check import COARSE, FINE

SideImage = NDArray[np.uint8]


def jpeg(quality: int) -> Callable[[SideImage], SideImage]:
    def change(picture: SideImage) -> SideImage:
        buffer = io.BytesIO()
        pil(picture).save(buffer, "JPEG", quality=quality)
        return array(Image.open(buffer))

    return change


def pil(picture: SideImage) -> Image.Image:
    return Image.fromarray(picture.transpose(1, 2, 0) if len(picture) == 3 else picture[0])


def array(image: Image.Image) -> SideImage:
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def scaled(factor: float) -> Callable[[SideImage], SideImage]:
    def change(picture: SideImage) -> SideImage:
        height, width = (round(side * factor) for side in picture.shape[1:])
        return array(pil(picture).resize((width, height), Image.Resampling.BICUBIC))

    return change


def cut(share: float) -> Callable[[SideImage], SideImage]:
    return lambda picture: picture[:, round(picture.shape[1] * share) :, round(picture.shape[2] * share) :]


def levels(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Callable[[SideImage], SideImage]:
    return lambda picture: np.clip(change(picture.astype(float)), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[SideImage], SideImage]] = {
    **{f"JPEG, quality {quality}": jpeg(quality) for quality in (95, 75, 50, 30, 10)},
    "half size": scaled(0.5),
    "double size": scaled(2),
    "brighter by 30": levels(lambda values: values + 30),
    "contrast x 1.4": levels(lambda values: (values - 128) * 1.4 + 128),
    "gamma 0.6": levels(lambda values: 255 * (values / 255) ** 0.6),
    "gamma 1.6": levels(lambda values: 255 * (values / 255) ** 1.6),
    "grey": levels(lambda values: values.mean(0, keepdims=True)),
    "noise of 10": levels(lambda values: values + np.random.default_rng(0).normal(0, 10, values.shape)),
    "mirrored": lambda picture: picture[:, :, ::-1],
    "turned by 90 degrees": lambda picture: np.rot90(picture, 1, (1, 2)),
    "cut by 2 % on two sides": cut(0.02),
    "cut by 5 %": cut(0.05),
    "cut by 10 %": cut(0.1),
    "turned by 5 degrees": lambda picture: array(pil(picture).rotate(5)),
}


def chips(data: Path) -> list[tuple[NDArray[np.float32], tuple[str, ...], SideImage]]:
    """Pixels as stored, names of bands, and the rendering, of every second chip."""
    found = []
    for shard in sorted(data.glob("chips/*/*/shard-*.parquet")):
        for content in pq.read_table(shard, columns=["pixels"])["pixels"].to_pylist():
            with MemoryFile(content) as memory, memory.open() as dataset:
                pixels, bands = dataset.read(), tuple(dataset.descriptions)
            colours = next((names for names in TRUE_COLOURS if set(names) <= set(bands)), None)
            shown = np.stack([pixels[bands.index(name)] for name in colours]) if colours else pixels[:1]
            low, high = np.nanpercentile(shown, [1, 99])
            stretched = np.clip((np.nan_to_num(shown) - low) / (high - low), 0, 1)
            found.append((pixels, bands, (stretched * 255).round().astype(np.uint8)))
    return found[::2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("data"))
    images = chips(parser.parse_args().data)
    known = perceptual_hash.frequencies(np.stack([perceptual_hash.luminance(picture) for _, _, picture in images]))
    coarse, fine = perceptual_hash.perceptual(
        perceptual_hash.oriented(known).reshape(-1, perceptual_hash.FINE, perceptual_hash.FINE)
    )
    own = np.arange(len(images))

    def report(name: str, reduced: list[NDArray[np.float32]]) -> None:
        one, other = perceptual_hash.perceptual(perceptual_hash.frequencies(np.stack(reduced)))
        near = np.bitwise_count(one[:, None] ^ coarse) <= COARSE
        near &= np.bitwise_count(other[:, None] ^ fine).sum(-1) <= FINE
        by_image = near.reshape(len(images), len(images), -1).any(-1)
        wrong = int(by_image.sum() - by_image[own, own].sum())
        print(f"{name:28}{100 * by_image[own, own].mean():6.1f} % found, {wrong} others taken for one")

    print(f"{len(images)} chips")
    report("reflectance to 8 bits", [perceptual_hash.luminance(pixels, bands) for pixels, bands, _ in images])
    for name, change in CHANGES.items():
        report(name, [perceptual_hash.luminance(change(picture)) for _, _, picture in images])


if __name__ == "__main__":
    main()
