"""Models that were not trained on EarthDial's tags: how they see questions and images, and what they share."""

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.earthdial.prompt import IMAGE
from tasks.benchmarks.samples import ImageRef
from tasks.core.conversations import TAGS
from tasks.core.errors import UnaskableError
from tasks.running.pictures import open_picture
from tasks.running.questions import Arm, Asked

SPACES = re.compile(r"[ \t]+")


class Plain:
    """The part of `tasks.running.questions.Model` that is the same for all that see pictures in true colour."""

    def __init__(self, boxes: str) -> None:
        """Say in which form of boxes answers are read."""
        self.boxes = boxes

    def check(self, images: Iterable[ImageRef], benchmark: str) -> None:
        """Every kind of image has a picture."""

    def length(self, asked: Asked) -> int:
        """Letters of the question."""
        return len(asked.sample.question)


def plain_text(question: str) -> str:
    r"""A published question without `<image>` and tags of sensors and tasks, its `\n` of two characters a line end."""
    text = question.replace(IMAGE, " ").replace("\\n", "\n")
    for tag in TAGS:
        text = text.replace(tag, " ")
    lines = (SPACES.sub(" ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def pictures_of(asked: Asked) -> list[NDArray[np.uint8]]:
    """The images of a question in true colour, (H, W, 3) each, as its arm shows them; none without images.

    Raises:
        UnaskableError: one cannot be read, or is grey already.
    """
    if asked.arm == "no-image":
        return []
    pictures = (open_picture(image, asked.folder, asked.sample.benchmark).true_colour() for image in asked.images)
    return [_changed(picture, asked.arm) for picture in pictures]


def _changed(picture: NDArray[np.uint8], arm: Arm) -> NDArray[np.uint8]:
    if arm not in ("shuffled-bands", "greyed"):
        return picture
    if (picture == picture[..., :1]).all():
        raise UnaskableError("one_band", "an image without colour has no colour to take, and no order of its bands")
    if arm == "shuffled-bands":
        return np.roll(picture, 1, axis=-1)
    return np.repeat(picture.mean(axis=-1, keepdims=True).round().astype(np.uint8), 3, axis=-1)
