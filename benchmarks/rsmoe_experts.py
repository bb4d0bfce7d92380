"""Three experts of RS-MoE in one batched forward, and their texts side by side, beside other ways to run them.

    python -m benchmarks.rsmoe_experts [--preset small] [--images 1 4] [--rounds 7] [--tokens 40] [--threads 1]

The language model alone, with random weights: what is before it runs once an image, however many experts there are. A
prompt is 72 tokens. Ways:

    stacked          three experts in one forward, as here
    floor            the same batch without adapters: what three experts cost at least
    one              one expert, its adapter merged: a third of the batch
    separate         three language models one after the other
    adapter_names    one batch with peft's adapters
    set_adapter      peft's adapters one after the other

Rounds are interleaved; figures are medians of the processor's time. Memory is the peak of a process for each way, less
what it had after its imports.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache

from models.rsmoe.experts import Dispatch, add_experts, expert_layers
from models.rsmoe.presets import make_config
from models.rsmoe.prompt import EXPERTS

LENGTH = 72
Way = Callable[[Tensor, int], Any]
"""Takes embeddings (experts * images, LENGTH, D) and the tokens to generate; 0 for one forward."""
WAYS = ("stacked", "floor", "one", "separate", "adapter_names", "set_adapter")


def language_model(preset: str) -> Any:
    """A fresh language model of a preset, without adapters."""
    torch.manual_seed(0)
    config: Any = make_config(preset, end_token_id=1, pad_token_id=0).text_config
    return AutoModelForCausalLM.from_config(config).eval()


def run(model: Any, embeds: Tensor, tokens: int, before: Callable[[int], None] | None = None, **kwargs: Any) -> None:
    """One forward pass, or greedy decoding. `before` is given the tokens of a row before each."""
    cache = DynamicCache() if tokens else None
    for _ in range(max(1, tokens)):
        if before is not None:
            before(embeds.shape[1])
        inputs = {"inputs_embeds": embeds, "past_key_values": cache, "use_cache": cache is not None}
        logits = model(**inputs, logits_to_keep=1, **kwargs).logits
        embeds = model.get_input_embeddings()(logits.argmax(-1))


def stacked(preset: str) -> tuple[Way, Way]:
    """Ours, and the same model with the adapters left out."""
    config, model = make_config(preset, experts=EXPERTS), language_model(preset)
    dispatch: Dispatch = add_experts(
        model, len(EXPERTS), config.lora_targets or (), config.lora_rank, config.lora_alpha, 0.0
    )
    for layer in expert_layers(model).values():
        torch.nn.init.normal_(layer.lora_B, std=0.02)

    def experts(embeds: Tensor, tokens: int) -> None:
        rows = len(embeds) // len(EXPERTS)

        def deal(length: int) -> None:
            dispatch.tokens = (rows * length,) * len(EXPERTS)

        run(model, embeds, tokens, deal)

    def floor(embeds: Tensor, tokens: int) -> None:
        dispatch.tokens = None
        run(model, embeds, tokens)

    return experts, floor


def one(preset: str) -> Way:
    """A third of the batch through a plain language model."""
    model = language_model(preset)
    return lambda embeds, tokens: run(model, embeds[: len(embeds) // len(EXPERTS)], tokens)


def separate(preset: str) -> Way:
    """A language model an expert, in turn."""
    models = [language_model(preset) for _ in EXPERTS]

    def way(embeds: Tensor, tokens: int) -> None:
        for model, part in zip(models, embeds.chunk(len(EXPERTS)), strict=True):
            run(model, part, tokens)

    return way


def with_peft(preset: str) -> tuple[Way, Way]:
    """peft's adapters: in one batch by their names, and in turn."""
    config = make_config(preset, experts=EXPERTS)
    lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=list(config.lora_targets or ()))
    model: Any = get_peft_model(language_model(preset), lora, adapter_name=EXPERTS[0])
    for name in EXPERTS[1:]:
        model.add_adapter(name, lora)
    model.eval()

    def by_names(embeds: Tensor, tokens: int) -> None:
        names = [name for name in EXPERTS for _ in range(len(embeds) // len(EXPERTS))]
        run(model, embeds, tokens, adapter_names=names)

    def in_turn(embeds: Tensor, tokens: int) -> None:
        for name, part in zip(EXPERTS, embeds.chunk(len(EXPERTS)), strict=True):
            model.set_adapter(name)
            model.eval()
            run(model, part, tokens)

    return by_names, in_turn


def make_ways(preset: str, names: tuple[str, ...] = WAYS) -> dict[str, Way]:
    """The ways by name; only what those asked for need is built."""
    ways: dict[str, Way] = {}
    if {"stacked", "floor"} & set(names):
        ways["stacked"], ways["floor"] = stacked(preset)
    if "one" in names:
        ways["one"] = one(preset)
    if "separate" in names:
        ways["separate"] = separate(preset)
    if {"adapter_names", "set_adapter"} & set(names):
        ways["adapter_names"], ways["set_adapter"] = with_peft(preset)
    return {name: ways[name] for name in names}


def embeddings(preset: str, images: int) -> Tensor:
    """What the experts read of some images."""
    text: Any = make_config(preset).text_config
    generator = torch.Generator().manual_seed(1)
    return torch.randn(len(EXPERTS) * images, LENGTH, text.hidden_size, generator=generator) * 0.02


@torch.inference_mode()
def seconds(ways: dict[str, Way], embeds: Tensor, tokens: int, rounds: int) -> dict[str, list[float]]:
    """CPU-seconds of each way in each round; the first round is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = time.process_time()
            way(embeds, tokens)
            if number:
                taken[name].append(time.process_time() - began)
    return taken


def report(title: str, taken: dict[str, list[float]]) -> None:
    """Medians, and the median over the rounds of their ratios to the one expert and to the floor."""
    print(f"\n{title}")
    for name, values in taken.items():
        ratios = [median(x / y for x, y in zip(values, taken[base], strict=True)) for base in ("one", "floor")]
        print(f"  {name:14} {1000 * median(values):8.1f} ms  {ratios[0]:5.2f} x one  {ratios[1]:5.2f} x floor")


def status(what: str) -> int:
    """A line of the kernel's account of this process, in bytes."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def peak(name: str, images: int, options: argparse.Namespace) -> float:
    """MiB that a process of its own needs at most for one way, above its imports."""
    command = [sys.executable, "-m", "benchmarks.rsmoe_experts", "--memory-of", name, "--preset", options.preset]
    command += ["--images", str(images), "--tokens", "2", "--threads", str(options.threads)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=40, help="generated")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-of", choices=WAYS, help="print the peak of one way and end")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        before = status("VmRSS")
        ways = make_ways(options.preset, (options.memory_of,))
        seconds(ways, embeddings(options.preset, options.images[0]), options.tokens, 1)
        print((status("VmHWM") - before) / 2**20)
        return
    ways = make_ways(options.preset)
    print(f"{options.preset}, {options.threads} threads, load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores")
    for images in options.images:
        embeds = embeddings(options.preset, images)
        report(f"{images} images, one forward of {LENGTH} tokens", seconds(ways, embeds, 0, options.rounds))
        taken = seconds(ways, embeds, options.tokens, max(1, options.rounds // 2))
        report(f"{images} images, {options.tokens} tokens generated", taken)
        gains = {
            name: median(x / y for x, y in zip(taken[name], taken["stacked"], strict=True))
            for name in ("separate", "set_adapter")
        }
        print("  side by side beside one after the other: " + ", ".join(f"{g:.2f} x {n}" for n, g in gains.items()))
        memory = {name: peak(name, images, options) for name in WAYS}
        print("  memory, MiB: " + ", ".join(f"{name} {value:.0f}" for name, value in memory.items()))
        print(f"  stacked beside one: {memory['stacked'] / memory['one']:.2f} x")


if __name__ == "__main__":
    main()
