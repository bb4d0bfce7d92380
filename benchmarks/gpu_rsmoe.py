"""RS-MoE on one GPU at preset 1b: stage 2 and generation, experts that share a language model beside separate ones.

    python -m benchmarks.gpu_rsmoe [--steps 5] [--samples 48] [--images 1 4 16] [--tokens 40] [--minutes 8]
                                   [--json FILE] [--device cpu --preset tiny]

Needs torch, transformers and numpy only. Random weights and samples. A step of stage 2 trains router and experts: a
pack of samples for all experts, bfloat16 over float32 weights, variable-length attention inside each sequence, chunked
cross-entropy, AdamW. MFU counts what the samples need, vision encoder and Q-Former included. Generation is greedy in
bfloat16, captions of all experts side by side; encoding the images is part of it, and each text has all its tokens.

What runs out of memory is named, and what the time does not suffice for; the command ends soon after `--minutes`.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from models.parts.packing import attend_within_samples, positions, sample_ends
from models.rsmoe.generate import Prompt, answer
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.presets import make_config
from models.rsmoe.prompt import EXPERTS
from tasks.training.distributed import share
from tasks.training.optimizer import make_optimizer
from tasks.training.throughput import peak_flops, peak_memory, synchronise
from tasks.vlm.world import World

FILL, END, SLOT, FIRST_WORD = 0, 1, 5, 10
TEMPLATE, QUESTION, ANSWER = 18, 20, 40
"""Tokens of an expert's template, of a question, and of what an expert learns of a caption."""
REALISATIONS = ("shared", "separate")
WARMUP = 2


@dataclass
class Result:
    """What was measured."""

    what: str
    outcome: str = "measured"
    seconds: float | None = None
    tokens_per_second: float | None = None
    mfu: float | None = None
    gib: float | None = None

    def line(self) -> str:
        """As one line of the table."""
        if self.seconds is None:
            return f"{self.what:34} {self.outcome}"
        mfu = "" if self.mfu is None else f"  MFU {self.mfu:.3f}"
        return (
            f"{self.what:34} {self.seconds:8.3f} s  {self.tokens_per_second:10,.0f} tokens/s{mfu}  {self.gib:.1f} GiB"
        )


def network(preset: str, realisation: str, world: World, dtype: torch.dtype) -> RsMoeForConditionalGeneration:
    """A mixture of random weights."""
    torch.manual_seed(0)
    config = make_config(
        preset, image_token_id=SLOT, end_token_id=END, pad_token_id=FILL, experts=EXPERTS, realisation=realisation
    )
    with world.device:
        return RsMoeForConditionalGeneration(config).to(dtype)


def question(model: RsMoeForConditionalGeneration, seed: int) -> Prompt:
    """A question for a caption, about one tile of noise."""
    config, generator = model.config, torch.Generator().manual_seed(seed)
    text: Any = config.text_config
    qformer: Any = config.qformer_config
    words = torch.randint(FIRST_WORD, text.vocab_size, (len(EXPERTS) + 1, TEMPLATE + QUESTION), generator=generator)
    asked = [*[SLOT] * config.tokens_per_tile, *words[-1, :QUESTION].tolist(), END]
    ids = tuple((FIRST_WORD, *row[:TEMPLATE].tolist(), END, *asked) for row in words[:-1])
    read = torch.randint(FIRST_WORD, qformer.vocab_size, (QUESTION,), generator=generator)
    side = config.image_size
    images = {
        "pixel_values": torch.randn(1, 3, side, side, generator=generator),
        "tile_of_group": torch.zeros(1, dtype=torch.long),
    }
    return Prompt(ids, tuple(read.tolist()), images, joined=True)


def pack(model: RsMoeForConditionalGeneration, samples: int, world: World) -> dict[str, Any]:
    """Arguments of the forward pass for some samples, each learned by every expert."""
    prompts = [question(model, seed) for seed in range(samples)]
    generator = torch.Generator().manual_seed(1)
    rows, labels = [], []
    for expert in range(len(EXPERTS)):
        for prompt in prompts:
            said = torch.randint(FIRST_WORD, model.config.text_config.vocab_size, (ANSWER,), generator=generator)
            ids = [*prompt.ids[expert], *said.tolist()]
            rows.append(ids)
            labels.append([-100] * len(prompt.ids[expert]) + said.tolist())
    lengths = [len(row) for row in rows]
    places = sample_ends(lengths)[:-1, None].long() + 1 + torch.arange(model.config.prompt_tokens)
    each = torch.arange(samples)
    arguments = {
        "input_ids": torch.tensor([token for row in rows for token in row])[None],
        "labels": torch.tensor([label for row in labels for label in row])[None],
        "position_ids": positions(lengths),
        "cu_seq_lens_q": sample_ends(lengths),
        "pixel_values": torch.cat([prompt.images["pixel_values"] for prompt in prompts]),
        "tile_of_group": each,
        "instruction_ids": torch.tensor([prompt.instruction for prompt in prompts]),
        "instruction_mask": torch.ones(samples, QUESTION, dtype=torch.bool),
        "sample_of_tile": each,
        "tile_order": each.repeat(len(EXPERTS)),
        "expert_of_sequence": torch.arange(len(EXPERTS)).repeat_interleave(samples),
        "sample_of_sequence": each.repeat(len(EXPERTS)),
        "prompt_places": places,
    }
    on_device = {name: tensor.to(world.device) for name, tensor in arguments.items()}
    tokens = (sum(lengths) // len(EXPERTS),) * len(EXPERTS)
    return {**on_device, "expert_tokens": tokens, "max_length_q": max(lengths), "skip_logits": True}


def train(result: Result, realisation: str, options: argparse.Namespace, world: World) -> None:
    """Steps of stage 2."""
    model = network(options.preset, realisation, world, torch.float32)
    trained = ["router", "experts"]
    model.train_parts(trained)
    for one in model.text_models:
        attend_within_samples(one)
    precision = "bfloat16" if world.cuda else "float32"
    engine = share(
        model,
        world,
        precision=precision,
        parallel="none",
        checkpoint_every=0,
        recompute_pointwise=False,
        compile=False,
    )
    optimizer = make_optimizer(model, 0.05)
    inputs = pack(model, options.samples, world)
    taken = []
    for _ in range(WARMUP + options.steps):
        began = time.perf_counter()
        with engine.autocast():
            loss = engine.call(**inputs, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        synchronise(world.device)
        taken.append(time.perf_counter() - began)
    lengths = torch.diff(inputs["cu_seq_lens_q"]).tolist()
    targets = options.samples * len(EXPERTS) * ANSWER
    flops = model.step_flops(lengths, [1] * options.samples, targets, trained)
    result.seconds = median(taken[WARMUP:])
    result.tokens_per_second = sum(lengths) / result.seconds
    result.mfu = flops / result.seconds / peak_flops(world.device, precision)


def generate(result: Result, realisation: str, images: int, options: argparse.Namespace, world: World) -> None:
    """Captions of some images."""
    dtype = torch.bfloat16 if world.cuda else torch.float32
    model = network(options.preset, realisation, world, dtype).eval()
    with torch.no_grad():
        # Never the likeliest: every text has all its tokens.
        for one in (model.language_model, *getattr(model, "expert_models", ())):
            one.lm_head.weight[[FILL, END]] = 0
    prompts = [question(model, seed) for seed in range(images)]
    taken = []
    for _ in range(WARMUP + max(1, options.steps // 2)):
        began = time.perf_counter()
        said = answer(model, prompts, options.tokens)
        synchronise(world.device)
        taken.append(time.perf_counter() - began)
    result.seconds = median(taken[WARMUP:])
    result.tokens_per_second = sum(len(text) for one in said for text in one.ids) / result.seconds


def measure(what: str, work: Callable[[Result], None], world: World, ends: float) -> Result:
    """One line of the table; running out of memory or time is its outcome."""
    result = Result(what)
    if time.monotonic() > ends:
        result.outcome = "not run: out of time"
        return result
    if world.cuda:
        torch.cuda.reset_peak_memory_stats()
    try:
        work(result)
        result.gib = peak_memory(world.device) / 2**30
    except torch.OutOfMemoryError as error:
        result.outcome = f"out of memory: {str(error).splitlines()[0]}"
    gc.collect()
    if world.cuda:
        torch.cuda.empty_cache()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="1b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="the CPU is for trying it out")
    parser.add_argument("--steps", type=int, default=5, help=f"measured, after {WARMUP} that are not")
    parser.add_argument("--samples", type=int, default=48, help="of a pack")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 4, 16], help="captioned side by side")
    parser.add_argument("--tokens", type=int, default=40, help="of each expert's text")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which nothing more is begun")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; to try it out: --device cpu --preset tiny")
    if options.device == "cpu":
        torch.set_num_threads(1)
    world, ends = World(cuda=options.device == "cuda"), time.monotonic() + 60 * options.minutes
    card = torch.cuda.get_device_name() if world.cuda else f"CPU, {torch.get_num_threads()} threads"
    print(f"{card}, torch {torch.__version__}, preset {options.preset}", flush=True)
    results = []
    jobs: list[tuple[str, Callable[[Result], None]]] = []
    for images in options.images:
        for kind in REALISATIONS:
            name = f"captions of {images}, {kind}"
            jobs.append((name, lambda out, kind=kind, images=images: generate(out, kind, images, options, world)))
    for kind in REALISATIONS:
        jobs.append((f"step of stage 2, {kind}", lambda out, kind=kind: train(out, kind, options, world)))
    for name, work in jobs:
        results.append(measure(name, work, world, ends))
        print(results[-1].line(), flush=True)
    if options.json:
        facts = {"card": card, "torch": torch.__version__, "preset": options.preset, "command": sys.argv[1:]}
        options.json.write_text(json.dumps({**facts, "results": [asdict(one) for one in results]}, indent=1))


if __name__ == "__main__":
    main()
