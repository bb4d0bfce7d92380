"""Answers of a server: questions of as many clients at once, side by side, beside the same questions one by one.

    python -m benchmarks.serving [--questions 32] [--batch 8] [--longest 64] [--threads 1]

Two models: the sample's own start, whose answers are short, and random weights of preset `small`, which end no answer
by themselves: each question has a length of its own, 8 to the longest. Images of noise, every third in all bands, a
third of the questions the next turn of a conversation. One by one: transformers' own `generate`, a question at a time,
in the same process. Nothing is kept of one question for the next, but in the last figure.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from models.earthdial.generate import generate
from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.presets import make_config
from models.parts.prompt import SYSTEM, headed
from tasks.earth.sensors import SENSORS
from tasks.serving.generation import Generated, Generator, Sampling
from tasks.vlm.answerer import Answerer, Question
from tasks.vlm.bands import modality_tag
from tasks.vlm.images import preprocess
from tasks.vlm.network import Ask

START = Path(__file__).resolve().parents[1] / "samples/start/tiny"
ASKED = (
    "What covers most of this image?",
    "Describe this image.",
    "Is there water in this image?",
    "Which share of this image is forest?",
    "List the land cover classes of this image.",
)
SENSOR = "sentinel-2"
T = TypeVar("T")


def random_checkpoint(folder: Path) -> Path:
    """Preset `small` of random weights, which ends no answer, with the tokenizer of the sample's start."""
    shutil.copytree(START, folder)
    given = Answerer(START).model.config
    torch.manual_seed(0)
    config = make_config(
        "small",
        vocab_size=given.text_config.vocab_size,
        image_token_id=given.image_token_id,
        end_token_id=given.end_token_id,
        pad_token_id=given.filler_token_id,
    )
    model = EarthDialForConditionalGeneration(config)
    with torch.no_grad():
        model.lm_head.weight[[given.end_token_id, given.filler_token_id]] = 0  # never the likeliest
    model.save_pretrained(folder)
    return folder


def questions(answerer: Answerer, count: int, longest: int, *, own_lengths: bool) -> list[Ask]:
    """Of noise, ready for the network."""
    drawn, noise = random.Random(0), np.random.default_rng(0)
    sensor = SENSORS[SENSOR]
    colour, many = list(sensor.rgb), [band for band in sensor.band_names if band in answerer.normalise.values[SENSOR]]
    asks = []
    for number in range(count):
        bands = many if number % 3 == 0 else colour
        pixels = {band: noise.normal(0.2, 0.1, (64, 64)).astype(np.float32) for band in bands}
        image = preprocess(pixels, SENSOR, bands, answerer.normalise)
        tag = modality_tag(sensor, "ms" if bands is many else "rgb")
        first = headed(ASKED[number % len(ASKED)], [tag], 1, [tag])
        turns = [(first, "dense forest"), ("And where does it lie?", "")] if number % 3 == 1 else [(first, "")]
        question = Question(tuple(answerer.tiles([image])), tuple(turns), SYSTEM)
        asks.append(answerer.ask(question, drawn.randint(8, longest) if own_lengths else longest))
    return asks


def one_by_one(answerer: Answerer, asks: Sequence[Ask]) -> list[str]:
    """The answers of transformers' own `generate`."""
    decode = answerer.network.decode
    return [
        decode(generate(answerer.model, [ask.prompt.ids[0]], dict(ask.images), ask.max_new_tokens)[0]) for ask in asks
    ]


def side_by_side(generator: Generator, asks: Sequence[Ask]) -> tuple[list[str], list[Generated]]:
    """The answers of a server's engine, all asked at once."""
    done = [Generated(ask.prompt.tokens) for ask in asks]

    async def here() -> bool:
        return False

    async def one(ask: Ask, its: Generated) -> str:
        async with generator.place():
            deltas = generator.answer(ask, Sampling(ask.max_new_tokens), its, here)
            return "".join([delta async for delta in deltas]).strip()

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(one, asks, done))

    return asyncio.run(all_of_them()), done


def measured(work: Callable[[], T], rounds: int) -> tuple[T, float, float]:
    """What it gives, and the least seconds of the processor and of the clock that a round took."""
    cpu, wall = [], []
    for _ in range(rounds):
        cpu_began, wall_began = time.process_time(), time.perf_counter()
        given = work()
        cpu.append(time.process_time() - cpu_began)
        wall.append(time.perf_counter() - wall_began)
    return given, min(cpu), min(wall)


def compare(name: str, answerer: Answerer, asks: Sequence[Ask], batch: int, rounds: int) -> None:
    """Print one model's figures."""
    plain = Generator(answerer, len(asks), batch, kept_mb=0)
    keeping = Generator(answerer, len(asks), batch)
    side_by_side(plain, asks[:2])  # what the first call of anything costs
    one_by_one(answerer, asks[:2])
    alone, their_cpu, their_wall = measured(lambda: one_by_one(answerer, asks), rounds)
    (together, done), cpu, wall = measured(lambda: side_by_side(plain, asks), rounds)
    lengths, tokens = [ask.prompt.tokens for ask in asks], sum(one.answer_tokens for one in done)
    print(f"{name}: {len(asks)} questions of {min(lengths)} to {max(lengths)} tokens at once, {batch} rows")
    print(f"  one by one {their_cpu:.2f} CPU-s, {their_wall:.2f} s; side by side {cpu:.2f} CPU-s, {wall:.2f} s")
    print(f"  {their_cpu / cpu:.2f} x in CPU-s, {their_wall / wall:.2f} x in s; {tokens} tokens of answers")
    print(f"  equal answers: {sum(map(str.__eq__, alone, together))} of {len(asks)}")
    side_by_side(keeping, asks)
    (again, done), cpu, _ = measured(lambda: side_by_side(keeping, asks), rounds)
    cached = sum(one.cached_tokens for one in done) / sum(lengths)
    equal = sum(map(str.__eq__, alone, again))
    print(f"  asked again, {cached:.0%} of the tokens kept: {their_cpu / cpu:.2f} x in CPU-s, equal {equal}")
    plain.drain(0)
    keeping.drain(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--longest", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    start = Answerer(START)
    asks = questions(start, options.questions, options.longest, own_lengths=False)
    compare("tiny, the sample's start", start, asks, options.batch, rounds=5)
    with tempfile.TemporaryDirectory() as temporary:
        small = Answerer(random_checkpoint(Path(temporary) / "small"))
        asks = questions(small, options.questions, options.longest, own_lengths=True)
        compare("small, random weights", small, asks, options.batch, rounds=2)


if __name__ == "__main__":
    main()
