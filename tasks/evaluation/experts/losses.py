"""Every held-out text asked of every expert: how well each predicts what is another's to say.

A unit is one text that one expert should give: an answer, or an expert's share of a caption. All experts read its
question, each with its own prompt and adapters, and are given the true text; the probabilities of its tokens are all
that is needed to compare routings. Nothing is decoded here.

Shapes:  E experts, S tokens, U units, V rows of the vocabulary
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from models.parts.head import supervised
from models.parts.packing import attend_within_samples
from models.rsmoe.model import RsMoeForConditionalGeneration
from tasks.evaluation.metrics.bootstrap import MetricSums
from tasks.training.moe_dataloader import MoeData
from tasks.vlm.chip_reader import ChipReader
from tasks.vlm.images import Normalisation
from tasks.vlm.rsmoe_network import RsMoeNetwork
from tasks.vlm.samples import Sample, Samples
from tasks.vlm.world import World

UNITS = 16
"""Units of one forward pass."""
MOST_GROUPS = 10_000
"""Band groups of a sample: no limit."""


@dataclass(frozen=True)
class Unit:
    """One text, whose it is, and what the network makes of it."""

    sample: Sample
    expert: int
    """Whose it is, by the rules of stage `subtasks`."""
    text: str
    caption: bool
    tokens: int
    weights: tuple[float, ...]
    """Of the experts, by the router."""
    losses: tuple[float, ...]
    """Of each expert: minus the logarithm of the probability of the text."""
    mixed: float
    """The same of the mixture by the router's weights."""
    uniform: float
    """The same of the mixture with equal weights."""
    prompts: Tensor
    """(E, K, D) what the router adds to the experts' prompts."""


def held_out(folder: Path, network: RsMoeNetwork, samples: Samples) -> MoeData:
    """Samples as packs for the network of a checkpoint's folder, of whatever length: nothing is trained on them."""
    config = network.model.config
    chips = ChipReader(Normalisation.load(folder), config.image_size, config.max_tiles)
    longest = int(config.text_config.max_position_embeddings) * max(1, config.number_of_experts)
    # What the samples cost is measured and dropped: it is kept for a resumed training alone.
    with TemporaryDirectory() as work:
        data = MoeData(samples, network.tokenizer, chips, config, longest, MOST_GROUPS, Path(work), "test", World())
    data.instruction_tokenizer = network.instructions
    return data


def units_of(sample: Sample) -> Iterator[tuple[int, bool, str, str]]:
    """(turn, whether it is a part of a caption, expert, text) of everything that is learned from a sample."""
    for turn, dealt in enumerate(sample.targets):
        for expert, text in dealt:
            yield turn, len(dealt) > 1, expert, text


def asked_of_all(sample: Sample, turn: int, text: str, experts: Sequence[str]) -> Sample:
    """The sample up to a turn, whose text every expert is to give."""
    targets = (*((),) * turn, tuple((expert, text) for expert in experts))
    turns = (*sample.turns[:turn], (sample.turns[turn][0], text))
    return replace(sample, turns=turns, question_types=sample.question_types[: turn + 1], targets=targets)


@torch.inference_mode()
def measure(model: RsMoeForConditionalGeneration, data: MoeData, samples: Samples, most: int) -> list[Unit]:
    """Ask the first `most` texts of some samples of every expert.

    Args:
        model: in eval mode, with experts.
        data: packs samples for it.
        samples: with their targets.
        most: units.
    """
    names = model.config.experts or []
    attention = [text_model.config._attn_implementation for text_model in model.text_models]
    for text_model in model.text_models:
        attend_within_samples(text_model)
    found = []
    wanted = ((sample, *unit) for sample in samples for unit in units_of(sample))
    chosen = [one for one, _ in zip(wanted, range(most), strict=False)]
    for start in range(0, len(chosen), UNITS):
        some = chosen[start : start + UNITS]
        asked = [asked_of_all(sample, turn, text, names) for sample, turn, _, _, text in some]
        results = _ask(model, data, asked)
        for (sample, _, caption, expert, text), result in zip(some, results, strict=True):
            found.append(Unit(sample=sample, expert=names.index(expert), text=text, caption=caption, **result))
    # Answers are decoded side by side, not packed.
    for text_model, before in zip(model.text_models, attention, strict=True):
        text_model.config._attn_implementation = before
    return found


def _ask(model: RsMoeForConditionalGeneration, data: MoeData, asked: Sequence[Sample]) -> list[dict[str, Any]]:
    """One forward pass."""
    device, E = model.device, model.config.number_of_experts
    batch = data.pack_samples(asked)
    inputs = batch.to(device)
    images = {name: inputs.get(name) for name in ("tile_of_group", "wavelengths", "band_mask", "days")}
    seen = model.see(inputs["pixel_values"], inputs["instruction_ids"], inputs["instruction_mask"], **images)
    routed = model.route(seen, inputs["sample_of_tile"])
    added = routed.prompts[inputs["sample_of_sequence"], inputs["expert_of_sequence"]]
    embeds = model.embed(inputs["input_ids"], seen, inputs["tile_order"], added, inputs["prompt_places"])
    tokens = inputs["expert_tokens"]
    kwargs = {name: inputs[name] for name in ("position_ids", "cu_seq_lens_q", "max_length_q")}
    hidden = model.decode(embeds, tokens, **kwargs)
    taught, targets = supervised(inputs["labels"])
    log_p = _log_probabilities(model, hidden, taught, targets, tokens)
    # Sequences stand by expert, and every expert has the same samples with the same texts.
    each = log_p.view(E, -1)
    lengths = [count // E for count in batch.targets_of]
    out = []
    for number, columns in enumerate(torch.split(each, lengths, dim=1)):
        weights = routed.log_weights[number]
        out.append(
            {
                "tokens": columns.shape[1],
                "weights": tuple(weights.exp().tolist()),
                "losses": tuple((-columns.sum(1)).tolist()),
                "mixed": -float((columns + weights[:, None]).logsumexp(0).sum()),
                "uniform": -float((columns.logsumexp(0) - torch.tensor(E).log()).sum()),
                "prompts": routed.prompts[number].float().cpu(),
            }
        )
    return out


def _log_probabilities(
    model: RsMoeForConditionalGeneration,
    hidden: Tensor,
    taught: Tensor,
    targets: Tensor,
    tokens: tuple[int, ...],
) -> Tensor:
    """Of each target token. Only the rows before one are multiplied with the vocabulary."""
    places = taught[0].nonzero()[:, 0]
    ends = torch.tensor(tokens).cumsum(0)
    # How many of the taught tokens are of which expert: separate experts have heads of their own.
    counts = torch.bincount(torch.bucketize(places.cpu(), ends, right=True), minlength=len(tokens)).tolist()
    logits = model.logits(hidden[:, places], tuple(counts))[0]
    log_p: Tensor = logits.float().log_softmax(-1).gather(1, targets[:, None])[:, 0]
    return log_p


def matrix(units: Sequence[Unit], experts: int) -> list[list[float | None]]:
    """Mean loss of a token, by whose text it is (rows) and who was asked (columns); None where there is no text."""
    rows: list[list[float | None]] = []
    for whose in range(experts):
        own = [unit for unit in units if unit.expert == whose]
        tokens = sum(unit.tokens for unit in own)
        rows.append([sum(unit.losses[e] for unit in own) / tokens if own else None for e in range(experts)])
    return rows


def routings(units: Sequence[Unit], draws: int, seed: int) -> dict[str, dict[str, Any]]:
    """Mean loss of a token under each routing, with its interval over chips and that of what it costs over `rule`.

    rule: the expert whose text it is. router: the mixture by its weights. likeliest: the expert of the largest weight.
    uniform: the mixture with equal weights. random: an expert by lot. swapped: the mean over all wrong experts.
    """
    columns: Mapping[str, list[float]] = {
        "rule": [unit.losses[unit.expert] for unit in units],
        "router": [unit.mixed for unit in units],
        "likeliest": [unit.losses[max(range(len(unit.weights)), key=unit.weights.__getitem__)] for unit in units],
        "uniform": [unit.uniform for unit in units],
        "random": [sum(unit.losses) / len(unit.losses) for unit in units],
        "swapped": [(sum(unit.losses) - unit.losses[unit.expert]) / max(1, len(unit.losses) - 1) for unit in units],
    }
    chips = sorted({unit.sample.chip_id for unit in units})
    groups = torch.tensor([chips.index(unit.sample.chip_id) for unit in units]).numpy()
    rows = torch.tensor([*zip(*columns.values(), (unit.tokens for unit in units), strict=True)], dtype=torch.float64)
    names = list(columns)

    def means(sums: Any) -> dict[str, Any]:
        values = {name: sums[..., place] / sums[..., -1] for place, name in enumerate(names)}
        return values | {f"{name} - rule": values[name] - values["rule"] for name in names[1:]}

    sums = MetricSums.of_rows(rows.numpy(), means)
    scores, intervals = sums.scores(), sums.intervals(groups, draws, seed)
    return {
        name: {
            "loss": round(scores[name], 4),
            "interval": [round(edge, 4) for edge in intervals[name]],
            **(
                {}
                if name == "rule"
                else {
                    "cost": round(scores[f"{name} - rule"], 4),
                    "cost_interval": [round(edge, 4) for edge in intervals[f"{name} - rule"]],
                }
            ),
        }
        for name in names
    }
