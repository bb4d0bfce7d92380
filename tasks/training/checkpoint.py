"""Checkpoints to resume from: what learns, its optimizer and the log so far, whole or not there at all.

Safetensors and JSON only: nothing is unpickled when a run goes on. Tensors are whole and go by the names of the
parameters, however many processes hold them, so that a run goes on with another number of them. A checkpoint is
written beside its place and renamed into it, so that a kill at any moment leaves the one before. There is no
random state in it: what is random in a step is seeded by the step. Frozen weights are not in it either: a run begins
with the same ones, whatever their precision.
"""

import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor

from tasks.core.errors import TrainingError
from tasks.vlm.world import World

logger = logging.getLogger(__name__)
KEPT = 2
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


@dataclass
class Progress:
    """How far a run has come: everything it knows apart from tensors."""

    step: int = 0
    tokens: int = 0
    visual_tokens: int = 0
    samples: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor of a model by name, on the CPU; empty on all processes but the first."""
    weights: dict[str, Any] = get_model_state_dict(model, options=WHOLE)
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor that learns by name, on the CPU; empty on all processes but the first."""
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not any(isinstance(parameter, DTensor) for parameter in learning.values()):
        return {name: parameter.detach().cpu().contiguous() for name, parameter in learning.items()}
    return {name: tensor for name, tensor in whole_weights(model).items() if name in learning}


def _put(weights: dict[str, Tensor], model: nn.Module) -> None:
    """Give a model the weights that `trained_weights` took from it.

    Raises:
        KeyError: other weights learn here.
        ValueError: a weight has another shape here.
    """
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if weights.keys() != learning.keys():
        raise KeyError(f"other weights learn: {', '.join(sorted(weights.keys() ^ learning.keys()))}")
    wrong = [name for name, parameter in learning.items() if parameter.shape != weights[name].shape]
    if wrong:
        raise ValueError(f"of another shape: {', '.join(wrong)}")
    if any(isinstance(parameter, DTensor) for parameter in learning.values()):
        set_model_state_dict(model, dict(weights), options=StateDictOptions(full_state_dict=True, strict=False))
        return
    with torch.no_grad():
        for name, parameter in learning.items():
            parameter.copy_(weights[name])


def save(folder: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer, world: World) -> Path:
    """Write the checkpoint of `progress.step` under `folder`; all but the last two are removed."""
    place = folder / f"step-{progress.step:08d}"
    weights = trained_weights(model)
    optimizer_state: dict[str, Any] = get_optimizer_state_dict(model, optimizer, options=WHOLE)
    if world.is_first:
        partial = folder / f".{place.name}.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(weights, partial / "model.safetensors")
        state = {
            f"{name}:{key}": value.contiguous()
            for name, values in optimizer_state["state"].items()
            for key, value in values.items()
        }
        save_file(state, partial / "optimizer.safetensors")
        (partial / "progress.json").write_text(json.dumps(asdict(progress)))
        shutil.rmtree(place, ignore_errors=True)
        os.replace(partial, place)
        for old in checkpoints(folder)[:-KEPT]:
            shutil.rmtree(old)
    world.wait()
    return place


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints under `folder`, oldest first. What a kill left half written is not among them."""
    return sorted(path for path in folder.glob("step-*") if (path / "progress.json").is_file())


def resume(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, world: World) -> Progress:
    """Put the newest checkpoint into model and optimizer; a run without one starts from the beginning.

    Raises:
        TrainingError: the checkpoint does not fit the model.
    """
    if world.is_first:
        for partial in folder.glob(".step-*"):
            shutil.rmtree(partial)
    world.wait()
    found = checkpoints(folder)
    if not found:
        return Progress()
    try:
        _put(load_file(found[-1] / "model.safetensors"), model)
        state: dict[str, dict[str, Tensor]] = {}
        for name, tensor in load_file(found[-1] / "optimizer.safetensors").items():
            parameter, key = name.rsplit(":", 1)
            state.setdefault(parameter, {})[key] = tensor
        groups = get_optimizer_state_dict(model, optimizer, options=StateDictOptions())["param_groups"]
        optimizer_state: dict[str, Any] = {"state": state, "param_groups": groups}
        set_optimizer_state_dict(model, optimizer, optimizer_state, options=WHOLE)
    except (RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{found[-1]} does not fit the model ({error}); remove {folder} to train from the beginning"
        ) from error
    progress = Progress(**json.loads((found[-1] / "progress.json").read_text()))
    logger.info("going on after step %d, from %s", progress.step, found[-1])
    return progress
