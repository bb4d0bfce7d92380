"""The training step that `benchmarks.gpu_4b` measures: its variants, its network, its packs, and its kernels."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.synthetic import IGNORED, Made, network, packed
from models.earthdial.model import PARTS, EarthDialForConditionalGeneration
from models.parts.packing import attend_within_samples
from tasks.training.distributed import Engine, share
from tasks.training.optimizer import make_optimizer
from tasks.training.packing import pack
from tasks.training.throughput import synchronise
from tasks.vlm.world import World

MAX_KERNELS = 15
LEARNING_RATE = 1e-5


@dataclass(frozen=True)
class Variant:
    """One way to take the step; the defaults are what one GPU of 80 GB has room for in every stage."""

    name: str
    checkpoint_every: int = 1
    """Layers of which one is worked out again in the backward pass; 0 for none."""
    pointwise: bool = False
    """Work out again what is neither a product of matrices nor attention."""
    frozen_vision: bool = False
    """As in stages 2 and 3."""
    compile: bool = True
    parallel: str = "none"
    """fsdp is the recipe's, here over one GPU: bfloat16 weights and activations, where `none` has autocast."""
    packs: int = 4
    """Packs a step of the optimizer; the recipe's 96 are 12 on each of eight GPUs."""
    lengths: int = 1
    """Length of a pack, in packs of the recipe."""
    vocabulary: int | None = None


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("default"),
        Variant("checkpoint-every-2", checkpoint_every=2),
        Variant("checkpoint-every-3", checkpoint_every=3),
        Variant("no-checkpointing", checkpoint_every=0),
        Variant("pointwise", checkpoint_every=0, pointwise=True),
        Variant("pointwise-every-2", checkpoint_every=2, pointwise=True),
        Variant("pointwise-every-3", checkpoint_every=3, pointwise=True),
        Variant("frozen-vision", frozen_vision=True),
        Variant("frozen-vision-no-checkpointing", frozen_vision=True, checkpoint_every=0),
        Variant("frozen-vision-pointwise", frozen_vision=True, checkpoint_every=0, pointwise=True),
        Variant("fsdp", parallel="fsdp"),
        Variant("fsdp-pointwise", parallel="fsdp", checkpoint_every=0, pointwise=True),
        Variant("fsdp-no-checkpointing", parallel="fsdp", checkpoint_every=0),
        Variant("no-compile", compile=False),
        Variant("packs-12", packs=12),
        Variant("frozen-vision-packs-12", packs=12, frozen_vision=True),
        Variant("frozen-vision-pointwise-packs-12", packs=12, frozen_vision=True, checkpoint_every=0, pointwise=True),
        Variant("twice-as-long", lengths=2, packs=2),
        Variant("three-times-as-long", lengths=3, packs=2),
        Variant("four-times-as-long", lengths=4, packs=1),
        Variant("no-checkpointing-twice-as-long", checkpoint_every=0, lengths=2, packs=2),
        Variant("vocabulary-32128", vocabulary=32_128),
    )
}


def say(text: str) -> None:
    """Print unbuffered: where the command is run remotely, its output may be all that is left of a killed run."""
    print(text, flush=True)


@dataclass
class TrainingStep:
    """A network with its optimizer, and the packs of one step."""

    model: EarthDialForConditionalGeneration
    engine: Engine
    optimizer: torch.optim.Optimizer
    packs: list[dict[str, Any]]
    clip: float

    def take(self, packs: Sequence[dict[str, Any]], mark: Callable[[str], None] = lambda _: None) -> float:
        """One step; its loss. `mark` is called at the end of each phase."""
        total = torch.zeros((), device=self.engine.world.device)
        for inputs in packs:
            with self.engine.autocast():
                loss = self.engine.call(**inputs, use_cache=False).loss / len(packs)
            total += loss.detach()
            mark("forward")
            loss.backward()
            mark("backward")
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        synchronise(self.engine.world.device)
        mark("optimizer")
        return float(total)

    def phases(self) -> dict[str, float]:
        """Seconds of each phase of one step."""
        seconds: dict[str, float] = {}
        began = time.perf_counter()

        def mark(phase: str) -> None:
            nonlocal began
            synchronise(self.engine.world.device)
            now = time.perf_counter()
            seconds[phase] = seconds.get(phase, 0.0) + now - began
            began = now

        self.take(self.packs, mark)
        return seconds


def prepare(variant: Variant, recipe: dict[str, Any], preset: str, world: World) -> TrainingStep:
    """A fresh network, ready to be trained; its packs are still to come."""
    changes = {"vocab_size": variant.vocabulary} if variant.vocabulary else {}
    with world.device:
        model = network(preset, **changes)
    model.train_parts(trained_parts(variant))
    attend_within_samples(model.model.language_model)  # type: ignore[arg-type]
    engine = share(
        model,
        world,
        precision=recipe["precision"],
        parallel=variant.parallel,
        checkpoint_every=variant.checkpoint_every,
        compile=variant.compile,
        recompute_pointwise=variant.pointwise,
    )
    optimizer = make_optimizer(model, recipe["weight_decay"])
    for group in optimizer.param_groups:
        group["lr"] = LEARNING_RATE
    return TrainingStep(model, engine, optimizer, [], recipe["clip"])


def trained_parts(variant: Variant) -> list[str]:
    return [part for part in PARTS if part != "vision" or not variant.frozen_vision]


def fill_packs(samples: Sequence[Made], length: int, groups: int, packs: int) -> list[list[Made]]:
    """The samples of each pack."""
    fitting = [sample for sample in samples if len(sample.ids) <= length]
    lengths = np.array([len(sample.ids) for sample in fitting])
    tiles = np.array([sample.tiles for sample in fitting])
    plan = pack(np.arange(len(fitting)), lengths, tiles, length, groups, [0])
    # The fullest: of so few samples the last pack is nearly empty.
    fullest = sorted(range(len(plan)), key=lambda number: -int(lengths[plan[number]].sum()))[:packs]
    return [[fitting[index] for index in plan[number]] for number in fullest]


def padded_pack(samples: list[Made], length: int, device: torch.device) -> dict[str, Any]:
    """A pack as the stage makes it for a compiled network: filled up with tokens that nothing is learned from."""
    short = length - sum(len(sample.ids) for sample in samples)
    if short:
        ids = torch.zeros(short, dtype=torch.long)
        samples = [*samples, Made(ids, torch.full_like(ids, IGNORED), samples[0].pixels[:0], 0)]
    inputs = packed(samples, length)
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in inputs.items()}


def slowest_kernels(step: TrainingStep) -> list[dict[str, Any]]:
    """Seconds and calls of the kernels of a step over one pack, the slowest first."""
    on_gpu = step.engine.world.device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] if on_gpu else [])]
    with torch.profiler.profile(activities=activities) as profile:
        step.take(step.packs[:1])
    rows: list[dict[str, Any]] = []
    for event in profile.key_averages():
        # An operation carries the time of its kernels, which are listed by themselves too.
        if (event.device_type.name == "CUDA") == on_gpu and not event.is_user_annotation:
            taken = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            rows.append({"kernel": event.key, "calls": event.count, "ms": round(taken / 1e3, 3)})
    rows.sort(key=lambda row: -row["ms"])
    whole = sum(row["ms"] for row in rows) or 1.0
    say(f"slowest of {len(rows)} kernels, {whole:.1f} ms in all, of a step over one pack:")
    for row in rows[:MAX_KERNELS]:
        say(f"{row['ms']:>9.2f} ms {row['ms'] / whole:>6.1%} {row['calls']:>6} x  {row['kernel'][:90]}")
    return rows


def release(device: str) -> None:
    """Release a variant's memory and what was compiled for it."""
    gc.collect()
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
