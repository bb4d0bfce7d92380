"""The loop: step after step until the end, a row of log.csv now and then, a checkpoint now and then.

The loss of a step is the mean over all its target tokens, however it is cut into forward passes (EarthDial
means over each forward pass, so that a token of a short one weighs more).
"""

import json
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from models.earthdial.model import EarthDialForConditionalGeneration
from tasks.core.errors import TrainingError
from tasks.training import checkpoint
from tasks.training.batches import Batch, Data
from tasks.training.checkpoint import Progress
from tasks.training.order import Order, learning_rate
from tasks.training.params import RunParams, StageParams

logger = logging.getLogger(__name__)
BETAS = (0.9, 0.999)


class StoppedError(TrainingError):
    """The run was asked to stop (SIGTERM) and has written a checkpoint; the same command goes on from it."""

    exit_code = 75


@dataclass(frozen=True)
class Setup:
    """What a run is made of."""

    model: EarthDialForConditionalGeneration
    train: Data
    val: Data
    order: Order
    common: RunParams
    stage: StageParams
    work: Path

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device


def choose_device(common: RunParams) -> torch.device:
    """The device that `train.common.device` asks for, with the number of CPU threads set.

    Raises:
        TrainingError: a GPU is asked for and there is none.
    """
    if common.threads:
        torch.set_num_threads(common.threads)
    if common.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("train.common.device is cuda, but torch sees no GPU here; use auto or cpu")
    return torch.device("cuda" if common.device != "cpu" and torch.cuda.is_available() else "cpu")


def make_optimizer(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """AdamW on what is trained; weights decay in matrices only."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=1e-8, fused=True)


def train(setup: Setup) -> Progress:
    """Train to the end, from the newest checkpoint under `setup.work` if there is one.

    Raises:
        StoppedError: SIGTERM came; a checkpoint is written.
        TrainingError: the loss is not a number.
    """
    setup.model.train_parts(list(setup.stage.trains))
    optimizer = make_optimizer(setup.model, setup.common.weight_decay)
    progress = checkpoint.resume(setup.work, setup.model, optimizer)
    if not progress.rows:
        progress.rows.append(row(0, 0.0, progress, val_loss=validation_loss(setup)))
    with stop_on_sigterm() as stopping, (setup.work / "progress.jsonl").open("a") as live:
        while progress.step < setup.order.steps:
            one_step(setup, optimizer, progress, live)
            if stopping.is_set or progress.step % setup.common.checkpoint_every == 0:
                checkpoint.save(setup.work, progress, setup.model, optimizer)
            if stopping.is_set:
                raise StoppedError(
                    f"asked to stop after step {progress.step} of {setup.order.steps}; "
                    "a checkpoint is written, the same command goes on from it"
                )
    return progress


def one_step(setup: Setup, optimizer: torch.optim.Optimizer, progress: Progress, live: Any) -> None:
    """One step of the optimizer, and what is logged about it."""
    began = time.monotonic()
    indices = setup.order.samples(progress.step)
    rate = learning_rate(progress.step, setup.order.steps, setup.stage.lr, setup.common.warmup)
    batches = list(setup.train.batches(indices, setup.common.micro_batch))
    targets = sum(batch.targets for batch in batches)
    loss = 0.0
    for batch in batches:
        part = forward(setup, batch, targets)
        part.backward()  # type: ignore[no-untyped-call]
        loss += float(part.detach())
    if not torch.isfinite(torch.tensor(loss)):
        names = ", ".join(setup.train.samples[index][0].sample_id for index in indices[:4])
        raise TrainingError(
            f"the loss of step {progress.step + 1} is {loss} ({names}); lower train.*.lr in params.yaml"
        )
    norm = nn.utils.clip_grad_norm_(setup.model.parameters(), setup.common.clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    progress.step += 1
    progress.samples += len(indices)
    progress.tokens += sum(batch.tokens for batch in batches)
    progress.visual_tokens += sum(batch.visual_tokens for batch in batches)
    record(setup, progress, loss, rate)
    tell(live, setup, progress, batches, loss, float(norm), time.monotonic() - began)


def forward(setup: Setup, batch: Batch, targets: int) -> Tensor:
    """Sum of the batch's token losses over `targets`, the tokens of the whole step."""
    inputs = {name: tensor.to(setup.device, non_blocking=True) for name, tensor in batch.inputs.items()}
    low = setup.common.precision == "bfloat16"
    with torch.autocast(setup.device.type, dtype=torch.bfloat16, enabled=low):
        loss: Tensor = setup.model(**inputs, use_cache=False, num_items_in_batch=targets).loss
    return loss


@torch.no_grad()
def validation_loss(setup: Setup) -> float | None:
    """Mean loss of a target token over the first validation samples; None if there are none."""
    indices = range(min(len(setup.val.samples), setup.common.eval_samples))
    if not indices:
        return None
    modes = [(module, module.training) for module in setup.model.modules()]
    setup.model.eval()  # type: ignore[no-untyped-call]
    batches = list(setup.val.batches(indices, setup.common.micro_batch))
    targets = sum(batch.targets for batch in batches)
    total = sum(float(forward(setup, batch, targets)) for batch in batches)
    for module, training in modes:
        module.training = training
    return total


def record(setup: Setup, progress: Progress, loss: float, rate: float) -> None:
    """A row of log.csv, when one is due: at the first and the last step, and every so many."""
    last = progress.step == setup.order.steps
    due = last or progress.step % setup.common.eval_every == 0
    if progress.step == 1 or due or progress.step % setup.common.log_every == 0:
        epoch = progress.samples / setup.order.epoch_size
        val_loss = validation_loss(setup) if due else None
        progress.rows.append(row(progress.step, epoch, progress, loss, rate, val_loss))


def row(
    step: int,
    epoch: float,
    progress: Progress,
    loss: float | None = None,
    rate: float | None = None,
    val_loss: float | None = None,
) -> dict[str, Any]:
    """One row of log.csv. No clock: the same run gives the same file."""
    return {
        "step": step,
        "epoch": round(epoch, 4),
        "loss": None if loss is None else float(f"{loss:.6g}"),
        "val_loss": None if val_loss is None else float(f"{val_loss:.6g}"),
        "lr": None if rate is None else float(f"{rate:.6g}"),
        "tokens": progress.tokens,
        "visual_tokens": progress.visual_tokens,
    }


def tell(
    live: Any,
    setup: Setup,
    progress: Progress,
    batches: list[Batch],
    loss: float,
    norm: float,
    seconds: float,
) -> None:
    """A line of progress.jsonl, with the clock: for those who watch, never an output."""
    tokens, padding = sum(batch.tokens for batch in batches), sum(batch.padding for batch in batches)
    line = {
        "step": progress.step,
        "steps": setup.order.steps,
        "loss": round(loss, 4),
        "gradient": round(norm, 4),
        "seconds": round(seconds, 4),
        "tokens_per_second": round(tokens / seconds, 1),
        "padding": round(padding / (tokens + padding), 4),
        "gflops": round(flops(setup.model, batches) / seconds / 1e9, 2),
    }
    live.write(json.dumps(line) + "\n")
    live.flush()
    if progress.step % (10 * setup.common.log_every) == 0 or progress.step == setup.order.steps:
        logger.info("step %d of %d, loss %.3f", progress.step, setup.order.steps, loss, extra=line)


def flops(model: EarthDialForConditionalGeneration, batches: list[Batch]) -> float:
    """Arithmetic of a step by the usual count: 2 a weight and token forward, 4 more where gradients go.

    Padding is not counted, and neither is attention between tokens: divided by the device's peak this is the
    MFU.
    """
    patches = model.config.patches_per_tile + 1
    vision = sum(p.numel() for p in model.model.vision_tower.parameters())
    embeddings = sum(p.numel() for p in model.get_input_embeddings().parameters())
    text = sum(p.numel() for p in model.parameters()) - vision - embeddings
    backward = 3 if next(model.model.vision_tower.parameters()).requires_grad else 1
    groups, tokens = sum(batch.groups for batch in batches), sum(batch.tokens for batch in batches)
    return float(2 * (backward * vision * patches * groups + 3 * text * tokens))


class _Flag:
    is_set = False


@contextmanager
def stop_on_sigterm() -> Iterator[_Flag]:
    """A flag that SIGTERM sets, so that the step under way can end and a checkpoint be written."""
    flag = _Flag()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        flag.is_set = True

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, before)
