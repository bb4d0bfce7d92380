"""Checkpoints to resume from: weights, optimizer, random state and the log so far, whole or not there at all.

Safetensors and JSON only: nothing is unpickled when a run goes on. A checkpoint is written beside its place
and renamed into it, so that a kill at any moment leaves the one before.
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

from tasks.core.errors import TrainingError

logger = logging.getLogger(__name__)
KEPT = 2


@dataclass
class Progress:
    """How far a run has come: everything it knows apart from tensors."""

    step: int = 0
    tokens: int = 0
    visual_tokens: int = 0
    samples: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


def save(folder: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> Path:
    """Write the checkpoint of `progress.step` under `folder`; all but the last two are removed."""
    place = folder / f"step-{progress.step:08d}"
    partial = folder / f".{place.name}.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        partial / "model.safetensors",
    )
    state = {
        f"{index}.{key}": value.contiguous()
        for index, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }
    save_file(state, partial / "optimizer.safetensors")
    save_file(random_state(), partial / "random.safetensors")
    (partial / "progress.json").write_text(json.dumps(asdict(progress)))
    shutil.rmtree(place, ignore_errors=True)
    os.replace(partial, place)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return place


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints under `folder`, oldest first. What a kill left half written is not among them."""
    return sorted(path for path in folder.glob("step-*") if (path / "progress.json").is_file())


def resume(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put the newest checkpoint into model and optimizer; a run without one starts from the beginning.

    Raises:
        TrainingError: the checkpoint does not fit the model.
    """
    for partial in folder.glob(".step-*"):
        shutil.rmtree(partial)
    found = checkpoints(folder)
    if not found:
        return Progress()
    try:
        model.load_state_dict(load_file(found[-1] / "model.safetensors"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in load_file(found[-1] / "optimizer.safetensors").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"{found[-1]} does not fit the model ({error}); remove {folder} to train from the beginning"
        ) from error
    set_random_state(load_file(found[-1] / "random.safetensors"))
    progress = Progress(**json.loads((found[-1] / "progress.json").read_text()))
    logger.info("going on after step %d, from %s", progress.step, found[-1])
    return progress


def random_state() -> dict[str, Tensor]:
    """State of torch's generators."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def set_random_state(states: dict[str, Tensor]) -> None:
    """Put torch's generators into the states of `random_state`."""
    torch.set_rng_state(states["cpu"])
    for index in range(torch.cuda.device_count()):
        if f"cuda.{index}" in states:
            torch.cuda.set_rng_state(states[f"cuda.{index}"], index)
