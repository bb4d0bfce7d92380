"""Experts that share one language model: an adapter for each, all in one batched forward.

A token belongs to one expert, and tokens stand by expert: those of the first, then those of the second, and so on.
The frozen matrix multiplies all of them at once, and each expert's low-rank pair only its own. That is exactly what
peft does with `adapter_names`, which it refuses in training, at a third of the memory of separate language models.

Shapes:  E experts, R rank, S tokens of all experts
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.rsmoe.prompt import ExpertError

MANY_TOKENS = 64


class Dispatch:
    """Which tokens of a forward pass belong to which expert; one for all layers of a language model.

    It is set before each forward and stays until the next, for a backward pass that computes layers again.
    """

    def __init__(self) -> None:
        self.tokens: tuple[int, ...] | None = None
        """Tokens of each expert, in order; None runs the language model without experts."""


class ExpertLinear(nn.Linear):
    """A linear layer with an adapter for each expert. Its own weight keeps its name, so that dense weights load."""

    def __init__(
        self, layer: nn.Linear, dispatch: Dispatch, experts: int, rank: int, alpha: int, dropout: float
    ) -> None:
        super().__init__(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            device="meta",
        )
        # The layer's own parameters, not copies: they may be shared, or without memory.
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_A = nn.Parameter(layer.weight.new_empty(experts, rank, layer.in_features))
        self.lora_B = nn.Parameter(layer.weight.new_empty(experts, layer.out_features, rank))
        self.scaling, self.dispatch = alpha / rank, dispatch
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.reset_adapters()

    @torch.no_grad()
    def reset_adapters(self) -> None:
        """Start so that every expert equals the layer: the first matrix as peft draws it, the second zero."""
        # One draw for all experts, which start as one and the same.
        nn.init.kaiming_uniform_(self.lora_A[0], a=math.sqrt(5))
        self.lora_A.copy_(self.lora_A[:1].expand_as(self.lora_A))
        nn.init.zeros_(self.lora_B)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        out: Tensor = super().forward(x)
        tokens = self.dispatch.tokens
        if tokens is None:
            return out
        return self._adapt(self.dropout(x).flatten(0, -2), out.flatten(0, -2), tokens).view_as(out)

    def _adapt(self, x: Tensor, out: Tensor, tokens: Sequence[int]) -> Tensor:
        """(S, in) and what the layer itself gives (S, out) -> (S, out), each expert's tokens with its own pair."""
        if sum(tokens) != len(x) or len(tokens) != len(self.lora_A):
            raise ExpertError(
                f"{len(x)} tokens for {len(self.lora_A)} experts, but they were dealt out as {tuple(tokens)}"
            )
        # Scaled and added by the product itself: another pass over the outputs costs more than all products of an
        # adapter. By a power of two that is exact; by another factor it would round otherwise than peft does.
        inside = math.frexp(self.scaling)[0] == 0.5
        if len(set(tokens)) == 1:
            down, up = (_transposed(matrix, tokens[0]) for matrix in (self.lora_A, self.lora_B))
            low = torch.bmm(x.view(len(tokens), tokens[0], -1), down)
            stacked = out.view(len(tokens), tokens[0], -1)
            if not inside:
                return (stacked + torch.bmm(low, up) * self.scaling).flatten(0, 1)
            if torch.is_grad_enabled() or out.dtype != up.dtype:
                return torch.baddbmm(stacked, low, up, alpha=self.scaling).flatten(0, 1)
            return stacked.baddbmm_(low, up, alpha=self.scaling).flatten(0, 1)
        # Packs of training: experts have different numbers of tokens.
        parts = zip(torch.split(x, list(tokens)), torch.split(out, list(tokens)), self.lora_A, self.lora_B, strict=True)
        linear = nn.functional.linear
        if not inside:
            return torch.cat([y + linear(linear(part, a), b) * self.scaling for part, y, a, b in parts])
        return torch.cat([torch.addmm(y, linear(part, a), b.mT, alpha=self.scaling) for part, y, a, b in parts])


def _transposed(stack: Tensor, tokens: int) -> Tensor:
    """(E, a, b) -> (E, b, a), laid out anew where a CPU multiplies many tokens with it: its kernel for matrices this
    narrow takes twice as long on a view, and the copy is next to nothing.
    """
    many = tokens >= MANY_TOKENS and stack.device.type == "cpu" and not torch.is_grad_enabled()
    return stack.mT.contiguous() if many else stack.mT


def add_experts(
    language: nn.Module, experts: int, targets: Iterable[str], rank: int, alpha: int, dropout: float
) -> Dispatch:
    """Give each linear layer of a language model whose name ends in one of `targets` an adapter for each expert.

    Raises:
        ExpertError: it has no such layer.
    """
    dispatch, wanted = Dispatch(), tuple(targets)
    found = [name for name, module in language.named_modules() if isinstance(module, nn.Linear)]
    chosen = [name for name in found if name.rpartition(".")[2] in wanted]
    missing = [target for target in wanted if not any(name.endswith(f".{target}") for name in chosen)]
    if missing or not chosen:
        kinds = sorted({name.rpartition(".")[2] for name in found})
        raise ExpertError(
            f"the language model has no {', '.join(missing) or 'layer to adapt'}; its layers are {', '.join(kinds)}"
        )
    for name in chosen:
        parent, _, last = name.rpartition(".")
        layer: Any = language.get_submodule(name)
        setattr(language.get_submodule(parent), last, ExpertLinear(layer, dispatch, experts, rank, alpha, dropout))
    return dispatch


def expert_layers(network: nn.Module) -> dict[str, ExpertLinear]:
    """The adapted layers by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, ExpertLinear)}


@torch.no_grad()
def permute_experts(network: nn.Module, order: Sequence[int]) -> None:
    """Give each expert the adapter of another: the control that shows whether it matters which is which.

    Raises:
        ExpertError: `order` is no order of the experts there are.
    """
    for name, layer in expert_layers(network).items():
        if sorted(order) != list(range(len(layer.lora_A))):
            raise ExpertError(f"{name} has {len(layer.lora_A)} experts; {list(order)} is no order of them")
        for matrix in (layer.lora_A, layer.lora_B):
            matrix.copy_(matrix[list(order)].clone())
