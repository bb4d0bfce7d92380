"""Images turned, mirrored and changed in brightness, so that a small data set is not memorised.

A view from above has no side that is up: all eight turns and mirrorings of it are as real as the one that was taken.
Only where a conversation speaks of directions or draws boxes would they make its answers wrong; such images keep their
sides. Brightness varies with sun, haze and sensor: each image's planes are scaled together and shifted one by one, in
units of the training statistics' standard deviation.
"""

import re
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from models.parts.image import Image
from tasks.dialogue.crops import TURNS
from tasks.training.params import AugmentParams
from tasks.vlm.samples import Sample

ORIENTED = re.compile(
    r"\b(north|south|east|west|(north|south)(east|west)|left|right|top|bottom|upper|lower|above|below)(ern|most)?\b"
    r"|<box>|<quad>|<rbox>|\[\s*-?\d|\{\s*<",
    re.IGNORECASE,
)
"""What ties words to the sides of an image: directions and boxes, in every form that `tasks.dialogue.boxes` reads."""


def is_oriented(sample: Sample) -> bool:
    """Whether what is said of a sample's images would be wrong of their mirror images."""
    return any(ORIENTED.search(text) for turn in sample.turns for text in turn)


class Augmentation:
    """One drawing of turn, gain and shifts; all images of a sample are turned alike, as a question may compare them."""

    def __init__(self, params: AugmentParams, sample: Sample, seed: tuple[int, ...]) -> None:
        """The same seed draws the same."""
        self.params = params
        self.random = np.random.default_rng(seed)
        self.turn = int(self.random.integers(TURNS)) if params.turns and not is_oriented(sample) else 0

    def __call__(self, image: Image) -> Image:
        """The image, changed; planes that are not there stay zero."""
        planes = self.random.standard_normal((len(image.pixels), image.pixels.shape[1]), dtype=np.float32)
        shift = torch.from_numpy(planes * np.float32(self.params.shift)) * image.mask
        gain = 1 + self.params.gain * float(self.random.standard_normal())
        return replace(image, pixels=turned(image.pixels, self.turn) * gain + shift[..., None, None])


def turned(pixels: Tensor, turn: int) -> Tensor:
    """(..., H, W) turned by `turn` quarters to the left, from 4 on mirrored after that as well."""
    quarters = torch.rot90(pixels, turn % 4, (-2, -1))
    return quarters.flip(-1) if turn >= TURNS // 2 else quarters
