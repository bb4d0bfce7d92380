"""Models that see RGB pictures and were not trained on EarthDial's tags: how they are shown a question."""

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.parts.prompt import IMAGE
from tasks.core.errors import UnaskableError
from tasks.dialogue.conversations import TAGS
from tasks.evaluation.runner.questions import BenchmarkQuestion, QuestionImage
from tasks.vlm.controls import CONTROLS, Mix

SPACES = re.compile(r"[ \t]+")


class RgbModel:
    """The part of the protocol `Model` that is the same for all that see pictures in true colour."""

    def __init__(self, box_form: str) -> None:
        """Say in which form of boxes answers are read."""
        self.box_form = box_form

    def check(self, images: Iterable[QuestionImage], benchmark: str) -> None:
        """Every kind of image has a picture."""

    def length(self, question: BenchmarkQuestion) -> int:
        """Letters of the question.

        Raises:
            UnaskableError: it is not the first of its conversation.
        """
        return len(text_of(question))


def text_of(question: BenchmarkQuestion) -> str:
    """The text of a question.

    Raises:
        UnaskableError: turns come before it, which these models are not given.
    """
    if len(question.turns) > 1:
        raise UnaskableError(
            "several_turns", f"{len(question.turns) - 1} turns come before it, which only ours are given"
        )
    return question.turns[-1][0]


def without_tags(question: str) -> str:
    r"""A published question without `<image>` and tags of sensors and tasks, its `\n` of two characters a line end."""
    text = question.replace(IMAGE, " ").replace("\\n", "\n")
    for tag in TAGS:
        text = text.replace(tag, " ")
    lines = (SPACES.sub(" ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def pictures_of(question: BenchmarkQuestion) -> list[NDArray[np.uint8]]:
    """The images of a question in true colour, (H, W, 3) each, as its control shows them; none without images.

    Raises:
        UnaskableError: one cannot be read, or is grey already.
    """
    control = CONTROLS[question.control] if question.control else None
    if control is not None and control.images == "none":
        return []
    pictures = [image.read().true_colour() for image in question.images]
    return pictures if control is None or control.mix is None else [_mixed(one, control.mix) for one in pictures]


def _mixed(picture: NDArray[np.uint8], mix: Mix) -> NDArray[np.uint8]:
    if (picture == picture[..., :1]).all():
        raise UnaskableError("one_band", "an image without colour has no colour to take, and no order of its bands")
    # A mean of colours is no whole number; what only moves is one before and after.
    planes = mix(np.moveaxis(picture, -1, 0).astype(np.float64))
    return np.ascontiguousarray(np.moveaxis(planes.round().astype(np.uint8), 0, -1))
