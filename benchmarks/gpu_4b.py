"""Training step of the 4B preset on one GPU: tokens and samples a second, MFU, memory. Random weights and samples.

    python -m benchmarks.gpu_4b [--steps 10] [--packs 4] [--length 4096] [--frozen-vision] [--no-compile]
                                [--no-checkpointing]

The step is that of the training stage: packs of `length` tokens, bfloat16 over float32 weights, variable-length
attention inside each sample, chunked cross-entropy, AdamW with all its state, one pack a forward pass. MFU counts the
vision encoder, not padding and not recomputation; of attention only the causal half (`MFU`), or all of it as is usual
elsewhere (`usual`). Peak: as `train.common.peak_tflops` or the GPU's name says.
"""

import argparse
import sys
import time
from statistics import median

import numpy as np
import torch

from benchmarks.synthetic import Made, make, network, packed
from models.earthdial.flops import step_flops
from models.earthdial.model import PARTS
from models.parts.packing import attend_within_samples
from tasks.inference.world import World
from tasks.training.loop import make_optimizer
from tasks.training.meter import peak_flops
from tasks.training.pack import pack
from tasks.training.parallel import share
from tasks.training.params import load_recipe

GROUPS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="measured, after three that are not")
    parser.add_argument("--packs", type=int, default=4, help="packs a step of the optimizer")
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--preset", default="4b")
    parser.add_argument("--frozen-vision", action="store_true", help="as in stages 2 and 3")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu_4b needs a GPU, and torch sees none here; on the CPU: benchmarks.train_step")
    told = {"parallel": "none", "compile": options.compile, "checkpointing": options.checkpointing}
    common = load_recipe("4b")[1].common.model_copy(update=told)
    world = World(cuda=True)
    trained = [part for part in PARTS if part != "vision" or not options.frozen_vision]
    with world.device:
        model = network(options.preset)
    model.train_parts(trained)
    attend_within_samples(model.model.language_model)
    engine = share(model, world, common)
    optimizer = make_optimizer(model, common.weight_decay)
    for group in optimizer.param_groups:
        group["lr"] = 1e-5

    samples = make(model, 40 * options.packs, groups=1)
    lengths = np.array([len(sample.ids) for sample in samples])
    tiles = np.array([sample.tiles for sample in samples])
    plan = pack(np.arange(len(samples)), lengths, tiles, options.length, GROUPS, [0])
    chosen = [[samples[index] for index in plan[number]] for number in range(options.packs)]
    inputs = [on_device(packed(some, options.length), world.device) for some in chosen]

    seconds, used = [], 0.0
    for step in range(options.steps + 3):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for batch in inputs:
            with engine.autocast():
                loss = engine.call(**batch, use_cache=False).loss / len(inputs)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), common.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        used = float(torch.cuda.max_memory_allocated())
        if step >= 3:
            seconds.append(time.perf_counter() - began)
    tell(model, chosen, trained, median(seconds), peak_flops(common, world.device), used, options)


def on_device(batch: dict[str, object], device: torch.device) -> dict[str, object]:
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}


def tell(
    model: object,
    packs: list[list[Made]],
    trained: list[str],
    seconds: float,
    peak: float,
    used: float,
    options: argparse.Namespace,
) -> None:
    flat = [sample for some in packs for sample in some]
    lengths = [len(sample.ids) for sample in flat]
    tiles = [1] * sum(sample.tiles for sample in flat)
    targets = sum(int((sample.labels != -100).sum()) for sample in flat)
    config = model.config  # type: ignore[attr-defined]
    counts = [step_flops(config, lengths, tiles, targets, trained, causal=causal).total for causal in (True, False)]
    mfu, usual = (count / seconds / peak for count in counts)
    print(
        f"{torch.cuda.get_device_name()}, {options.preset}, packs of {options.length}, {options.packs} a step, ", end=""
    )
    print(f"trains {', '.join(trained)}, compile {options.compile}, checkpointing {options.checkpointing}")
    print(f"fill {sum(lengths) / len(packs) / options.length:.3f}, {len(flat)} samples, {len(tiles)} tiles a step")
    print(f"{seconds:.3f} s a step, {sum(lengths) / seconds:,.0f} tokens/s, {len(flat) / seconds:.2f} samples/s")
    print(f"{counts[0] / seconds / 1e12:.0f} TFLOP/s, MFU {mfu:.3f} (usual {usual:.3f}) of {peak / 1e12:.0f} TFLOP/s")
    print(f"{used / 2**30:.1f} GiB at most")


if __name__ == "__main__":
    main()
