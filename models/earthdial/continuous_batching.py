"""Continuous batching: greedy answers to many questions, each of which makes room for the next when it has ended.

Nothing is padded: each sequence has its own row of one cache of keys and values, its own length and its own positions,
so questions of any length, with any number of images, are decoded together. transformers' continuous batching keeps
the batch as full, but takes token ids only, no images.

Shapes:  B sequences being decoded, H heads, S positions of the cache, D width of a head
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from models.earthdial.model import EarthDialForConditionalGeneration

GROWTH = 64
"""Positions that the cache grows by."""


@dataclass(frozen=True)
class Prompt:
    """One question, ready for the model."""

    ids: list[int]
    max_new_tokens: int
    images: Mapping[str, Tensor] = field(default_factory=dict)
    """Image arguments of the model's `forward`; empty where there is no image."""


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


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, a row for each sequence."""

    is_sliding = False

    def __init__(self, rows: "_Rows") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = rows

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate all rows; heads and width are those of the first question."""
        shape = (self.rows.batch_size, key_states.shape[1], self.rows.capacity, key_states.shape[3])
        self.keys, self.values = key_states.new_zeros(shape), value_states.new_zeros(shape)
        self.is_initialized = True

    def place(self, row: int, keys: Tensor, values: Tensor) -> None:
        """Put the keys and values (1, H, L, D) of a whole prompt into a row."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        assert self.keys is not None and self.values is not None
        # Grown by copying, and only when a longer question comes: room for the model's 131,072 positions would not fit.
        grown = self.rows.capacity - self.keys.shape[2]
        if grown > 0:
            self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, grown))
            self.values = torch.nn.functional.pad(self.values, (0, 0, 0, grown))
        self.keys[row, :, : keys.shape[2]] = keys[0]
        self.values[row, :, : values.shape[2]] = values[0]

    def move(self, source: int, target: int) -> None:
        """The last row replaces one that has ended, so that rows in use stay the first ones."""
        assert self.keys is not None and self.values is not None
        self.keys[target], self.values[target] = self.keys[source], self.values[source]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add one token to each sequence, (B, H, 1, D), each at its own position."""
        assert self.keys is not None and self.values is not None
        batch, at, end = len(key_states), self.rows.at, self.rows.used
        # Indexed by row and position: rows are of different lengths, and concatenation would need padding.
        number = torch.arange(batch, device=at.device)
        self.keys[number, :, at] = key_states[:, :, 0]
        self.values[number, :, at] = value_states[:, :, 0]
        return self.keys[:batch, :, :end], self.values[:batch, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(positions that are attended to, the first of them)."""
        return self.rows.used, 0

    def get_seq_length(self) -> int:
        """Positions before the tokens of this step."""
        return self.rows.used - 1

    def get_max_length(self) -> int:
        """Positions there are."""
        return self.rows.capacity


class _Rows:
    """The size of the cache and which positions of it are in use, the same for all layers."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size, self.capacity, self.used = batch_size, 0, 0
        self.at = torch.empty(0, dtype=torch.long)
        """Position of each sequence's next token, (B,)."""


@dataclass
class _Sequence:
    number: int
    max_new_tokens: int
    length: int
    """Tokens in the cache."""
    answer: list[int] = field(default_factory=list)


@torch.inference_mode()
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
    """
    state = _State(model, batch_size)
    usage = usage or Usage(batch_size)
    waiting = enumerate(prompts)
    following = next(waiting, None)
    while following is not None or state.running:
        while following is not None and state.admits(following[1]):
            yield from state.begin(*following)
            following = next(waiting, None)
        if state.running:
            usage.steps += 1
            usage.decoded += len(state.running)
            yield from state.step()


class _State:
    """The sequences being decoded, and their cache."""

    def __init__(self, model: EarthDialForConditionalGeneration, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size
        self.stops = (model.config.end_token_id, model.config.filler_token_id)
        self.running: list[_Sequence] = []
        text: Any = model.config.text_config
        self.window: int | None = getattr(text, "sliding_window", None)
        rope: Mapping[str, Any] = getattr(text, "rope_parameters", None) or {}
        scaled = rope.get("rope_type") == "longrope"
        # Longrope has one set of frequencies up to the trained length and another beyond, chosen for a whole batch.
        self.border: int | None = rope.get("original_max_position_embeddings") if scaled else None
        self.alone = False
        self.rows = _Rows(batch_size)
        self.layers = [_Layer(self.rows) for _ in range(text.num_hidden_layers)]
        self.cache = Cache(layers=list(self.layers))

    def admits(self, prompt: Prompt) -> bool:
        """Whether there is a row for the prompt now."""
        if not self.running:
            return True
        return len(self.running) < self.batch_size and not self.alone and not self._beyond(prompt)

    def _beyond(self, prompt: Prompt) -> bool:
        return self.border is not None and len(prompt.ids) + prompt.max_new_tokens > self.border

    def begin(self, number: int, prompt: Prompt) -> Iterator[Decoded]:
        """Prefill a free row with a prompt, by itself, and take the first token of its answer."""
        device = self.model.device
        own = DynamicCache()
        out = self.model(
            input_ids=torch.tensor([prompt.ids], device=device),
            **{name: tensor.to(device) for name, tensor in prompt.images.items()},
            past_key_values=own,
            use_cache=True,
            logits_to_keep=1,
        )
        sequence = _Sequence(number, prompt.max_new_tokens, len(prompt.ids))
        if (done := self._take(sequence, int(out.logits[0, -1].argmax()))) is not None:
            yield done
            return
        needed = sequence.length + sequence.max_new_tokens
        self.rows.capacity = max(self.rows.capacity, -(-needed // GROWTH) * GROWTH)
        read: list[Any] = list(own.layers)
        for layer, whole in zip(self.layers, read, strict=True):
            layer.place(len(self.running), whole.keys, whole.values)
        self.running.append(sequence)
        self.alone = self._beyond(prompt)

    def step(self) -> Iterator[Decoded]:
        """Decode one token of each sequence."""
        device = self.model.device
        lengths = torch.tensor([sequence.length for sequence in self.running], device=device)
        self.rows.at, self.rows.used = lengths, max(sequence.length for sequence in self.running) + 1
        places = torch.arange(self.rows.used, device=device)
        # What an earlier and longer sequence left behind a row's own tokens is masked, not erased.
        hidden = places > lengths[:, None]
        if self.window is not None:
            hidden |= places <= lengths[:, None] - self.window
        mask = torch.zeros(hidden.shape, dtype=self.model.dtype, device=device)
        mask.masked_fill_(hidden, torch.finfo(mask.dtype).min)
        out = self.model(
            input_ids=torch.tensor([[sequence.answer[-1]] for sequence in self.running], device=device),
            attention_mask=mask[:, None, None],
            position_ids=lengths[:, None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        tokens = out.logits[:, -1].argmax(-1).tolist()
        ended = []
        for row, (sequence, token) in enumerate(zip(self.running, tokens, strict=True)):
            sequence.length += 1
            if (done := self._take(sequence, token)) is not None:
                ended.append(row)
                yield done
        # From the last row on: the row that moves into a gap has then not ended itself.
        for row in reversed(ended):
            self._free(row)

    def _take(self, sequence: _Sequence, token: int) -> Decoded | None:
        """Add a token to an answer; the answer, if that ends it."""
        if token in self.stops:
            return Decoded(sequence.number, sequence.answer, ended=True)
        sequence.answer.append(token)
        if len(sequence.answer) == sequence.max_new_tokens:
            return Decoded(sequence.number, sequence.answer, ended=False)
        return None

    def _free(self, row: int) -> None:
        last = self.running.pop()
        if row < len(self.running):
            self.running[row] = last
            for layer in self.layers:
                layer.move(len(self.running), row)
