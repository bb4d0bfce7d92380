"""The matrix before the vocabulary, and a cross-entropy over it that never holds all logits at once.

Shapes:  S tokens, C channels, V rows of the vocabulary, M tokens that a loss is taken on
"""

from typing import Any

import torch
from torch import Tensor, nn

IGNORED = -100
"""Label of a token that no loss is taken on."""
CHUNK_ROWS = {"cpu": 256}
"""Tokens whose logits are held at a time. On the CPU the whole chunk should stay in the cache."""
CHUNK_ROWS_ELSEWHERE = 1024
"""131 MB of fp32 logits with the 32,064 rows of Phi-3."""


class LanguageHead(nn.Linear):
    """A linear layer without bias that gives logits or, if it is told the targets, their cross-entropy.

    The loss is taken inside of this module's own `forward`, so that the weight may be sharded or adapted.
    """

    def __init__(self, channels: int, vocabulary: int) -> None:
        super().__init__(channels, vocabulary, bias=False)

    def forward(self, hidden: Tensor, targets: Tensor | None = None) -> Tensor:
        """(..., C) -> logits (..., V); with `targets` (M,), hidden (M, C) -> the sum of the losses, fp32."""
        if targets is None:
            logits: Tensor = super().forward(hidden)
            return logits
        return summed_cross_entropy(hidden, self.weight, targets)


def summed_cross_entropy(hidden_MC: Tensor, weight_VC: Tensor, targets_M: Tensor) -> Tensor:
    """Sum of -log softmax(hidden @ weight.T)[target], fp32, by torch's chunked kernel.

    In half precision the kernel adds losses up in half precision: 1,024 tokens over 16,384 rows gave 10.0
    instead of 9.82. There the losses come token by token and are added here, for one more product.
    """
    device = hidden_MC.device.type
    if device != "cpu" and torch.is_autocast_enabled(device):  # the kernel is not on autocast's list
        hidden_MC, weight_VC = (x.to(torch.get_autocast_dtype(device)) for x in (hidden_MC, weight_VC))
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=CHUNK_ROWS.get(device, CHUNK_ROWS_ELSEWHERE))
    half = hidden_MC.dtype in (torch.bfloat16, torch.float16)
    losses: Tensor = nn.functional.linear_cross_entropy(
        hidden_MC, weight_VC, targets_M, reduction="none" if half else "sum", options=options
    )
    return losses.float().sum()


def supervised(labels_BS: Tensor) -> tuple[Tensor, Tensor]:
    """Where the next token is one that a loss is taken on (B, S), and those tokens (M,).

    Raises:
        ValueError: there is none, which would be a loss of zero that teaches nothing.
    """
    next_BS = nn.functional.pad(labels_BS[:, 1:], (0, 1), value=IGNORED)
    taught_BS = next_BS != IGNORED
    targets = next_BS[taught_BS]
    if not len(targets):
        raise ValueError(
            f"none of the {labels_BS.numel()} labels is a token to learn (all are {IGNORED} or come first)"
        )
    return taught_BS, targets


def mean_loss(summed: Tensor, tokens: int, num_items_in_batch: Any = None) -> Tensor:
    """The sum over `num_items_in_batch`, counted over all processes and micro-batches; over `tokens` if None."""
    if isinstance(num_items_in_batch, Tensor):
        num_items_in_batch = num_items_in_batch.to(summed.device)
    return summed / (tokens if num_items_in_batch is None else num_items_in_batch)
