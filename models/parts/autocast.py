"""Casts as autocast does, for operations that are not on autocast's list."""

import torch
from torch import Tensor


def as_autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in autocast's dtype where it is enabled for their device; unchanged where it is not, or on the CPU.

    On the CPU half precision saves no time, and what the demo trains there must not depend on it.
    """
    device = tensors[0].device.type
    if device == "cpu" or not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(x.to(dtype) for x in tensors)
