"""Continuous batching: greedy answers to many questions, each of which makes room for the next when it has ended."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.earthdial.batch import Batch, Taken
from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.rows import Prompt


@dataclass(frozen=True)
class Decoded:
    """One answer."""

    number: int
    """Of the question, as they were given."""
    ids: list[int]
    """Without what ends it."""
    ended: bool
    """Whether the model ended it; otherwise it was cut at `max_new_tokens`."""


@dataclass
class Usage:
    """How full the batch was."""

    batch_size: int
    steps: int = 0
    decoded: int = 0
    """Sequences that were decoded, summed over the steps."""

    @property
    def busy(self) -> float:
        """Share of the batch's rows, over all steps, that held a sequence: idle rows at the end count too."""
        return self.decoded / (self.steps * self.batch_size) if self.steps else 1.0


def answer_all(
    model: EarthDialForConditionalGeneration,
    prompts: Iterable[Prompt],
    batch_size: int,
    usage: Usage | None = None,
) -> Iterator[Decoded]:
    """Answers by greedy decoding, each as soon as it has ended; prompts are taken from the iterable as rows free up.

    In float32 the answers are those that each question gets alone. Prompts of like length, one after the other, keep
    the cache small.

    Args:
        model: in eval mode.
        prompts: the questions. One that leaves the range of positions the model was trained on, where it has a second
            set of frequencies for longer texts, is answered alone: the choice is made for a whole batch.
        batch_size: sequences that are decoded together.
        usage: counts how full the batch is.

    Raises:
        ValueError: the model gave what is no number.
    """
    running = Batch(model, batch_size)
    usage = usage or Usage(batch_size)
    answers: dict[int, list[int]] = {}
    waiting = enumerate(prompts)
    following = next(waiting, None)
    while following is not None or running.running:
        begun: list[tuple[int, Prompt]] = []
        while following is not None and running.admits(following[1], [prompt for _, prompt in begun]):
            begun.append(following)
            answers[following[0]] = []
            following = next(waiting, None)
        if begun:
            yield from _ended(running.begin(begun), answers)
        if running.running:
            usage.steps += 1
            usage.decoded += len(running.running)
            yield from _ended(running.step(), answers)


def _ended(taken: Iterable[Taken], answers: dict[int, list[int]]) -> Iterator[Decoded]:
    """Note the tokens of a step; the answers that it ended."""
    for one in taken:
        if one.failed:
            raise ValueError(f"question {one.number}: {one.failed}")
        if one.chosen is not None:
            answers[one.number].append(one.chosen.token)
        if one.last:
            yield Decoded(one.number, answers.pop(one.number), one.ended)
