"""Training step of the 4B preset on one GPU: tokens and samples a second, MFU, memory. Random weights and samples.

    python -m benchmarks.gpu_4b [--variants default,no-checkpointing,frozen-vision] [--steps 5] [--minutes 8]
                                [--profile default] [--json FILE] [--device cpu --preset tiny --length 512]

Needs torch, transformers and numpy only, and params.yaml, whose recipe of the preset it takes. The step is that of the
training stage: padded packs, bfloat16 over float32 weights, variable-length attention inside each sample, chunked
cross-entropy, AdamW with all its state, one pack a forward pass. MFU counts the vision encoder, not padding and not
recomputation; of attention only the causal half (`mfu`), or all of it as is usual elsewhere (`usual`).

Each variant starts from a fresh network. One that runs out of memory or fails is named and the next one goes on; what
the time does not suffice for is named too, and the command ends within `--minutes`.
"""

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from torch import distributed
from torch._C._distributed_c10d import HashStore

from benchmarks.gpu_step import (
    VARIANTS,
    Variant,
    fill_packs,
    padded_pack,
    prepare,
    release,
    say,
    slowest_kernels,
    trained_parts,
)
from benchmarks.synthetic import IGNORED, Made, make, network
from models.earthdial.flops import step_flops
from tasks.training.throughput import peak_flops, peak_memory
from tasks.vlm.world import World

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
WARMUP = 2
"""Steps that are not measured: torch compiles in the first one, for the shapes of its packs and then for any."""
RESERVE_SECONDS = 20
"""Of the time, for the table at the end."""


class OutOfTimeError(BaseException):
    """The time is up. No Exception: the compiler would take one for its own failure."""


@dataclass
class Result:
    """What was measured of a variant."""

    variant: str
    outcome: str = "measured"
    """Or why not: out of memory, out of time, failed, not run."""
    steps: list[float] = field(default_factory=list)
    """Seconds of each, those that are not measured too."""
    loss: list[float] = field(default_factory=list)
    seconds: float | None = None
    """Median of the measured steps."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds of the forward passes, the backward passes and the optimizer, waited for one after the other."""
    fill: float | None = None
    tokens_per_second: float | None = None
    samples_per_second: float | None = None
    tflops: float | None = None
    mfu: float | None = None
    usual_mfu: float | None = None
    gib: float | None = None
    kernels: list[dict[str, Any]] = field(default_factory=list)
    """The slowest ones of a step over one pack, where it was profiled."""


def read_recipe(preset: str) -> dict[str, Any]:
    """`train.common` as the stage takes it. PyYAML comes with transformers; pydantic, which checks it, does not."""
    train = yaml.safe_load(PARAMS.read_text())["train"]
    recipe: dict[str, Any] = train["common"] | train["presets"].get(preset, {}).get("common", {})
    return recipe


def measure(
    variant: Variant, options: argparse.Namespace, recipe: dict[str, Any], samples: list[Made], result: Result
) -> None:
    """Fill in `result` as far as it gets."""
    world = World(cuda=options.device == "cuda")
    length = variant.lengths * (options.length or recipe["max_length"])
    chosen = fill_packs(samples, length, variant.lengths * recipe["max_groups"], variant.packs)
    step = prepare(variant, recipe, options.preset, world)
    step.packs = [padded_pack(some, length, world.device) for some in chosen]
    say(f"{variant.name}: network and {len(chosen)} packs of {length} are there")
    for number in range(WARMUP + options.steps):
        began = time.perf_counter()
        result.loss.append(round(step.take(step.packs), 4))
        result.steps.append(time.perf_counter() - began)
        result.gib = peak_memory(world.device) / 2**30
        note = " (with compiling, not measured)" if number == 0 else " (not measured)" if number < WARMUP else ""
        say(f"{variant.name}: step {number + 1} took {result.steps[-1]:.3f} s, loss {result.loss[-1]:.3f}, "
            f"{result.gib:.1f} GiB{note}")  # fmt: skip
        if number >= WARMUP:
            count(result, variant, step.model.config, chosen, length, peak_flops(world.device, recipe["precision"]))
    result.phases = step.phases()
    say(f"{variant.name}: " + ", ".join(f"{phase} {seconds:.3f} s" for phase, seconds in result.phases.items()))
    if variant.name == options.profile:
        result.kernels = slowest_kernels(step)


def count(result: Result, variant: Variant, config: Any, packs: list[list[Made]], length: int, peak: float) -> None:
    """What the measured steps come to."""
    flat = [sample for some in packs for sample in some]
    lengths = [len(sample.ids) for sample in flat]
    tiles = [1] * sum(sample.tiles for sample in flat)
    targets = sum(int((sample.labels != IGNORED).sum()) for sample in flat)
    trained = trained_parts(variant)
    needed, usual = (
        step_flops(config, lengths, tiles, targets, trained, causal=causal).total for causal in (True, False)
    )
    seconds = result.seconds = median(result.steps[WARMUP:])
    result.fill = sum(lengths) / len(packs) / length
    result.tokens_per_second, result.samples_per_second = sum(lengths) / seconds, len(flat) / seconds
    result.tflops = needed / seconds / 1e12
    result.mfu, result.usual_mfu = needed / seconds / peak, usual / seconds / peak


def attempt(variant: Variant, options: argparse.Namespace, recipe: dict[str, Any], samples: list[Made]) -> Result:
    """Measure a variant, whatever comes."""
    result = Result(variant.name)
    several = variant.parallel == "fsdp"
    try:
        if several:
            backend = "nccl" if options.device == "cuda" else "gloo"
            distributed.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
        measure(variant, options, recipe, samples, result)
    except torch.OutOfMemoryError as error:
        result.outcome = "out of memory"
        say(f"{variant.name}: {result.outcome}: {str(error).splitlines()[0]}")
    except OutOfTimeError:
        result.outcome = "out of time"
    except Exception as error:
        result.outcome = f"failed: {type(error).__name__}"
        traceback.print_exc(limit=-6, file=sys.stdout)
    finally:
        if several and distributed.is_initialized():
            distributed.destroy_process_group()
    return result


HEAD = {"first": 8, "step": 8, "tokens/s": 9, "samples/s": 9, "TFLOP/s": 8, "MFU": 6, "usual": 6, "GiB": 6}
"""Columns of the table, with their widths: seconds of the first step and of the median one, and the rest."""


def table(results: Sequence[Result]) -> None:
    """One line a variant."""
    width = max(len(result.variant) for result in results)
    head = "".join(f" {name:>{places}}" for name, places in HEAD.items())
    say(f"{'':<{width}}{head}")
    for result in results:
        figures = "".join(
            f" {'-' if value is None else format(value, form):>{places}}"
            for value, form, places in (
                (result.steps[0] if result.steps else None, ".2f", 8), (result.seconds, ".3f", 8),
                (result.tokens_per_second, ",.0f", 9), (result.samples_per_second, ".2f", 9),
                (result.tflops, ".1f", 8), (result.mfu, ".3f", 6), (result.usual_mfu, ".3f", 6), (result.gib, ".1f", 6),
            )
        )  # fmt: skip
        outcome = "" if result.outcome == "measured" else f"  {result.outcome}"
        say(f"{result.variant:<{width}}{figures}{outcome}")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default="default,no-checkpointing,frozen-vision", help=", ".join(VARIANTS))
    parser.add_argument("--steps", type=int, default=5, help=f"measured, after {WARMUP} that are not")
    parser.add_argument("--minutes", type=float, default=8.0, help="within which the command ends")
    parser.add_argument("--profile", default="", metavar="VARIANT", help="list its slowest kernels; it then comes last")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="the CPU is for trying it out")
    parser.add_argument("--preset", default="4b")
    parser.add_argument("--length", type=int, default=0, help="tokens of a pack; 0 for the recipe's")
    options = parser.parse_args()
    names = options.variants.split(",")
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        parser.error(f"there is no variant '{unknown[0]}'; allowed: {', '.join(VARIANTS)}")
    if options.profile and options.profile not in names:
        parser.error(f"--profile {options.profile} is not among --variants {options.variants}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; to try it out: --device cpu --preset tiny --length 512")
    return options


def main() -> None:
    options = read_options()
    ends = time.monotonic() + 60 * options.minutes - RESERVE_SECONDS
    # The profiler stays attached to the GPU and slows down all launches after it: what it is to look at comes last.
    names = sorted(options.variants.split(","), key=lambda name: name == options.profile)
    variants = [VARIANTS[name] for name in names]
    if options.device == "cpu":
        variants = [replace(variant, compile=False) for variant in variants]
    card = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    say(f"{card}, torch {torch.__version__}, preset {options.preset}")
    recipe = read_recipe(options.preset)
    results = [Result(variant.name, "not run: out of time") for variant in variants]

    def stop(*_: Any) -> None:
        raise OutOfTimeError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, ends - time.monotonic()))
    try:
        with torch.device("meta"):
            sizes = network(options.preset)
        samples = make(sizes, 32 + 8 * max(variant.packs * variant.lengths for variant in variants), groups=1)
        for place, variant in enumerate(variants):
            results[place] = attempt(variant, options, recipe, samples)
            release(options.device)
            if results[place].outcome == "out of time":
                break
    except OutOfTimeError:
        say("out of time")
    signal.setitimer(signal.ITIMER_REAL, 0)
    table(results)
    if options.json:
        machine = {"card": card, "torch": torch.__version__, "preset": options.preset, "command": sys.argv[1:]}
        options.json.write_text(json.dumps({**machine, "results": [asdict(result) for result in results]}, indent=1))
    sys.stdout.flush()
    # Not sys.exit: the compiler's worker processes may be at work still when the time is up.
    os._exit(any(result.outcome.startswith("failed") for result in results))


if __name__ == "__main__":
    main()
