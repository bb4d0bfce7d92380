"""Whether the experts differ: by their prompts, their adapters, their texts, and by the router's weights.

Every expert always runs, so none can starve as in mixtures that choose; here collapse is that all of them are one.

Shapes:  E experts, K prompt tokens, D width of the language model
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from models.parts.image import batch_images
from models.parts.prompt import SYSTEM
from models.rsmoe.experts import expert_layers
from models.rsmoe.generate import Prompt, answer
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.prompt import instruction_of, join_texts
from tasks.evaluation.experts.losses import Unit, units_of
from tasks.training.moe_dataloader import MoeData
from tasks.vlm.network import Ask
from tasks.vlm.rsmoe_network import RsMoeNetwork, ready
from tasks.vlm.samples import Sample

ALIKE = 0.99
"""Cosine from which two experts' adapters or prompts count as one, and share of texts from which their texts do."""


def prompt_of(network: RsMoeNetwork, data: MoeData, sample: Sample, turn: int, joined: bool) -> Prompt:
    """A question of a sample as the experts, or the dense network, are asked it, after the true turns before it."""
    config = data.config
    turns = (*sample.turns[:turn], (sample.turns[turn][0], ""))
    visual = [n * config.tokens_per_tile for n in sample.tile_counts(config.image_size, config.max_tiles)]
    prompt = replace(network.encode(turns, visual, SYSTEM), joined=joined)
    return ready(Ask(prompt, 0, batch_images(data.chips.images(sample))))


def examples(
    network: RsMoeNetwork, data: MoeData, samples: Sequence[Sample], count: int, max_new_tokens: int
) -> Iterator[dict[str, Any]]:
    """What the experts write about some chips, captions first: the text of each, and what is made of them."""
    asked = [(sample, *unit) for sample in samples for unit in units_of(sample)]
    seen: set[tuple[str, int]] = set()
    for sample, turn, caption, expert, _ in sorted(asked, key=lambda one: not one[2]):
        if (sample.sample_id, turn) in seen or len(seen) >= count:
            continue
        seen.add((sample.sample_id, turn))
        apart, mixed = (
            answer(network.model, [prompt_of(network, data, sample, turn, joined)], max_new_tokens)[0]
            for joined in (True, False)
        )
        texts = [network.decode(ids) for ids in apart.ids]
        single = network.decode(mixed.ids[0])
        yield {
            "sample_id": sample.sample_id,
            "chip_id": sample.chip_id,
            "sensor": sample.sensor,
            "modality": sample.modality,
            "question": instruction_of(sample.turns[: turn + 1]),
            "expected": sample.turns[turn][1],
            "subtask": None if caption else expert,
            "weights": [round(weight, 4) for weight in apart.weights],
            "texts": texts,
            "answer": join_texts(texts) if caption else single,
        }


def collapse(
    model: RsMoeForConditionalGeneration, data: MoeData, units: Sequence[Unit], shown: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Likeness of the experts, each from 0 or -1 (nothing in common) to 1 (one and the same).

    Returns:
        prompt_likeness: mean cosine of two experts' prompts; prompt_change: length of what the router adds, over that
        of the template. adapter_likeness: mean cosine of what two experts' adapters add to a weight. text_overlap:
        words that two experts' texts share, over all their words; same_texts: share of examples where two wrote the
        same. weight_entropy: of the router's weights over that of equal ones; agreement: how often the largest weight
        is that of the expert whose text it is. collapsed: whether prompts and adapters, or texts, are one.
    """
    names = model.config.experts or []
    templates = _templates(model, data)
    added = torch.stack([unit.prompts for unit in units])
    whole = templates + added
    overlaps = [_overlap(a, b) for one in shown for a, b in combinations(one["texts"], 2)]
    same = [a == b for one in shown for a, b in combinations(one["texts"], 2)]
    weights = torch.tensor([unit.weights for unit in units])
    own = torch.tensor([unit.expert for unit in units])
    alone = torch.tensor([not unit.caption for unit in units])
    entropy = -(weights * weights.clamp(min=1e-12).log()).sum(1).mean() / math.log(max(2, len(names)))
    found = {
        "prompt_likeness": _mean(
            nn.functional.cosine_similarity(whole[:, a].flatten(1), whole[:, b].flatten(1)).mean()
            for a, b in combinations(range(len(names)), 2)
        ),
        "prompt_change": float((added.flatten(2).norm(dim=2) / templates.flatten(1).norm(dim=1)).mean()),
        "adapter_likeness": _adapter_likeness(model),
        "text_overlap": _mean(overlaps),
        "same_texts": _mean(float(one) for one in same),
        "weight_entropy": float(entropy),
        "agreement": float((weights[alone].argmax(1) == own[alone]).float().mean()) if bool(alone.any()) else None,
    }
    one_prompt = (found["prompt_likeness"] or 0) >= ALIKE and (found["adapter_likeness"] or 0) >= ALIKE
    rounded = {name: None if value is None else round(value, 4) for name, value in found.items()}
    return {**rounded, "collapsed": one_prompt or (found["same_texts"] or 0) >= ALIKE}


def _templates(model: RsMoeForConditionalGeneration, data: MoeData) -> Tensor:
    """(E, K, D) embeddings of the tokens of the templates that the router changes."""
    tokenizer: Any = data.tokenizer
    embed: Any = model.get_input_embeddings()
    K = model.config.prompt_tokens
    ids = [
        tokenizer.encode(f"<|system|>\n{text}", add_special_tokens=False)[1 : 1 + K]
        for text in model.config.templates or []
    ]
    with torch.inference_mode():
        out: Tensor = embed(torch.tensor(ids, device=model.device)).float().cpu()
    return out


def _adapter_likeness(model: RsMoeForConditionalGeneration) -> float | None:
    """Mean cosine over layers and pairs; None where experts are separate, or an adapter is still zero."""
    found = []
    for layer in expert_layers(model).values():
        change = torch.bmm(layer.lora_B, layer.lora_A).detach().flatten(1).float()
        if bool((change.norm(dim=1) > 0).all()):
            found += [float(nn.functional.cosine_similarity(change[a], change[b], dim=0)) for a, b in _pairs(change)]
    return _mean(found)


def _pairs(rows: Tensor) -> Iterator[tuple[int, int]]:
    return combinations(range(len(rows)), 2)


def _overlap(one: str, other: str) -> float:
    a, b = (set(text.lower().replace(".", " ").replace(",", " ").split()) for text in (one, other))
    return len(a & b) / len(a | b) if a | b else 1.0


def _mean(values: Any) -> float | None:
    found = [float(value) for value in values]
    return sum(found) / len(found) if found else None
