"""Greedy answers to many questions: a fixed number of slots decode together, and the slot whose answer has ended takes
the next question at once.

Nothing is padded: each slot has its own row of one cache of keys and values, its own length and its own positions, so
questions of any length, with any number of images, stand side by side. transformers' continuous batching keeps slots
as busy, but takes token ids only, no images.

Shapes:  B slots in use, H heads, S places of the cache, D width of a head
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from models.earthdial.model import EarthDialForConditionalGeneration

STEP = 64
"""Places that the cache grows by."""


@dataclass(frozen=True)
class Prompt:
    """One question, ready for the model."""

    ids: list[int]
    longest: int
    """Most tokens of its answer."""
    images: Mapping[str, Tensor] = field(default_factory=dict)
    """Image arguments of the model's `forward`; empty where there is no image."""


@dataclass(frozen=True)
class Decoded:
    """One answer."""

    number: int
    """Of the question, as they were given."""
    ids: list[int]
    """Without what ends it."""
    whole: bool
    """Whether the model ended it; otherwise it was cut at the longest."""


@dataclass
class Usage:
    """How busy the slots were."""

    slots: int
    steps: int = 0
    answering: int = 0
    """Slots that had a question, summed over the steps."""

    @property
    def busy(self) -> float:
        """Share of all slots, over all steps, that had a question: idle ones at the end count too."""
        return self.answering / (self.steps * self.slots) if self.steps else 1.0


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, a row for each slot."""

    is_sliding = False

    def __init__(self, rows: "_Rows") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = rows

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Room for all slots; of the width that the first question shows."""
        shape = (self.rows.slots, key_states.shape[1], self.rows.room, key_states.shape[3])
        self.keys, self.values = key_states.new_zeros(shape), value_states.new_zeros(shape)
        self.is_initialized = True

    def place(self, row: int, keys: Tensor, values: Tensor) -> None:
        """Put the keys and values (1, H, L, D) of a whole prompt into a row."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        assert self.keys is not None and self.values is not None
        grown = self.rows.room - self.keys.shape[2]
        if grown > 0:
            self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, grown))
            self.values = torch.nn.functional.pad(self.values, (0, 0, 0, grown))
        self.keys[row, :, : keys.shape[2]] = keys[0]
        self.values[row, :, : values.shape[2]] = values[0]

    def move(self, source: int, target: int) -> None:
        """The last row takes the place of one that has ended."""
        assert self.keys is not None and self.values is not None
        self.keys[target], self.values[target] = self.keys[source], self.values[source]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add one token to each slot in use, (B, H, 1, D), each at its own place."""
        assert self.keys is not None and self.values is not None
        used, at, end = len(key_states), self.rows.at, self.rows.longest
        number = torch.arange(used, device=at.device)
        self.keys[number, :, at] = key_states[:, :, 0]
        self.values[number, :, at] = value_states[:, :, 0]
        return self.keys[:used, :, :end], self.values[:used, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(places that are looked at, the first of them)."""
        return self.rows.longest, 0

    def get_seq_length(self) -> int:
        """Places before the tokens of this step."""
        return self.rows.longest - 1

    def get_max_length(self) -> int:
        """Places there are."""
        return self.rows.room


class _Rows:
    """Which places of the cache are in use."""

    def __init__(self, slots: int) -> None:
        self.slots, self.room, self.longest = slots, 0, 0
        self.at = torch.empty(0, dtype=torch.long)
        """Place of each slot's next token, (B,)."""


@dataclass
class _Slot:
    number: int
    longest: int
    length: int
    """Tokens in the cache."""
    answer: list[int] = field(default_factory=list)


@torch.inference_mode()
def answer_all(
    model: EarthDialForConditionalGeneration,
    prompts: Iterable[Prompt],
    slots: int,
    usage: Usage | None = None,
) -> Iterator[Decoded]:
    """Answers by greedy decoding, each as soon as it has ended; prompts are taken from the iterable as slots free up.

    In float32 the answers are those that each question gets alone. Prompts of like length, one after the other, keep
    the cache small.

    Args:
        model: in eval mode.
        prompts: the questions. One that leaves the range of positions the model was trained on, where it has a second
            set of frequencies for longer texts, is answered alone: the choice is made for a whole batch.
        slots: answers that are decoded together.
        usage: counts how busy the slots are.
    """
    state = _State(model, slots)
    usage = usage or Usage(slots)
    waiting = enumerate(prompts)
    following = next(waiting, None)
    while following is not None or state.running:
        while following is not None and state.admits(following[1]):
            yield from state.begin(*following)
            following = next(waiting, None)
        if state.running:
            usage.steps += 1
            usage.answering += len(state.running)
            yield from state.step()


class _State:
    """The slots in use, and their cache."""

    def __init__(self, model: EarthDialForConditionalGeneration, slots: int) -> None:
        self.model, self.slots = model, slots
        self.stops = (model.config.end_token_id, model.config.filler_token_id)
        self.running: list[_Slot] = []
        text: Any = model.config.text_config
        self.window: int | None = getattr(text, "sliding_window", None)
        rope: Mapping[str, Any] = getattr(text, "rope_parameters", None) or {}
        scaled = rope.get("rope_type") == "longrope"
        self.border: int | None = rope.get("original_max_position_embeddings") if scaled else None
        self.alone = False
        self.rows = _Rows(slots)
        self.layers = [_Layer(self.rows) for _ in range(text.num_hidden_layers)]
        self.cache = Cache(layers=list(self.layers))

    def admits(self, prompt: Prompt) -> bool:
        """Whether there is a slot for the prompt now."""
        if not self.running:
            return True
        return len(self.running) < self.slots and not self.alone and not self._beyond(prompt)

    def _beyond(self, prompt: Prompt) -> bool:
        return self.border is not None and len(prompt.ids) + prompt.longest > self.border

    def begin(self, number: int, prompt: Prompt) -> Iterator[Decoded]:
        """Read a prompt into a free slot, by itself, and take the first token of its answer."""
        device = self.model.device
        own = DynamicCache()
        out = self.model(
            input_ids=torch.tensor([prompt.ids], device=device),
            **{name: tensor.to(device) for name, tensor in prompt.images.items()},
            past_key_values=own,
            use_cache=True,
            logits_to_keep=1,
        )
        slot = _Slot(number, prompt.longest, len(prompt.ids))
        if (done := self._take(slot, int(out.logits[0, -1].argmax()))) is not None:
            yield done
            return
        needed = slot.length + slot.longest
        self.rows.room = max(self.rows.room, -(-needed // STEP) * STEP)
        read: list[Any] = list(own.layers)
        for layer, whole in zip(self.layers, read, strict=True):
            layer.place(len(self.running), whole.keys, whole.values)
        self.running.append(slot)
        self.alone = self._beyond(prompt)

    def step(self) -> Iterator[Decoded]:
        """One token more for each slot in use."""
        device = self.model.device
        lengths = torch.tensor([slot.length for slot in self.running], device=device)
        self.rows.at, self.rows.longest = lengths, max(slot.length for slot in self.running) + 1
        places = torch.arange(self.rows.longest, device=device)
        hidden = places > lengths[:, None]
        if self.window is not None:
            hidden |= places <= lengths[:, None] - self.window
        mask = torch.zeros(hidden.shape, dtype=self.model.dtype, device=device)
        mask.masked_fill_(hidden, torch.finfo(mask.dtype).min)
        out = self.model(
            input_ids=torch.tensor([[slot.answer[-1]] for slot in self.running], device=device),
            attention_mask=mask[:, None, None],
            position_ids=lengths[:, None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        tokens = out.logits[:, -1].argmax(-1).tolist()
        ended = []
        for row, (slot, token) in enumerate(zip(self.running, tokens, strict=True)):
            slot.length += 1
            if (done := self._take(slot, token)) is not None:
                ended.append(row)
                yield done
        for row in reversed(ended):
            self._free(row)

    def _take(self, slot: _Slot, token: int) -> Decoded | None:
        """Add a token to an answer; the answer, if that ends it."""
        if token in self.stops:
            return Decoded(slot.number, slot.answer, whole=True)
        slot.answer.append(token)
        if len(slot.answer) == slot.longest:
            return Decoded(slot.number, slot.answer, whole=False)
        return None

    def _free(self, row: int) -> None:
        last = self.running.pop()
        if row < len(self.running):
            self.running[row] = last
            for layer in self.layers:
                layer.move(len(self.running), row)
