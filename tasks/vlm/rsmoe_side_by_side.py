"""Answers of RS-MoE for a server: one after the other, each step by step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.vlm.answer_text import StopText
from tasks.vlm.network import Ask, Part, Step
from tasks.vlm.sampling import NotHonouredError, Sampling

MIXED = "this model's answer is mixed or joined from several experts"


def check(sampling: Sampling) -> None:
    """Refuse what experts cannot keep to.

    Raises:
        NotHonouredError: names the field.
    """
    if sampling.temperature > 0:
        message = f"temperature is {sampling.temperature}, but this model always takes the likeliest token; set it to 0"
        raise NotHonouredError(message, "temperature")
    if sampling.top_logprobs is not None:
        raise NotHonouredError(f"logprobs: {MIXED}, so no token has one probability; leave it out", "logprobs")
    if sampling.json_schema is not None:
        message = f"response_format: {MIXED}, which no schema can be kept to in; ask for text"
        raise NotHonouredError(message, "response_format")


@dataclass
class _Answer:
    number: int
    steps: Iterator[Step]
    stop: StopText
    shown: str = ""


class RsMoeSideBySide:
    """One of `tasks.vlm.network.SideBySide`, for one answer."""

    rows = 1

    def __init__(self, steps: Callable[[Ask], Iterator[Step]]) -> None:
        self.steps = steps
        self._answer: _Answer | None = None

    @property
    def running(self) -> int:
        """Answers being decoded."""
        return int(self._answer is not None)

    def prepare(self, ask: Ask, sampling: Sampling) -> tuple[Ask, Sampling]:
        """Nothing is worked out."""
        check(sampling)
        return ask, sampling

    def admits(self, prepared: tuple[Ask, Sampling], beside: Sequence[tuple[Ask, Sampling]]) -> bool:
        """Whether no other is being answered."""
        return not self.running and not beside

    def begin(self, asked: Sequence[tuple[int, tuple[Ask, Sampling]]], gone: Callable[[int], bool]) -> Iterator[Part]:
        """The first step of an answer."""
        ((number, (ask, sampling)),) = asked
        self._answer = _Answer(number, self.steps(ask), StopText(sampling.stop))
        yield from self.step()

    def step(self) -> Iterator[Part]:
        """One more step of the answer."""
        assert self._answer is not None
        answer = self._answer
        try:
            step = next(answer.steps)
        except Exception as error:
            self.leave(answer.number)
            yield Part(answer.number, failed=str(error) or repr(error))
            return
        text = answer.stop.add(step.text[len(answer.shown) :])
        answer.shown = step.text
        if step.last and not answer.stop.stopped:
            text += answer.stop.rest()
        part = Part(answer.number, text, step.tokens)
        if answer.stop.stopped or step.last:
            self.leave(answer.number)
            part = replace(part, finish="stop" if step.ended or answer.stop.stopped else "length")
        yield part

    def leave(self, number: int) -> None:
        """Nobody wants this answer any more."""
        if self._answer is not None and self._answer.number == number:
            self._answer = None

    def reset(self) -> None:
        """Leave every answer."""
        self._answer = None
