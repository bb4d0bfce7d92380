"""Answers to a few validation questions while a model trains, for those who watch: lines of samples.jsonl, no output.

Greedy, without a cache: all questions stand in one pack, and each further token is one more forward pass of the model
as it is trained. So several processes, sharded weights and compiled layers need no code of their own; every process
takes the same passes.

Shapes:  N questions
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.parts.image import batch_images
from models.parts.packing import positions, sample_ends
from models.parts.prompt import IMAGE, encode, layout_of
from tasks.training.dataloader import Data
from tasks.training.distributed import Engine
from tasks.vlm.samples import Sample

MAX_NEW_TOKENS = 16
"""Of an answer; a longer one is cut."""


@dataclass(frozen=True)
class Asked:
    """The first question of a conversation."""

    sample: Sample
    ids: tuple[int, ...]
    """Of the prompt."""


def write_answers(path: Path | None, step: int, data: Data, engine: Engine, count: int, padded: bool) -> None:
    """Ask up to `count` questions and append a line each; the model must be in eval mode.

    Args:
        path: of samples.jsonl; None where this process writes nothing.
        step: the steps taken so far.
        data: the validation data.
        engine: the model.
        count: of the questions, spread over the data.
        padded: fill the pack up to one length, for compiled layers.
    """
    asked = list(_choose(data, count))
    if not asked:
        return
    answers = _answer(asked, data, engine, data.max_length if padded else 0)
    if path is None:
        return
    tokenizer: Any = data.tokenizer
    with path.open("a") as file:
        for one, ids in zip(asked, answers, strict=True):
            (question, expected), *_ = one.sample.turns
            line = {
                "step": step,
                "sample": one.sample.sample_id,
                "question": question.replace(IMAGE, "").strip(),
                "expected": expected,
                "answer": tokenizer.decode(ids, skip_special_tokens=True).strip(),
            }
            file.write(json.dumps(line) + "\n")


def _choose(data: Data, count: int) -> Iterator[Asked]:
    """Questions whose answer still fits into a pack beside those before."""
    left_tokens, left_groups = data.max_length, data.max_groups
    for index in np.unique(np.linspace(0, len(data.samples) - 1, min(count, len(data.samples))).astype(int)):
        sample, groups = data.samples[int(index)], int(data.sizes.groups[index])
        (question, _), *_ = sample.turns
        if question.count(IMAGE) != len(sample.images) and (question.count(IMAGE), len(sample.images)) != (0, 1):
            continue  # of some images only a later turn speaks
        tiles = sample.tile_counts(data.config.image_size, data.config.max_tiles)
        visual = [n * data.config.tokens_per_tile for n in tiles]
        ids = encode(data.tokenizer, [(question, "")], visual, layout=layout_of(data.config)).ids
        if len(ids) + MAX_NEW_TOKENS <= left_tokens and groups <= left_groups:
            left_tokens, left_groups = left_tokens - len(ids) - MAX_NEW_TOKENS, left_groups - groups
            yield Asked(sample, tuple(ids))


@torch.no_grad()
def _answer(asked: Sequence[Asked], data: Data, engine: Engine, length: int) -> list[list[int]]:
    """N answers as token ids, without what ends them."""
    text: Any = data.config.text_config
    device, end = engine.world.device, text.eos_token_id
    ends = set(end) if isinstance(end, list) else {end}
    images = batch_images([tiles for one in asked for tiles in data.chips.images(one.sample, None)])
    images = {name: value.to(device) for name, value in images.items()}
    answers: list[list[int]] = [[] for _ in asked]
    open_ = set(range(len(asked)))
    while open_ and max(map(len, answers)) < MAX_NEW_TOKENS:
        rows = [[*one.ids, *answer] for one, answer in zip(asked, answers, strict=True)]
        last = torch.tensor([len(row) for row in rows]).cumsum(0) - 1
        for number, token in enumerate(_next(rows, last, images, data, engine, length)):
            if token in ends:
                open_.discard(number)
            elif number in open_:
                answers[number].append(token)
    return answers


def _next(
    rows: list[list[int]], last: Tensor, images: dict[str, Tensor], data: Data, engine: Engine, length: int
) -> list[int]:
    """The likeliest token after each row."""
    device, padding = engine.world.device, max(0, length - sum(map(len, rows)))
    if padding:
        rows = [*rows, [data.config.filler_token_id] * padding]
    lengths = [len(row) for row in rows]
    with engine.autocast():
        out = engine.call(
            input_ids=torch.tensor([token for row in rows for token in row])[None].to(device),
            position_ids=positions(lengths).to(device),
            cu_seq_lens_q=sample_ends(lengths).to(device),
            max_length_q=data.max_length,
            use_cache=False,
            logits_to_keep=last.to(device),
            **images,
        )
    # A network that has learned little may name the place of an image, which the next pass would look for pixels for.
    out.logits[0, :, data.config.image_token_id] = -torch.inf
    found: list[int] = out.logits[0].argmax(-1).tolist()
    return found
