"""The next token of each of some sequences: the likeliest, or one that is drawn; all of them with one wait for the
device.

Shapes:  B sequences, V rows of the vocabulary
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class ConstraintError(ValueError):
    """No token may follow."""


class Constraint(Protocol):
    """A grammar that an answer keeps to."""

    def allowed(self) -> Tensor:
        """(at most V,) bool on the CPU: the tokens that may come next; none beyond.

        Raises:
            ConstraintError: there is none.
        """

    def take(self, token: int) -> bool:
        """Note the token that was chosen; whether the answer is complete with it."""


@dataclass(frozen=True)
class Choosing:
    """How the tokens of one answer are chosen."""

    temperature: float = 0.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Tokens are drawn from the fewest that have this probability together."""
    generator: torch.Generator | None = None
    """On the CPU; of this answer alone. One number of it is used for each token, whatever else is being answered."""
    top: int | None = None
    """Likeliest tokens that are wanted beside the chosen one; None for no probabilities at all."""
    constraint: Constraint | None = None


GREEDY = Choosing()


@dataclass(frozen=True)
class Chosen:
    """The next token of a sequence."""

    token: int
    finite: bool
    """Whether the model gave numbers at all."""
    logprob: float = math.nan
    """Logarithm of its probability, whatever temperature and grammar are; NaN where it is not wanted."""
    top: tuple[tuple[int, float], ...] = ()
    """(token, logarithm of its probability) of the likeliest."""


def choose(logits: Tensor, choosing: Sequence[Choosing], allowed: Sequence[Tensor | None]) -> list[Chosen]:
    """The next tokens.

    Args:
        logits: (B, V).
        choosing: of each sequence.
        allowed: what its grammar allows, as `Constraint.allowed` has it; None where there is none.
    """
    raw = logits.float()
    columns = [raw.amax(-1).isfinite().double()[:, None]]
    free = raw
    if any(mask is not None for mask in allowed):
        free = raw.masked_fill(_hidden(allowed, raw), -torch.inf)
    tokens = free.argmax(-1)
    drawn = [row for row, one in enumerate(choosing) if one.temperature > 0]
    if drawn:
        tokens[drawn] = _draw(free[drawn], [choosing[row] for row in drawn])
    columns.append(tokens.double()[:, None])
    top = max((one.top for one in choosing if one.top is not None), default=None)
    if top is not None:
        log_p = raw.log_softmax(-1)
        values, likeliest = log_p.topk(min(top, raw.shape[-1]))
        columns += [log_p.gather(-1, tokens[:, None]).double(), likeliest.double(), values.double()]
    # Float64 holds every token's number, so that all of it comes from the device at once.
    rows = torch.cat(columns, -1).tolist()
    return [_read(row, one, 0 if top is None else len(row) // 2 - 1) for row, one in zip(rows, choosing, strict=True)]


def _read(row: list[float], choosing: Choosing, top: int) -> Chosen:
    """One sequence's row: finite, token, then logarithm of probability, the likeliest tokens and theirs."""
    finite, token = bool(row[0]), int(row[1])
    if choosing.top is None:
        return Chosen(token, finite)
    likeliest = zip(row[3 : 3 + top], row[3 + top :], strict=True)
    return Chosen(token, finite, row[2], tuple((int(one), log_p) for one, log_p in likeliest)[: choosing.top])


def _hidden(allowed: Sequence[Tensor | None], logits: Tensor) -> Tensor:
    """(B, V) True where a token may not come."""
    hidden = torch.zeros(logits.shape, dtype=torch.bool)
    for row, mask in enumerate(allowed):
        if mask is not None:
            hidden[row] = True
            hidden[row, : len(mask)] = ~mask[: logits.shape[1]]
    return hidden.to(logits.device, non_blocking=True)


def _draw(logits: Tensor, choosing: Sequence[Choosing]) -> Tensor:
    """(B,) tokens, each from its own distribution by one number of its own generator."""
    device = logits.device
    temperature = torch.tensor([one.temperature for one in choosing], device=device, dtype=torch.float64)
    shifted = (logits - logits.amax(-1, keepdim=True)).double() / temperature[:, None]
    p = shifted.softmax(-1)
    if any(one.top_p < 1 for one in choosing):
        top_p = torch.tensor([one.top_p for one in choosing], device=device, dtype=torch.float64)
        ordered, order = p.sort(dim=-1, descending=True, stable=True)
        beyond = ordered.cumsum(-1) - ordered >= top_p[:, None]
        p = p.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), 0)
    # In the order of the vocabulary, not of likelihood: two tokens that are nearly as likely would change places with
    # the rounding of a batch of another size.
    edges = p.cumsum(-1)
    numbers = [torch.rand((), generator=one.generator, dtype=torch.float64) for one in choosing]
    at = torch.stack(numbers).to(device)[:, None] * edges[:, -1:]
    return torch.searchsorted(edges, at, right=True).clamp(max=logits.shape[1] - 1)[:, 0]
