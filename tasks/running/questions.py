"""What passes between a run and the model it asks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tasks.benchmarks.samples import BenchmarkSample, ImageRef
from tasks.core.errors import EarthloomError, UnaskableError
from tasks.scoring.names import Control

Arm = Literal["answer"] | Control
"""The plain question, or one of its controls."""


class RunError(EarthloomError):
    """A run that cannot begin, or cannot go on for now."""


@dataclass(frozen=True)
class Asked:
    """One question of an arm."""

    number: int
    """Of the sample in its benchmark."""
    sample: BenchmarkSample
    images: tuple[ImageRef, ...]
    """The sample's own, or those of another one."""
    folder: Path
    """Of the imported benchmark, that paths of images are relative to."""
    arm: Arm = "answer"


@dataclass(frozen=True)
class Answer:
    """What came of a question. A rejected one has no text, which every scorer counts as wrong."""

    number: int
    prompt: str = ""
    """As the model was given it, images as `<image>`."""
    text: str = ""
    stop: str = ""
    """end: the model ended it; length: it was cut at the longest; empty where it was not asked."""
    prompt_tokens: int | None = None
    """Images included; None where the model does not tell."""
    rejected: str = ""
    """Why it could not be asked: a code."""
    detail: str = ""

    @classmethod
    def refused(cls, number: int, error: UnaskableError) -> "Answer":
        """The row of a question that could not be asked."""
        return cls(number, rejected=error.reason, detail=str(error))


class Model(Protocol):
    """Whatever answers questions about images."""

    @property
    def boxes(self) -> str:
        """The form it writes boxes in, a name out of `tasks.core.boxes.FORMS`."""
        ...

    @property
    def told(self) -> Mapping[str, Any]:
        """What its answers depend on; JSON, without anything of this machine."""
        ...

    def check(self, images: Iterable[ImageRef], benchmark: str) -> None:
        """Refuse a benchmark whose kinds of images the model cannot be shown at all.

        Args:
            images: one of each kind that there is, without pixels.
            benchmark: its name.

        Raises:
            RunError: says what is missing.
        """
        ...

    def length(self, asked: Asked) -> int:
        """What questions are sorted by, so that those side by side are alike.

        Raises:
            UnaskableError: it cannot be asked.
        """
        ...

    def answer(self, asked: Iterable[Asked]) -> Iterator[Answer]:
        """An answer to each, in the order in which they end; questions are taken one by one as there is room."""
        ...
