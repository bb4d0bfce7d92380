"""Attention inside each sample of a packed sequence, none between samples.

Samples stand one after the other in one row of tokens. A mask of all tokens against all would cost S x S whatever
it hides; here each sample's attention is worked out by itself, so that its cost is that of the samples, and what
stands beside a sample cannot touch it. On a GPU in half precision one call of torch's variable-length kernel does
all samples; elsewhere a loop over samples calls the causal kernel, which is exact and needs no mask either.

Shapes:  S tokens of the pack, H heads, D channels of a head
"""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel

from models.parts.autocast import as_autocast

PACKED = "packed"
"""Name under which transformers knows this attention."""
CAUSAL = (-1, 0)
"""Tokens that are seen before and after one: all, and none."""
HALF = (torch.bfloat16, torch.float16)
"""The only types torch's variable-length kernel takes."""
KERNEL_SHARES_HEADS = "enable_gqa" in signature(varlen_attn).parameters
"""Whether torch's kernel lets several heads of queries share one of keys; before torch 2.13 it does not say so."""


def sample_ends(lengths: Sequence[int]) -> Tensor:
    """(samples + 1,) places in the pack where samples begin and, last, where the pack ends."""
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)


def positions(lengths: Sequence[int]) -> Tensor:
    """(1, S) place of each token in its own sample."""
    return torch.cat([torch.arange(length) for length in lengths])[None]


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each sample, as transformers calls it.

    Args:
        module: the layer; unused, part of the interface.
        query: (1, H, S, D).
        key: (1, heads of keys, S, D); fewer heads than the query's are shared.
        value: as key.
        attention_mask: must be None.
        scaling: of the scores; one over the root of D if None.
        dropout: must be 0.
        cu_seq_lens_q: `sample_ends`.
        max_length_q: tokens of the longest sample, or more.

    Returns:
        (1, S, H, D), and None for the weights.

    Raises:
        ValueError: the ends of the samples are missing, or a mask or dropout is given.
    """
    if cu_seq_lens_q is None or max_length_q is None or attention_mask is not None or dropout:
        raise ValueError("packed attention takes cu_seq_lens_q and max_length_q, no mask and no dropout")
    shared = key.shape[1] != query.shape[1]
    # Rotary embeddings leave queries and keys in the float32 of the residual stream, and torch's kernel is not on
    # autocast's list. Without this the loop below ran instead: a wait for the GPU in each of 32 layers (`tolist`), and
    # the GPU idle for a third of the step.
    query, key, value = as_autocast(query, key, value)
    if query.is_cuda and query.dtype in HALF:
        ends, longest = cu_seq_lens_q, max_length_q
        options: dict[str, Any] = {"scale": scaling, "window_size": CAUSAL}
        if shared and KERNEL_SHARES_HEADS:
            options["enable_gqa"] = True
        elif shared:
            key, value = (repeat_heads(x, query.shape[1]) for x in (key, value))
        # The kernel takes (S, H, D): all samples in one row, separated by their ends alone.
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        out = varlen_attn(q, k, v, ends, ends, longest, longest, **options)
        assert isinstance(out, Tensor)  # not the pair it is with `return_aux`
        return out[None], None
    # Each slice is square from its own first token, so that the causal kernel's mask is the sample's own.
    # Split, not sliced: the gradient of a slice is as large as the pack, and there is one for each sample.
    lengths: list[int] = cu_seq_lens_q.diff().tolist()
    samples = [
        nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=shared)
        for q, k, v in zip(*(torch.split(x, lengths, dim=2) for x in (query, key, value)), strict=True)
    ]
    return torch.cat(samples, dim=2).transpose(1, 2), None


def repeat_heads(x: Tensor, heads: int) -> Tensor:
    """(1, heads of keys, S, D) -> (1, heads, S, D): each head as often as queries share it, next to itself."""
    return x.repeat_interleave(heads // x.shape[1], dim=1)


def attend_within_samples(language_model: PreTrainedModel) -> None:
    """Have a language model attend within the samples of a pack; its forward then needs `cu_seq_lens_q`."""
    AttentionInterface.register(PACKED, packed_attention)
    language_model.config._attn_implementation = PACKED
