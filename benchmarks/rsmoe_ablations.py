"""What the parts of RS-MoE are worth on a finished demo's data: several seeds, with intervals.

    python -m benchmarks.rsmoe_ablations [--data data] [--seeds 11 12 13] [--preset tiny] [--variants mixture dense ...]

Every variant but `one stage` starts from the same dense network of stage 1, trained anew for each seed, and learns
as many steps from the same samples. Asked are the demo's test questions: the loss of a token of the true texts, and
how many of the answers that are right in one wording only are given. The interval is over the seeds (Student's t,
95 %) of the difference to `mixture`; with three of them it is wide, and is what it is.
"""

import argparse
import contextlib
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import yaml
from rich.console import Console
from rich.table import Table

from models.rsmoe.generate import answer
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.presets import make_config
from models.rsmoe.prompt import EXPERTS, TEMPLATES
from models.rsmoe.router import Routed
from tasks import moe
from tasks.core import paths, tables
from tasks.dialogue.kinds import FREE_TEXT, scored_exactly
from tasks.evaluation.experts.collapse import prompt_of
from tasks.evaluation.experts.losses import held_out, measure
from tasks.evaluation.metrics.text_normalisation import normalise_text
from tasks.subtasks import SCHEMA
from tasks.training import job as jobs
from tasks.training import moe_setup
from tasks.training.moe_dataloader import MoeData
from tasks.training.moe_params import load_moe
from tasks.training.stopping import Stop
from tasks.vlm.answerer import load_tokenizer
from tasks.vlm.rsmoe_network import RsMoeNetwork
from tasks.vlm.samples import Samples, read_samples

CARRIED = ("tokenizer", "stats", "chips", "split", "mixture", "subtasks")
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
"""Student's t of 95 %, by number of seeds."""
MAX_NEW_TOKENS = 16
BATCH = 32
WHOLE = "Answer the question about this remote sensing image, or describe all that it shows."
NUMBERS = ("count", "size", "share", "comparison")
"""Kinds of questions that the fourth of four experts learns."""


@dataclass(frozen=True)
class Variant:
    """One thing done otherwise."""

    name: str
    groups: Mapping[str, str]
    """Expert of the stage's tables -> expert of this network."""
    rank: int
    router: str = "trained"
    realisation: str = "shared"
    trains: tuple[str, ...] = ("router", "experts")
    one_stage: bool = False
    weigh: str = "router"
    """How the experts are weighed when they are asked: by the router, or one by lot."""
    trained_as: str = ""
    """Of another variant, whose weights are asked in another way."""
    numbers: bool = False


THREE = {name: name for name in EXPERTS}
ALL = dict.fromkeys(EXPERTS, "all")
VARIANTS = (
    Variant("mixture", THREE, 8),
    Variant("fixed prompts, equal weights", THREE, 8, router="fixed", trains=("experts",)),
    Variant("one expert by lot", THREE, 8, weigh="random", trained_as="mixture"),
    # As many columns together as three experts of rank 8.
    Variant("1 expert", ALL, 24),
    Variant("2 experts", {"theme": "scene", "object": "object", "relation": "scene"}, 12),
    Variant("4 experts", THREE, 6, numbers=True),
    # The same number of trained parameters in one adapter: what a user would take instead.
    Variant("dense yardstick", ALL, 33, router="fixed", trains=("experts",)),
    Variant("separate experts", THREE, 8, realisation="separate"),
    Variant("one stage", THREE, 8, one_stage=True),
)
TEXTS = {**TEMPLATES, "all": WHOLE, "scene": TEMPLATES["relation"], "number": TEMPLATES["object"]}


def regroup(source: Path, target: Path, variant: Variant) -> None:
    """A table of stage `subtasks` with the experts of a variant: texts that come to one expert are joined."""

    def expert(name: str, kind: str) -> str:
        return "number" if variant.numbers and kind in NUMBERS and name == "object" else variant.groups[name]

    def rows() -> Iterator[dict[str, Any]]:
        for row in pq.read_table(source).to_pylist():
            targets = []
            for kind, turn in zip(row["question_types"], row["targets"], strict=True):
                texts: dict[str, list[str]] = {}
                for one in turn:
                    texts.setdefault(expert(one["expert"], kind), []).append(one["text"])
                targets.append([{"expert": name, "text": " ".join(some)} for name, some in texts.items()])
            yield {**row, "targets": targets}

    tables.write_stream(rows(), SCHEMA, target)


def names_of(variant: Variant) -> list[str]:
    """Experts of a variant, in order."""
    return [*dict.fromkeys(variant.groups.values()), *(["number"] if variant.numbers else [])]


def begin(variant: Variant, seed: int, preset: str, fusion: str, tokenizer: Any) -> RsMoeForConditionalGeneration:
    """The network that a variant's stage 2 starts from."""
    torch.manual_seed(seed)
    dense = moe_setup.make(load_moe(preset).model, tokenizer, experts=False)
    text: Any = dense.text_config
    config = make_config(
        preset,
        vocab_size=len(tokenizer),
        image_token_id=dense.image_token_index,
        end_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
        experts=names_of(variant),
        templates=TEXTS,
        fusion=fusion,
        router=variant.router,
        realisation=variant.realisation,
        lora_rank=variant.rank,
        lora_alpha=2 * variant.rank,
    )
    if variant.one_stage:
        return RsMoeForConditionalGeneration(config)
    return moe_setup.load_dense(paths.moe("1"), config, preset)


def train(variant: Variant, preset: str) -> dict[str, Any]:
    """Train stage 2 of a variant; its summary."""
    params = load_moe(preset)
    folder = Path("data/regrouped") / variant.name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test"):
        regroup(paths.subtasks() / f"{split}.parquet", folder / f"{split}.parquet", variant)
    job = moe.make_job("2", params)
    steps, trains = job.params.max_steps, list(variant.trains)
    lr = job.params.lr
    if variant.one_stage:
        trains = [*params.stage1.trains, *trains]
        steps, lr = (steps or 0) + (params.stage1.max_steps or 0) or None, params.stage1.lr
    job = replace(
        job,
        params=job.params.model_copy(update={"trains": trains, "max_steps": steps, "lr": lr}),
        settings={"variant": variant.name},
        mixtures={split: folder / f"{split}.parquet" for split in ("train", "val")},
        out=Path("data/variants") / variant.name.replace(" ", "-"),
        begin=partial(begin, variant, job.common.seed, preset, params.model.fusion),
    )
    return jobs.train(job, Stop())


def by_lot(model: RsMoeForConditionalGeneration, seed: int) -> None:
    """Weigh one expert, drawn for each sample, with 1."""
    drawn = torch.Generator().manual_seed(seed)
    route: Callable[..., Routed] = model.route

    def routed(*args: Any) -> Routed:
        found = route(*args)
        samples, experts = found.log_weights.shape
        chosen = torch.randint(experts, (samples,), generator=drawn)
        weights = torch.full((samples, experts), -1e4)
        weights[torch.arange(samples), chosen] = 0.0
        return Routed(found.prompts, weights)

    model.route = routed  # type: ignore[method-assign]


@torch.inference_mode()
def ask(variant: Variant, seed: int) -> dict[str, float]:
    """Loss of a token and accuracy on the test questions, and tokens a second."""
    trained = (variant.trained_as or variant.name).replace(" ", "-")
    folder = Path("data/variants") / trained
    network = RsMoeNetwork(folder, load_tokenizer(folder))
    model = network.model
    if variant.weigh == "random":
        by_lot(model, seed)
    samples = read_samples(Path("data/regrouped") / trained / "test.parquet")
    data = held_out(folder, network, samples)
    units = measure(model, data, samples, len(samples) * 4)
    captions = [unit for unit in units if unit.sample.question_types[-1] in FREE_TEXT]
    answers = [unit for unit in units if unit.sample.question_types[-1] not in FREE_TEXT]
    right, tokens, seconds = correct(network, data, samples)
    return {
        # An answer is given by the mixture, a part of a caption by its expert alone.
        "answers": sum(unit.mixed for unit in answers) / sum(unit.tokens for unit in answers),
        "captions": sum(unit.losses[unit.expert] for unit in captions) / max(1, sum(unit.tokens for unit in captions)),
        "accuracy": right,
        "tokens_per_second": tokens / seconds,
    }


@torch.inference_mode()
def ask_dense() -> dict[str, float]:
    """Accuracy of the dense network of stage 1, which every variant starts from."""
    network = RsMoeNetwork(paths.moe("1"), load_tokenizer(paths.moe("1")))
    samples = read_samples(paths.subtasks() / "test.parquet")
    right, tokens, seconds = correct(network, held_out(paths.moe("1"), network, samples), samples)
    return {"answers": math.nan, "captions": math.nan, "accuracy": right, "tokens_per_second": tokens / seconds}


def correct(network: RsMoeNetwork, data: MoeData, samples: Samples) -> tuple[float, int, float]:
    """Share of the answers that are right in one wording and are given; tokens decoded, and CPU-seconds."""
    asked = [
        (sample, turn, truth)
        for sample in samples
        for turn, (kind, (_, truth)) in enumerate(zip(sample.question_types, sample.turns, strict=True))
        if scored_exactly(kind, truth)
    ]
    prompts = [prompt_of(network, data, sample, turn, joined=False) for sample, turn, _ in asked]
    began, found = time.process_time(), []
    for start in range(0, len(prompts), BATCH):
        found += answer(network.model, prompts[start : start + BATCH], MAX_NEW_TOKENS)
    seconds = time.process_time() - began
    given = [network.decode(one.ids[0]) for one in found]
    hits = [normalise_text(one) == normalise_text(truth) for one, (_, _, truth) in zip(given, asked, strict=True)]
    return sum(hits) / len(hits), sum(len(one.ids[0]) for one in found), seconds


def seeded(data: Path, seed: int, preset: str, variants: Sequence[Variant]) -> dict[str, dict[str, float]]:
    """All variants with one seed, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="ablations-") as temporary:
        folder = Path(temporary)
        (folder / "data").mkdir()
        for name in CARRIED:
            (folder / "data" / name).symlink_to((data / name).resolve())
        params = yaml.safe_load((data.parent / "params.yaml").read_text())
        params["moe"]["common"]["seed"] = seed
        params["moe"]["common"] |= {"eval_every": 1_000_000}
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        with contextlib.chdir(folder):
            jobs.train(moe.make_job("1", load_moe(preset)), Stop())
            found: dict[str, dict[str, float]] = {"stage 1": {**ask_dense(), "trained_parameters": 0}}
            for variant in variants:
                trained = {} if variant.trained_as else train(variant, preset)
                values = ask(variant, seed)
                found[variant.name] = {**values, "trained_parameters": trained.get("trained_parameters", 0)}
                print(json.dumps({"seed": seed, "variant": variant.name, **found[variant.name]}), flush=True)
    return found


def difference(values: Sequence[float], others: Sequence[float]) -> str:
    """Mean of the paired differences and half of its 95 % interval."""
    pairs = [a - b for a, b in zip(values, others, strict=True)]
    if len(pairs) < 2:
        return f"{pairs[0]:+.3f}"
    half = T_95.get(len(pairs), 2.0) * statistics.stdev(pairs) / len(pairs) ** 0.5
    return f"{statistics.mean(pairs):+.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--variants", nargs="+", choices=[one.name for one in VARIANTS], default=None)
    options = parser.parse_args()
    missing = [name for name in CARRIED if not (options.data / name).exists()]
    if missing:
        sys.exit(f"{options.data} has no {', '.join(missing)}; run `earthloom demo` first")
    random.seed(0)
    wanted = [one for one in VARIANTS if options.variants is None or one.name in ("mixture", *options.variants)]
    runs = [seeded(options.data.absolute(), seed, options.preset, wanted) for seed in options.seeds]
    table = Table(title=f"{options.preset}, {len(runs)} seeds; differences to the mixture")
    for title in ("", "trained", "loss, answers", "", "loss, captions", "", "accuracy", "", "tokens/CPU-s"):
        table.add_column(title, justify="left" if not table.columns else "right")
    for name in ("stage 1", *(variant.name for variant in wanted)):
        rows = [run[name] for run in runs]
        cells = [name, f"{rows[0]['trained_parameters']:,.0f}"]
        for score in ("answers", "captions", "accuracy"):
            values, base = [row[score] for row in rows], [run["mixture"][score] for run in runs]
            if any(map(math.isnan, values)):
                cells += ["", ""]
            else:
                cells += [f"{statistics.mean(values):.3f}", "" if name == "mixture" else difference(values, base)]
        cells.append(f"{statistics.mean(row['tokens_per_second'] for row in rows):.0f}")
        table.add_row(*cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
