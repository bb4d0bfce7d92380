"""Token sequences of different lengths as one tensor.

Shapes:  B sequences, L tokens of the longest
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def pad_left(sequences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Prompts of different lengths -> ids (B, L) and attention mask (B, L): all answers begin at one place."""
    length = max(map(len, sequences))
    ids = torch.full((len(sequences), length), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, length - len(sequence) :] = torch.tensor(sequence)
        mask[row, length - len(sequence) :] = 1
    return ids, mask


def pad_right(sequences: Sequence[Sequence[int]], longest: int) -> tuple[Tensor, Tensor]:
    """Texts, each cut at `longest` tokens -> ids (B, L) and mask (B, L), True where there is a token."""
    cut = [list(sequence[:longest]) for sequence in sequences]
    length = max(1, *map(len, cut)) if cut else 1
    ids = torch.zeros(len(cut), length, dtype=torch.long)
    mask = torch.zeros(len(cut), length, dtype=torch.bool)
    for row, sequence in enumerate(cut):
        ids[row, : len(sequence)], mask[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long), True
    return ids, mask
