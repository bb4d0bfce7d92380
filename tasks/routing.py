"""Stage `routing`: what the router and the experts of RS-MoE do on held-out chips.

Every text that one expert should give is asked of all of them: does the one whose text it is predict it best, what
does it cost to swap them or to draw lots, and where does the router send it? Beside it stands whether the experts
differ at all. The paper shows none of this.
"""

from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load
from tasks.core.stage import Summary, main, require, write_json

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("modality", pa.string()),
        ("question", pa.string()),
        ("text", pa.string()),
        ("subtask", pa.string()),  # the expert whose text it is
        ("caption", pa.bool_()),  # whether it is a part of a caption
        ("tokens", pa.int32()),
        ("weights", pa.list_(pa.float32())),  # of the experts, by the router
        ("losses", pa.list_(pa.float32())),  # of the whole text, by each expert
        ("mixed", pa.float32()),  # by the mixture
    ]
)
"""One row of data/routing/routing.parquet."""


class RoutingParams(Section):
    """`routing:` in params.yaml."""

    device: str = Field(pattern="^(cpu|cuda)$", description="where the experts are asked")
    threads: int = Field(ge=0, description="CPU threads, 0 for all")
    units: int = Field(ge=1, description="held-out texts that every expert is asked for, at most")
    examples: int = Field(ge=1, description="questions that the experts answer in full, for the report")
    max_new_tokens: int = Field(ge=1, description="longest text of an expert")
    bootstrap: int = Field(ge=100, description="resamplings of the chips behind each interval")
    seed: int = Field(ge=0, description="of the resampling")


def run() -> Summary:
    """Ask the experts.

    Raises:
        EmptyStageError: no held-out text is there to ask for.
    """
    import torch

    from tasks.evaluation.experts.collapse import collapse, examples
    from tasks.evaluation.experts.losses import held_out, matrix, measure, routings
    from tasks.vlm.answerer import load_tokenizer
    from tasks.vlm.rsmoe_network import RsMoeNetwork
    from tasks.vlm.samples import bare_question, read_samples

    params = load(RoutingParams, "routing")
    if params.threads:
        torch.set_num_threads(params.threads)
    folder = require(paths.moe("2"))
    network = RsMoeNetwork(folder, load_tokenizer(folder))
    model = network.model.to(params.device)
    config = model.config
    samples = read_samples(require(paths.subtasks() / "test.parquet"))
    data = held_out(folder, network, samples)
    units = measure(model, data, samples, params.units)
    if not units:
        raise EmptyStageError(f"{paths.subtasks() / 'test.parquet'} has no text that an expert should give")
    # A share of a caption is its expert's alone: the router's weights are for what has one answer.
    answers = [unit for unit in units if not unit.caption] or units
    shown = list(examples(network, data, [*samples], params.examples, params.max_new_tokens))
    found = {
        "experts": config.experts,
        "templates": config.templates,
        "units": len(units),
        "loss": matrix(units, config.number_of_experts),
        "answers": len(answers),
        "weights": _weights(answers, config.number_of_experts),
        "routings": routings(answers, params.bootstrap, params.seed),
        "collapse": collapse(model, data, units, shown),
        "examples": shown,
    }
    rows = [
        {
            **{name: getattr(unit.sample, name) for name in ("sample_id", "chip_id", "sensor", "modality")},
            "question": bare_question(unit.sample.turns[-1][0]),
            "text": unit.text,
            "subtask": config.experts[unit.expert],
            "caption": unit.caption,
            "tokens": unit.tokens,
            "weights": unit.weights,
            "losses": unit.losses,
            "mixed": unit.mixed,
        }
        for unit in units
    ]
    tables.write_rows(rows, SCHEMA, paths.routing() / "routing.parquet")
    write_json(paths.routing() / "routing.json", found)
    swapped = found["routings"]["swapped"]
    return {
        "units": len(units),
        "loss": {name: values["loss"] for name, values in found["routings"].items()},
        "swap_cost": swapped["cost"],
        "swap_costs_surely": swapped["cost_interval"][0] > 0,
        **found["collapse"],
    }


def _weights(units: Any, experts: int) -> list[list[float | None]]:
    """Mean weight of each expert (columns) by whose text it is (rows)."""
    rows: list[list[float | None]] = []
    for whose in range(experts):
        own = [unit.weights for unit in units if unit.expert == whose]
        rows.append([sum(w[e] for w in own) / len(own) if own else None for e in range(experts)])
    return rows


if __name__ == "__main__":
    main("routing", run)
