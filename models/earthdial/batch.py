"""A batch that questions join and leave at any step, each with a way of its own to choose tokens.

Nothing is padded while answers are decoded: each sequence has its own row of one cache of keys and values, its own
length and its own positions, so questions of any length, with any number of images, are decoded together.
transformers' continuous batching keeps the batch as full, but takes token ids only, no images.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from models.earthdial.choose import Chosen, ConstraintError, choose
from models.earthdial.kept import Kept
from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.row_cache import RowCache
from models.earthdial.rows import Prompt, Reader, Row

PREFILLED = 4096
"""Tokens that are read in one step, the padding of shorter questions included; one longer question goes alone."""
NO_NUMBER = "the model gave what is no number; see its weights, and the numbers it computes with"
LARGE = 2048
"""Positions of a cache that is given back once nobody is left in it."""


@dataclass(frozen=True)
class Taken:
    """What one step has added to one answer."""

    number: int
    """Of the question."""
    chosen: Chosen | None
    """The token; None where none was added."""
    ended: bool = False
    """Whether the model ended the answer here."""
    cut: bool = False
    """Whether it ended at its longest instead."""
    failed: str = ""
    """Why there is no answer."""
    cached: int = 0
    """Tokens of the question that were kept from before."""

    @property
    def last(self) -> bool:
        """Whether nothing more comes."""
        return self.ended or self.cut or bool(self.failed)


class Batch:
    """The sequences being decoded, and their cache."""

    def __init__(self, model: EarthDialForConditionalGeneration, rows: int, kept: Kept | None = None) -> None:
        """An empty batch.

        Args:
            model: in eval mode.
            rows: sequences that are decoded together.
            kept: what is kept of one question for the next; nothing if None.
        """
        self.model, self.rows, self.kept = model, rows, kept
        self.stops = (model.config.end_token_id, model.config.filler_token_id)
        self.running: list[Row] = []
        text: Any = model.config.text_config
        rope: Mapping[str, Any] = getattr(text, "rope_parameters", None) or {}
        scaled = rope.get("rope_type") == "longrope"
        # Longrope has one set of frequencies up to the trained length and another beyond, chosen for a whole batch.
        self.border: int | None = rope.get("original_max_position_embeddings") if scaled else None
        self.cache = RowCache(rows, text.num_hidden_layers)
        self.reader = Reader(model, self.cache, kept)

    def admits(self, prompt: Prompt, beside: Sequence[Prompt] = ()) -> bool:
        """Whether there is a row for the prompt now, beside others that are about to begin."""
        there = [*(sequence.prompt for sequence in self.running), *beside]
        return not there or (len(there) < self.rows and not any(map(self._beyond, [*there, prompt])))

    def _beyond(self, prompt: Prompt) -> bool:
        return self.border is not None and len(prompt.ids) + prompt.max_new_tokens > self.border

    @torch.inference_mode()
    def begin(
        self, asked: Sequence[tuple[int, Prompt]], gone: Callable[[int], bool] = lambda _: False
    ) -> Iterator[Taken]:
        """Read questions and take the first token of each answer. Those of like length are read together.

        Args:
            asked: number and prompt; each was admitted.
            gone: whether nobody wants the answer to a question any more; its images are then no work.
        """
        waiting = [self._sequence(number, prompt) for number, prompt in asked]
        waiting.sort(key=lambda one: len(one.new))
        while waiting:
            group = [waiting.pop(0)]
            while waiting and self._alike([*group, waiting[0]]):
                group.append(waiting.pop(0))
            yield from self._read(group, gone)

    def _sequence(self, number: int, prompt: Prompt) -> Row:
        if self.kept is None or prompt.identity is None or self._beyond(prompt):
            return Row(number, prompt, 0)
        cached, copied = self.kept.longest(prompt.identity)
        return Row(number, prompt, cached, cached, copied)

    def _alike(self, group: Sequence[Row]) -> bool:
        """Whether they are read in one step: padding is work for nothing."""
        lengths = [len(one.new) for one in group]
        padded = len(group) * max(lengths)
        return padded <= PREFILLED and padded <= 1.25 * sum(lengths) + 64

    def _read(self, group: Sequence[Row], gone: Callable[[int], bool]) -> Iterator[Taken]:
        capacity = self.cache.capacity
        try:
            chosen, refused = self._first(group, gone)
        except Exception:
            # Whoever runs already must not be asked for the room that there was not.
            self.cache.trim(capacity)
            raise
        first = len(self.running)
        self.running += group
        yield from self._take(list(zip(range(first, first + len(group)), chosen, refused, strict=True)))

    def _first(self, group: Sequence[Row], gone: Callable[[int], bool]) -> tuple[list[Chosen], list[str]]:
        """The first token of each answer, and why there is none; rows after those that run are filled."""
        first, tokens = len(self.running), self.reader.see(group, gone)
        longest = max(len(one.new) for one in group)
        for row, one in enumerate(group, first):
            # A shorter question's padding has places too, which its answer then takes.
            self.cache.reserve(one.cached + max(longest, len(one.new) + one.prompt.max_new_tokens))
            if one.cached:
                self.cache.write(row, one.copied, one.cached)
                one.copied = ()
        return self._chosen(group, first, tokens)

    @torch.inference_mode()
    def step(self) -> Iterator[Taken]:
        """Decode one token of each sequence."""
        chosen, refused = self._chosen(self.running, 0, None)
        yield from self._take(list(zip(range(len(self.running)), chosen, refused, strict=True)))

    @torch.inference_mode()
    def leave(self, number: int) -> None:
        """Take a sequence out; its row is free."""
        for row, one in enumerate(self.running):
            if one.number == number:
                self._free(row)
                return

    def _chosen(self, rows: Sequence[Row], first: int, images: Tensor | None) -> tuple[list[Chosen], list[str]]:
        """The next token of each, and why there is none."""
        allowed: list[Tensor | None] = []
        refused: list[str] = []
        for one in rows:
            constraint = one.prompt.choosing.constraint
            try:
                allowed.append(constraint.allowed() if constraint else None)
                refused.append("")
            except ConstraintError as error:
                allowed.append(None)
                refused.append(str(error))
        logits = self.reader.logits(rows, first, images)
        return choose(logits, [one.prompt.choosing for one in rows], allowed), refused

    def _take(self, rows: Sequence[tuple[int, Chosen, str]]) -> Iterator[Taken]:
        """Add tokens to answers; rows whose answer has ended are free for others."""
        out, last = [], []
        for row, chosen, refused in rows:
            taken = self._add(self.running[row], chosen, refused)
            out.append(taken)
            if taken.last:
                last.append((row, bool(taken.failed)))
        # From the last row on: the row that moves into a gap has then not ended itself.
        for row, failed in reversed(last):
            self._free(row, failed)
        yield from out

    def _add(self, sequence: Row, chosen: Chosen, refused: str) -> Taken:
        taken, token = partial(Taken, sequence.number, cached=sequence.cached), chosen.token
        if refused or not chosen.finite:
            return taken(None, failed=refused or NO_NUMBER)
        if token in self.stops:
            return taken(None, ended=True)
        # One step beyond the longest: it says whether the answer was complete or is cut.
        if len(sequence.answer) == sequence.prompt.max_new_tokens:
            return taken(None, cut=True)
        sequence.answer.append(token)
        constraint = sequence.prompt.choosing.constraint
        return taken(chosen, ended=constraint is not None and constraint.take(token))

    def _free(self, row: int, failed: bool = False) -> None:
        self._keep(row, failed)
        last = self.running.pop()
        if row < len(self.running):
            self.running[row] = last
            self.cache.move(len(self.running), row)
        if failed:
            self.cache.clear(len(self.running))
        if not self.running and self.cache.capacity > LARGE:
            self.cache.release()

    def _keep(self, row: int, failed: bool) -> None:
        one = self.running[row]
        if self.kept is None or one.prompt.identity is None or failed or one.gone or self._beyond(one.prompt):
            return
        if self.kept.room(one.length * self._bytes_per_token):
            identity = one.prompt.identity.longer(one.answer[: one.length - len(one.prompt.ids)])
            self.kept.keep(identity, self.cache.read(row, one.length))

    @cached_property
    def _bytes_per_token(self) -> int:
        return sum(tensor[0, :, 0].nbytes for layer in self.cache.held for tensor in layer.tensors)
