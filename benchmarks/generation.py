"""Generation: how busy the slots are, and questions a second, beside the same questions asked one by one.

    python -m benchmarks.generation [--preset small] [--questions 160] [--slots 8] [--longest 64] [--device cpu]

Random weights, which end no answer by themselves: each question has a length of its own at which it ends, 2 to the
longest, drawn evenly. Prompts have one image and 8 to 120 tokens of text. One by one: transformers' own `generate`, a
question at a time, in the same process.
"""

import argparse
import random
import time

import torch

from models.earthdial.continuous_batching import Usage, answer_all
from models.earthdial.generate import generate
from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.presets import make_config
from models.earthdial.rows import Prompt

IMAGE, END, FILL = 5, 1, 0
FIRST_WORD = 10


def random_model(preset: str, device: str, dtype: torch.dtype) -> EarthDialForConditionalGeneration:
    """A fresh model of a preset."""
    torch.manual_seed(0)
    config = make_config(preset, image_token_id=IMAGE, end_token_id=END, pad_token_id=FILL)
    with torch.device(device):
        return EarthDialForConditionalGeneration(config).to(dtype).eval()


def random_prompts(model: EarthDialForConditionalGeneration, count: int, longest: int) -> list[Prompt]:
    """Questions about one tile of noise each, the short ones first, as a run sorts them."""
    drawn, noise = random.Random(0), torch.Generator().manual_seed(0)
    side, slots = model.config.image_size, model.config.tokens_per_tile
    made = []
    for _ in range(count):
        text = [drawn.randrange(FIRST_WORD, 4096) for _ in range(drawn.randrange(8, 120))]
        pixels = torch.randn(1, 3, side, side, generator=noise)
        ids = [*text[:4], *[IMAGE] * slots, *text[4:]]
        made.append(Prompt(ids, drawn.randint(2, longest), {"pixel_values": pixels}))
    return sorted(made, key=lambda prompt: len(prompt.ids))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--questions", type=int, default=160)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--longest", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = random_model(options.preset, options.device, getattr(torch, options.dtype))
    with torch.no_grad():
        model.lm_head.weight[[END, FILL]] = 0  # never the likeliest
    prompts = random_prompts(model, options.questions, options.longest)

    usage = Usage(options.slots)
    began = time.perf_counter()
    together = {done.number: done.ids for done in answer_all(model, prompts, options.slots, usage)}
    ours = time.perf_counter() - began
    began = time.perf_counter()
    alone = [generate(model, [prompt.ids], dict(prompt.images), prompt.max_new_tokens)[0] for prompt in prompts]
    theirs = time.perf_counter() - began

    lengths = sorted(map(len, alone))
    quarter = len(lengths) // 4
    same = sum(together[number] == ids for number, ids in enumerate(alone))
    where = f"{options.dtype} on {options.device}, {options.threads} threads"
    print(f"preset {options.preset}, {where}: {options.questions} questions")
    print(f"answers of {lengths[0]} to {lengths[-1]} tokens, quartiles {lengths[quarter :: quarter or 1][:3]}")
    print(f"{options.slots} slots busy {usage.busy:.1%}, the last questions included; {usage.steps} steps")
    rates = f"together {options.questions / ours:.2f} questions/s, one by one {options.questions / theirs:.2f}"
    print(f"{rates}: {theirs / ours:.2f} x")
    print(f"equal answers: {same} of {options.questions}")


if __name__ == "__main__":
    main()
