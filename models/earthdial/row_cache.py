"""Keys and values of sequences that are decoded together: a row of one cache each, as long as it is, none padded.

Shapes:  R rows of the cache, n rows that a step works on, Q new tokens of each, H heads, S positions, D width of a head
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

GROWTH = 64
"""Positions that the cache grows by."""
Copied = Sequence[tuple[Tensor, Tensor]]
"""Keys and values (H, L, D) of one sequence, a pair for each layer."""


class RowCache(Cache):
    """What a model of transformers takes as `past_key_values`; `aim` says which rows the next step is about."""

    def __init__(self, rows: int, layers: int) -> None:
        self.rows, self.capacity, self.first, self.used = rows, 0, 0, 0
        self.at = torch.empty(0, 0, dtype=torch.long)
        self.held = [_Layer(self) for _ in range(layers)]
        super().__init__(layers=list(self.held))

    def reserve(self, positions: int) -> None:
        """Room for a sequence of so many tokens."""
        self.capacity = max(self.capacity, -(-positions // GROWTH) * GROWTH)

    def aim(self, first: int, at: Tensor, used: int) -> None:
        """What the next step writes and reads.

        Args:
            first: of the rows it is about; they follow one another.
            at: (n, Q) positions of the new tokens.
            used: positions that are read, from the start of a row.
        """
        self.first, self.at, self.used = first, at, used

    def read(self, row: int, length: int) -> Copied:
        """A copy of the first positions of a row."""
        both = (layer.tensors for layer in self.held)
        return [(keys[row, :, :length].clone(), values[row, :, :length].clone()) for keys, values in both]

    def write(self, row: int, copied: Copied, length: int) -> None:
        """Put the first positions of a copy into a row."""
        for layer, (keys, values) in zip(self.held, copied, strict=True):
            layer.make_room(keys[None], values[None])
            layer.tensors[0][row, :, :length] = keys[:, :length]
            layer.tensors[1][row, :, :length] = values[:, :length]

    def move(self, source: int, target: int) -> None:
        """A row takes the place of another."""
        for layer in self.held:
            for tensor in layer.tensors:
                tensor[target] = tensor[source]

    def clear(self, row: int) -> None:
        """Zeros in a row: what is no number would be none under a mask either."""
        for layer in self.held:
            for tensor in layer.tensors:
                tensor[row] = 0

    def trim(self, positions: int) -> None:
        """Give back what was reserved beyond so many positions."""
        self.capacity = positions
        if not positions:
            self.release()
        for layer in self.held:
            if layer.is_initialized:
                keys, values = layer.tensors
                if keys.shape[2] > positions:
                    layer.keys = keys[:, :, :positions].clone()
                if values.shape[2] > positions:
                    layer.values = values[:, :, :positions].clone()

    def release(self) -> None:
        """Give the memory back; no row may be in use."""
        self.capacity = 0
        for layer in self.held:
            layer.keys = layer.values = None
            layer.is_initialized = False


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """Keys and values (R, H, S, D) of one layer."""

    is_sliding = False

    def __init__(self, rows: RowCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.of = rows

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Both."""
        assert self.keys is not None and self.values is not None
        return self.keys, self.values

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate all rows; heads and width are those of the first question."""
        shape = (self.of.rows, key_states.shape[1], self.of.capacity)
        self.keys = key_states.new_zeros(*shape, key_states.shape[3])
        self.values = value_states.new_zeros(*shape, value_states.shape[3])
        self.is_initialized = True

    def make_room(self, key_states: Tensor, value_states: Tensor) -> None:
        """As many positions as were reserved."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        keys, values = self.tensors
        # Grown by copying, and only when a longer question comes: room for the model's 131,072 positions would not fit.
        # Each by itself, since memory may end between the two.
        if keys.shape[2] < self.of.capacity:
            self.keys = torch.nn.functional.pad(keys, (0, 0, 0, self.of.capacity - keys.shape[2]))
        if values.shape[2] < self.of.capacity:
            self.values = torch.nn.functional.pad(values, (0, 0, 0, self.of.capacity - values.shape[2]))

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add new tokens (n, H, Q, D) at their own positions; all that the step reads, (n, H, used, D)."""
        self.make_room(key_states, value_states)
        keys, values = self.tensors
        first, end = self.of.first, self.of.first + len(key_states)
        # Indexed by row and position: rows are of different lengths, and concatenation would need padding.
        row = torch.arange(first, end, device=keys.device)[:, None]
        keys[row, :, self.of.at] = key_states.transpose(1, 2)
        values[row, :, self.of.at] = value_states.transpose(1, 2)
        return keys[first:end, :, : self.of.used], values[first:end, :, : self.of.used]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(positions that are attended to, the first of them)."""
        return self.of.used, 0

    def get_seq_length(self) -> int:
        """Positions before the tokens of this step."""
        return self.of.used - self.of.at.shape[1]

    def get_max_length(self) -> int:
        """Positions there are."""
        return self.of.capacity
