"""AdamW as the runs take it. torch alone: a training step must run where nothing else is installed."""

import re

import torch
from torch import nn

BETAS = (0.9, 0.999)
VISION = re.compile(r"\bvision_(tower|model)\b")
"""In the names of the parameters of a vision encoder."""


def make_optimizer(model: nn.Module, weight_decay: float, vision_lr: float = 1.0) -> torch.optim.AdamW:
    """AdamW on what is trained; weights decay in matrices only.

    Each group's `share` is what its learning rate is of the run's: `vision_lr` for the vision encoder, 1 for the rest.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (weight_decay if parameter.ndim > 1 else 0.0, vision_lr if VISION.search(name) else 1.0)
            groups.setdefault(key, []).append(parameter)
    settings = [{"params": params, "weight_decay": decay, "share": share} for (decay, share), params in groups.items()]
    return torch.optim.AdamW(settings, lr=0.0, betas=BETAS, eps=1e-8, fused=True)
