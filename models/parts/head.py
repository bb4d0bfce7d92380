"""The matrix before the vocabulary, and a cross-entropy over it that never holds all logits at once.

Shapes:  S tokens, C channels, V rows of the vocabulary, M tokens that a loss is taken on
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.parts.autocast import as_autocast

IGNORED = -100
"""Label of a token that no loss is taken on."""
CHUNK_ROWS = {"cpu": 256}
"""Tokens whose logits are held at a time. On the CPU the whole chunk should stay in the cache."""
CHUNK_ROWS_ELSEWHERE = 1024
"""131 MB of fp32 logits with the 32,064 rows of Phi-3."""


class LanguageHead(nn.Linear):
    """A linear layer without bias that gives logits or, if it is given the targets, their cross-entropy.

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
    """Sum of -log softmax(hidden @ weight.T)[target], fp32, without the logits of all tokens at once."""
    device = hidden_MC.device.type
    hidden_MC, weight_VC = as_autocast(hidden_MC, weight_VC)  # torch's kernel is not on autocast's list
    return _chunked_cross_entropy(hidden_MC, weight_VC, targets_M, CHUNK_ROWS.get(device, CHUNK_ROWS_ELSEWHERE))


def kernel_of_torch(hidden_MC: Tensor, weight_VC: Tensor, targets_M: Tensor, rows: int) -> Tensor:
    """The sum by torch's kernel, which works on `rows` tokens at a time.

    In half precision the kernel adds losses up in half precision: 1,024 tokens over 16,384 rows gave 10.0
    instead of 9.82. There the losses come token by token and are added here, for one more product.
    """
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=rows)
    half = hidden_MC.dtype in (torch.bfloat16, torch.float16)
    losses: Tensor = nn.functional.linear_cross_entropy(
        hidden_MC, weight_VC, targets_M, reduction="none" if half else "sum", options=options
    )
    return losses.float().sum()


def kernel_in_python(hidden_MC: Tensor, weight_VC: Tensor, targets_M: Tensor, rows: int) -> Tensor:
    """The same sum and gradients from torch's older operations, for torch before 2.13, which has no such kernel."""
    wanted = [x.requires_grad and torch.is_grad_enabled() for x in (hidden_MC, weight_VC)]
    total: Tensor = _ChunkedCrossEntropy.apply(hidden_MC, weight_VC, targets_M, rows, *wanted)  # type: ignore[no-untyped-call]
    return total


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Takes the gradients in the forward pass, while a chunk's logits are there, and only scales them in the backward
    pass: three products, as many as with all logits at once.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_MC: Tensor, weight_VC: Tensor, targets_M: Tensor, rows: int, hidden: bool, weight: bool
    ) -> Tensor:
        grad_hidden_MC = torch.empty_like(hidden_MC) if hidden else None
        # In fp32 also where the weight is not: it is a sum over chunks.
        grad_weight_VC = torch.zeros_like(weight_VC, dtype=torch.float32) if weight else None
        total = torch.zeros((), device=hidden_MC.device)
        for start in range(0, len(hidden_MC), rows):
            chunk_RC, targets_R = hidden_MC[start : start + rows], targets_M[start : start + rows]
            # A softmax over 32,000 rows in bf16 would lose the third digit of every loss.
            log_p_RV = (chunk_RC @ weight_VC.T).float().log_softmax(-1)
            total += nn.functional.nll_loss(log_p_RV, targets_R, reduction="sum")
            if not (hidden or weight):
                continue
            grad_RV = log_p_RV.exp_()
            grad_RV[torch.arange(len(targets_R), device=targets_R.device), targets_R] -= 1
            grad_RV = grad_RV.to(weight_VC.dtype)
            if grad_hidden_MC is not None:
                grad_hidden_MC[start : start + rows] = grad_RV @ weight_VC
            if grad_weight_VC is not None:
                grad_weight_VC += grad_RV.T @ chunk_RC
        ctx.gradients, ctx.dtype = (grad_hidden_MC, grad_weight_VC), weight_VC.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden_MC, weight_VC = ctx.gradients
        return (
            None if hidden_MC is None else hidden_MC * grad.to(hidden_MC.dtype),
            None if weight_VC is None else (weight_VC * grad).to(ctx.dtype),
            *(None,) * 4,
        )


_chunked_cross_entropy = kernel_of_torch if hasattr(torch.nn, "LinearCrossEntropyOptions") else kernel_in_python


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
