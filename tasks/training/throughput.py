"""What a step costs and how well the machine is used: a line of progress.jsonl for each, for those who watch.

It holds clocks, so it is never an output. MFU is the arithmetic the samples need (`flops.py` of each network: vision
encoder included, padding and recomputation not, attention inside each sample and its causal half only) over the
time of the step and the peak of all devices.
"""

import json
import logging
import resource
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import torch

from tasks.vlm.world import World

if TYPE_CHECKING:  # readers of chips and of params.yaml, which nothing here needs
    from tasks.training.dataloader import Batch
    from tasks.training.network import Network
    from tasks.training.params import RunParams

logger = logging.getLogger(__name__)
TFLOPS = {"H200": 989.0, "H100": 989.0, "GH200": 989.0, "A100": 312.0, "A800": 312.0, "L40S": 362.0, "L4": 121.0}
"""Dense bfloat16 peak by a part of the GPU's name, from its maker's data sheets."""


def peak_flops(device: torch.device, precision: str, peak_tflops: float | None = None) -> float:
    """Operations a second the device can do at best, and where that is known from in the log.

    Raises nothing for an unknown device: it is then measured by multiplying matrices, which flatters the MFU a
    little.

    Args:
        device: a GPU or the CPU.
        precision: float32 or bfloat16.
        peak_tflops: what `train.common.peak_tflops` says; None to look it up.
    """
    if peak_tflops is not None:
        return peak_tflops * 1e12
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    known = next((peak for part, peak in TFLOPS.items() if part in name.replace("-", " ").split()), None)
    if known is not None and precision == "bfloat16":
        return known * 1e12
    measured = measure_peak(device, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    logger.info("peak of %s measured: %.3f TFLOP/s", name, measured / 1e12)
    return measured


def measure_peak(device: torch.device, dtype: torch.dtype, side: int = 1024, rounds: int = 5) -> float:
    """Operations a second of the best of some products of two matrices."""
    side *= 8 if device.type == "cuda" else 1
    a = torch.ones(side, side, dtype=dtype, device=device)
    seconds = []
    for _ in range(rounds):
        synchronise(device)
        began = time.perf_counter()
        a @ a
        synchronise(device)
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds)


def synchronise(device: torch.device) -> None:
    """Wait for a GPU to finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Cost:
    """What one step worked on, of one process or of all."""

    samples: float
    tokens: float
    padding: float
    flops: float
    digest: float
    """Of which samples they were, in any order and on any number of processes: the same sum, the same samples."""

    @classmethod
    def of(cls, batches: "Sequence[Batch]", model: "Network", trained: Collection[str], rank: int) -> "Cost":
        """The packs of one process."""
        counted = [batch for batch in batches if batch.counts]
        lengths = [length for batch in counted for length in batch.lengths]
        groups = [count for batch in counted for count in batch.groups]
        targets = sum(batch.targets for batch in counted)
        flops = model.step_flops(lengths, groups, targets, trained, lora_rank=rank)
        digest = sum(zlib.crc32(index.to_bytes(8, "little")) for batch in counted for index in batch.samples)
        return cls(
            sum(len(batch.samples) for batch in counted),
            sum(lengths),
            sum(batch.padding for batch in counted),
            flops,
            digest,
        )

    def over(self, world: World) -> "Cost":
        """The same over all processes."""
        return Cost(*world.sum([self.samples, self.tokens, self.padding, self.flops, self.digest]))


class StepLog:
    """Writes a line a step. Only the first process has a file; all take part in the sums."""

    def __init__(
        self,
        live: TextIO | None,
        common: "RunParams",
        world: World,
        steps: int,
        show: Callable[[int, Mapping[str, Any]], None] = lambda *_: None,
    ) -> None:
        self.live, self.common, self.world, self.steps, self.show = live, common, world, steps, show
        self.peak = peak_flops(world.device, common.precision, common.peak_tflops) * world.size

    def write(
        self, step: int, cost: Cost, packs: int, seconds: float, waited: float, loss: float, rate: float, norm: float
    ) -> None:
        """Log one step.

        Args:
            step: counted from 1.
            cost: over all processes.
            packs: over all processes.
            seconds: the step took.
            waited: seconds of them that this process waited for data.
            loss: mean over the step's target tokens.
            rate: learning rate.
            norm: of the gradient, before it was clipped.
        """
        if self.live is None:
            return
        line = {
            "step": step,
            "steps": self.steps,
            "samples": int(cost.samples),
            "samples_digest": int(cost.digest),
            "loss": round(loss, 4),
            "lr": float(f"{rate:.6g}"),
            "gradient": round(norm, 4),
            "seconds": round(seconds, 4),
            "tokens_per_second": round(cost.tokens / seconds, 1),
            "samples_per_second": round(cost.samples / seconds, 2),
            "fill": round(cost.tokens / (packs * self.common.max_length), 4),
            "padding": round(cost.padding / (cost.tokens + cost.padding), 4),
            "stall": round(waited / seconds, 4),
            "mfu": round(cost.flops / seconds / self.peak, 4),
            "gflops": round(cost.flops / seconds / 1e9, 2),
            "peak_memory_mb": round(peak_memory(self.world.device) / 2**20, 1),
        }
        self.live.write(json.dumps(line) + "\n")
        self.live.flush()
        self.show(step, line)
        if step % (10 * self.common.log_every) == 0 or step == self.steps:
            logger.info("step %d of %d, loss %.3f", step, self.steps, loss, extra=line)


def peak_memory(device: torch.device) -> float:
    """Most bytes held so far: of tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
