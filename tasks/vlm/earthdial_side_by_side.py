"""Answers of EarthDial for a server, side by side: the tokens of `models.earthdial.batch` as text."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from models.earthdial.batch import Batch, Taken
from models.earthdial.choose import Choosing, Chosen
from models.earthdial.kept import Kept, identify
from models.earthdial.rows import Prompt
from models.earthdial.tiles import described
from tasks.vlm.answer_text import AnswerText
from tasks.vlm.json_answers import JsonSchemas
from tasks.vlm.network import Ask, Network, Part
from tasks.vlm.sampling import Sampling, TokenLogprob

SEEDS = 2**64


@dataclass(frozen=True)
class Prepared:
    """A question, and what is asked of its tokens."""

    prompt: Prompt
    sampling: Sampling


@dataclass
class _Answer:
    text: AnswerText
    tokens: int = 0


class EarthDialSideBySide:
    """One of `tasks.vlm.network.SideBySide`."""

    def __init__(self, network: Network, schemas: JsonSchemas, rows: int, kept_bytes: int) -> None:
        """Nothing is being answered yet.

        Args:
            network: of EarthDial's kind.
            schemas: that answers can keep to.
            rows: answers that are decoded together.
            kept_bytes: most that is kept for questions that follow; nothing at 0.
        """
        self.network, self.schemas, self.rows = network, schemas, rows
        self.kept = Kept(kept_bytes) if kept_bytes else None
        self.batch = Batch(network.model, rows, self.kept)
        self._answers: dict[int, _Answer] = {}

    @property
    def running(self) -> int:
        """Answers being decoded."""
        return len(self.batch.running)

    def prepare(self, ask: Ask, sampling: Sampling) -> Prepared:
        """The question with the digests of its tiles, its own generator and its own way through a schema."""
        generator = torch.Generator()
        if sampling.seed is None:
            generator.seed()
        else:
            generator.manual_seed(sampling.seed % SEEDS)
        schema = sampling.json_schema
        constraint = None if schema is None else self.schemas.constraint(schema)
        ids, images, config = list(ask.prompt.ids[0]), described(ask.images), self.network.model.config
        identity = identify(ids, images, config.image_token_id, config.tokens_per_tile) if self.kept else None
        choosing = Choosing(sampling.temperature, sampling.top_p, generator, sampling.top_logprobs, constraint)
        return Prepared(Prompt(ids, sampling.max_new_tokens, images, choosing, identity), sampling)

    def admits(self, prepared: Prepared, beside: Sequence[Prepared]) -> bool:
        """Whether it can begin now, beside others that are about to."""
        return self.batch.admits(prepared.prompt, [one.prompt for one in beside])

    def begin(self, asked: Sequence[tuple[int, Prepared]], gone: Callable[[int], bool]) -> Iterator[Part]:
        """Read questions, together where they can be."""
        left = dict(asked)
        for number, one in asked:
            self._answers[number] = _Answer(AnswerText(self.network.text, one.sampling.stop))
        try:
            yield from self._read(left, gone)
        except torch.AcceleratorError:
            raise  # the device is of no use any more
        except Exception:
            # Which of them it was shows when each is read by itself.
            for number in list(left):
                yield from self._read_alone(number, left[number], gone)

    def _read(self, left: dict[int, Prepared], gone: Callable[[int], bool]) -> Iterator[Part]:
        for taken in self.batch.begin([(number, one.prompt) for number, one in left.items()], gone):
            del left[taken.number]
            yield self._part(taken)

    def _read_alone(self, number: int, prepared: Prepared, gone: Callable[[int], bool]) -> Iterator[Part]:
        try:
            yield from self._read({number: prepared}, gone)
        except torch.AcceleratorError:
            raise
        except Exception as error:
            del self._answers[number]
            yield Part(number, failed=str(error) or repr(error))

    def step(self) -> Iterator[Part]:
        """One more token of every answer."""
        yield from map(self._part, self.batch.step())

    def leave(self, number: int) -> None:
        """Nobody wants this answer any more."""
        self._answers.pop(number, None)
        self.batch.leave(number)

    def reset(self) -> None:
        """Leave every answer; what is kept for questions that follow stays."""
        self._answers.clear()
        self.batch = Batch(self.network.model, self.rows, self.kept)

    def _part(self, taken: Taken) -> Part:
        number, answer = taken.number, self._answers[taken.number]
        text, known = "", list[TokenLogprob]()
        if taken.chosen is not None:
            answer.tokens += 1
            text, ready = answer.text.add(taken.chosen.token, self._known(taken.chosen))
            known += ready
        finish: Literal["stop", "length"] | None = None
        if taken.last and not taken.failed:
            rest, ready = answer.text.rest()
            text, finish = text + rest, "length" if taken.cut else "stop"
            known += ready
        if answer.text.stopped:
            finish = "stop"
        if finish or taken.failed:
            self.leave(number)
        return Part(number, text, answer.tokens, tuple(known), finish, taken.cached, taken.failed)

    def _known(self, chosen: Chosen) -> TokenLogprob | None:
        if math.isnan(chosen.logprob):
            return None
        top = tuple((self._spelled(token), log_p) for token, log_p in chosen.top)
        return TokenLogprob(self._spelled(chosen.token), chosen.logprob, top)

    def _spelled(self, token: int) -> str:
        """A token by itself, those that steer the model as well."""
        text: str = self.network.tokenizer.decode([token])
        return text
