"""What passes between a run, its source of questions, and the model it asks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tasks.core.errors import EarthloomError, UnaskableError
from tasks.evaluation.names import Task
from tasks.evaluation.runner.sensor_images import CalibratedImage, Kind
from tasks.vlm.controls import ControlName, Shown


class RunError(EarthloomError):
    """A run that cannot begin, or cannot go on for now."""


class QuestionImage(Shown, Protocol):
    """One image of a question, not opened yet."""

    @property
    def key(self) -> str:
        """Alike for two images only if what is read of them is alike."""

    @property
    def date(self) -> datetime | None:
        """When it was taken, in UTC; None where nobody tells."""

    def kind(self) -> Kind:
        """Its sensor and bands, without a look at its pixels.

        Raises:
            UnaskableError: nothing says which sensor it is of.
        """

    def size(self) -> tuple[int, int]:
        """(width, height), without a look at its pixels where they are known.

        Raises:
            UnaskableError: it has to be opened for that, and cannot be.
        """

    def read(self) -> CalibratedImage:
        """Its calibrated planes, in the order they are shown.

        Raises:
            UnaskableError: it cannot be read, or is not what it should be.
        """


@dataclass(frozen=True)
class BenchmarkQuestion:
    """One question as it is asked: with its own images, or as a control asks it."""

    number: int
    """In its source."""
    turns: tuple[tuple[str, str], ...]
    """(question, answer) of the conversation so far; the last answer is empty. `<image>` stands for an image."""
    images: tuple[QuestionImage, ...]
    """Its own, or those of another one."""
    box_form: str = "earthdial"
    """Form of the boxes in its text, a name out of `tasks.dialogue.boxes.FORMS`."""
    control: ControlName | None = None
    """None for the question as it is."""


class QuestionSource(Protocol):
    """Questions with their truths, by number: an imported benchmark, or the held-out split of the demo."""

    name: str
    task: Task
    modality: str
    """Of questions that do not name their own."""
    box_form: str
    """Form of the boxes in questions and truths."""

    @property
    def record(self) -> Mapping[str, Any]:
        """How it came about: source, comparable, digest, rejected (questions left out, by reason)."""

    def __len__(self) -> int:
        """Questions."""

    @property
    def digest(self) -> str:
        """Hash of everything that is read of it, pixels included."""

    def outlines(self) -> list[tuple[str, Sequence[QuestionImage]]]:
        """(group, images) of every question, without pixels: enough to plan a run."""

    def question(self, number: int) -> BenchmarkQuestion:
        """One question, with its own images."""

    def rows(self) -> list[dict[str, Any]]:
        """What predictions.parquet says of each question before it is answered, with `boxes`, the true ones.

        The columns are id, split, image_id, question_type, size_group, answer_type, options, question and
        references, and where questions differ in them sensor and modality.
        """


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
    def box_form(self) -> str:
        """The form it writes boxes in, a name out of `tasks.dialogue.boxes.FORMS`."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What its answers depend on; JSON, without anything of this machine."""

    def check(self, images: Iterable[QuestionImage], benchmark: str) -> None:
        """Refuse a benchmark whose kinds of images the model cannot be shown at all.

        Args:
            images: one of each kind that there is, not opened.
            benchmark: its name.

        Raises:
            RunError: says what is missing.
        """

    def length(self, question: BenchmarkQuestion) -> int:
        """What questions are sorted by, so that those side by side are alike.

        Raises:
            UnaskableError: it cannot be asked.
        """

    def answer(self, questions: Iterable[BenchmarkQuestion]) -> Iterator[Answer]:
        """An answer to each, in the order in which they end; questions are taken one by one as there is room."""


@dataclass(frozen=True)
class EvaluationJob:
    """What is run."""

    model: Model
    name: str
    """What the model is called in tables."""
    source: QuestionSource
    controls: Sequence[ControlName] = ()
    training: str | None = None
    """Name of what the model was trained on, as `earthloom leakage` files it."""

    @property
    def asked(self) -> list[ControlName | None]:
        """The questions as they are, and the controls."""
        return [None, *self.controls]
