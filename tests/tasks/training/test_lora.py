"""Adapters in place of whole matrices: where they go, what goes on learning, what they leave."""

import copy
import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from models.rsmoe.model import RsMoeForConditionalGeneration, part_of
from models.rsmoe.presets import make_config
from tasks.core.errors import ParamsError, TrainingError
from tasks.core.section import load, parse, read_params
from tasks.training.lora import Adapters, add_adapters, chosen_adapters, merged
from tasks.training.moe_params import MoeLoraParams, MoeParams, MoeStageParams
from tests.conftest import ROOT
from tests.fixtures.rsmoe import ask, batched, tiny, without_experts

torch.set_num_threads(1)
PARTS = ["qformer", "projector", "language"]


def adapters(language: str = "none", qformer: str = "none", rank: int = 1) -> Adapters:
    """Those of a stage 1, as the trainer asks for them."""
    lora = {"language": language, "qformer": qformer, "rank": rank, "alpha": 8, "dropout": 0.0}
    stage = MoeStageParams(trains=PARTS, lr=1e-5, epochs=50, lora=MoeLoraParams(**lora))  # type: ignore[arg-type]
    found = chosen_adapters(load(MoeParams, "moe").run_params(), stage)
    assert found is not None
    return found


def learning(model: torch.nn.Module) -> dict[str, int]:
    """Numbers that learn, by name."""
    return {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    ("places", "rank", "modules", "parameters"),
    [
        ({"language": "ffn"}, 1, 96, 1.45e6),  # the published configuration with Vicuna-7B (spec, section 4.1)
        ({"language": "all"}, 8, 160, 15.8e6),
        ({"qformer": "all"}, 8, 96, 2.13e6),  # (spec, section 4.6)
        ({"qformer": "ffn"}, 8, 48, None),
        ({"qformer": "attention"}, 8, 24, None),
        ({"qformer": "cross"}, 8, 24, None),
        ({"language": "attention", "qformer": "cross"}, 2, 64 + 24, None),
    ],
)
def test_the_places_of_the_authors_grid_have_as_many_matrices_and_parameters_as_theirs(
    places: dict[str, str], rank: int, modules: int, parameters: float | None
) -> None:
    with torch.device("meta"):
        model = RsMoeForConditionalGeneration(make_config("7b"))
        model.train_parts(PARTS)
        add_adapters(model, adapters(**places, rank=rank), PARTS)
    added = {name: count for name, count in learning(model).items() if ".lora_" in name}
    assert len(added) == 2 * modules
    if parameters is not None:
        assert sum(added.values()) == pytest.approx(parameters, rel=5e-3)


def test_of_an_adapted_part_the_adapters_learn_and_of_the_others_everything() -> None:
    model = tiny(())
    model.train_parts(PARTS)
    whole = set(learning(model))
    add_adapters(model, adapters(language="ffn"), PARTS)
    names = set(learning(model))
    assert {name for name in names if name.startswith("language_model.")} == {name for name in names if "lora_" in name}
    assert {name for name in names if "lora_" not in name} == {n for n in whole if part_of(n) != "language"}
    other = tiny(())
    other.train_parts(PARTS)
    add_adapters(other, adapters(qformer="all"), PARTS)
    names = set(learning(other))
    assert "query_tokens" in names and "language_model.lm_head.weight" in names
    assert not [name for name in names if name.startswith("qformer.") and "lora_" not in name]
    assert not [name for name in names if name.startswith("vision_model.")]
    assert not other.vision_model.training and other.qformer.training


def test_merged_weights_are_those_of_a_network_without_adapters_and_give_its_logits() -> None:
    model = tiny(())
    arguments = without_experts(batched(model, [ask(1, 5, experts=1)]))
    model.train_parts(PARTS)
    chosen = adapters(language="all", qformer="all", rank=4)
    add_adapters(model, chosen, PARTS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        adapted = model.train(False)(**arguments).logits
        plain = tiny(())
        before = plain(**arguments).logits
        plain.load_state_dict(merged(dict(model.state_dict()), chosen.params))
        assert torch.allclose(plain(**arguments).logits, adapted, atol=1e-4)
    assert not torch.allclose(before, adapted, atol=0.1)


def test_an_adapted_part_that_the_stage_does_not_train_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"moe.stage1.lora adapts qformer, but the stage does not list it"):
        add_adapters(tiny(()), adapters(language="ffn", qformer="cross"), ["language"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage2": {"lora": {"language": "ffn"}}}, "experts of stage 2 are adapters already"),
        ({"common": {"lora": {"rank": 1, "alpha": 8, "dropout": 0.0}}}, "RS-MoE's are moe.stage1.lora"),
        ({"stage1": {"lora": {"language": "cross"}}}, "moe.stage1.lora.language"),
    ],
)
def test_adapters_where_they_do_not_belong_are_refused(change: dict[str, Any], message: str) -> None:
    values = copy.deepcopy(read_params()["moe"])
    for section, fields in change.items():
        for name, value in fields.items():
            old = values[section].get(name, values["stage1"]["lora"] if section != "common" else None)
            values[section][name] = {**(old or {}), **value}
    with pytest.raises(ParamsError, match=message):
        parse(MoeParams, values, "moe").run_params()


def test_without_a_place_whole_matrices_are_trained() -> None:
    params = load(MoeParams, "moe")
    assert chosen_adapters(params.run_params(), params.stage1) is None


COMMAND = re.compile(r"dvc exp run moe@1 (?:.*\\\n)*.*")


def test_the_commands_of_the_how_to_set_parameters_that_there_are(tmp_path: Path) -> None:
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    text = (ROOT / "docs/how-to/rsmoe-baseline.md").read_text()
    path, points = tmp_path / "params.yaml", 0
    for command in COMMAND.findall(text):
        words = shlex.split(command.replace("\\\n", " "))
        overrides = [word for flag, word in itertools.pairwise(words) if flag == "-S"]
        for point in get_hydra_sweeps({"params.yaml": overrides}):
            path.write_text(yaml.safe_dump({"moe": read_params()["moe"]}))
            apply_overrides(path, point["params.yaml"])
            params = parse(MoeParams, yaml.safe_load(path.read_text())["moe"], "moe")
            assert chosen_adapters(params.run_params(), params.stage1) is not None
            points += 1
    assert points == 1 + 2 * 3 * 4 * 2 + 2 * 4 * 4 * 2 + 2 * 4 * 2
