"""Presets counted on the meta device, beside the paper and what is known of its parts (spec, sections 1.1 and 5.3)."""

import pytest
import torch

from models.rsmoe.experts import expert_layers
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.parts import PARTS, part_of
from models.rsmoe.presets import PRESETS, make_config
from models.rsmoe.prompt import EXPERTS, ExpertError
from tasks.pages.parameter_counts import PRESETS as SHOWN


def counted(preset: str, experts: tuple[str, ...] = EXPERTS) -> dict[str, int]:
    """Parameters of each part."""
    with torch.device("meta"):
        model = RsMoeForConditionalGeneration(make_config(preset, experts=experts))
    counts = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        counts[part_of(name)] += parameter.numel()
    return counts


@pytest.mark.parametrize(
    ("preset", "language", "experts", "projector"), [("1b", 1.236e9, 14.4e6, 1.6e6), ("7b", 6.738e9, 47.4e6, 3.1e6)]
)
def test_the_parts_of_a_preset_have_the_parameters_of_the_paper(
    preset: str, language: float, experts: float, projector: float
) -> None:
    counts = counted(preset)
    assert counts["vision"] == pytest.approx(0.986e9, rel=1e-3)
    assert counts["qformer"] == pytest.approx(185.7e6, rel=1e-3)
    assert counts["language"] == pytest.approx(language, rel=1e-3)
    assert counts["projector"] == pytest.approx(projector, rel=0.03)
    # All three: rank 8 on query, value and the three matrices of the feed-forward.
    assert counts["experts"] == pytest.approx(experts, rel=5e-3)
    assert counts == SHOWN[preset].counts, "the table of the report"


def test_three_experts_on_one_language_model_cost_little_more_than_one() -> None:
    dense, mixture = counted("1b", ()), counted("1b")
    assert dense["experts"] == dense["router"] == 0
    assert sum(mixture.values()) < 1.02 * sum(dense.values())


def test_every_preset_is_the_same_modules() -> None:
    kinds = {}
    for preset in PRESETS:
        with torch.device("meta"):
            model = RsMoeForConditionalGeneration(make_config(preset, experts=EXPERTS))
        kinds[preset] = {type(module).__name__ for module in model.modules()} - {"Dropout", "Identity"}
    assert len({frozenset(names) for names in kinds.values()}) == 1


def test_adapters_are_on_query_value_and_feed_forward_of_every_layer() -> None:
    with torch.device("meta"):
        model = RsMoeForConditionalGeneration(make_config("1b", experts=EXPERTS))
    names = {name.rpartition(".")[2] for name in expert_layers(model)}
    assert names == {"q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"}
    assert len(expert_layers(model)) == 16 * 5


def test_an_unknown_preset_and_an_expert_without_a_template_are_named() -> None:
    with pytest.raises(ValueError, match="no preset 'huge'; allowed: tiny, small, 1b, 7b"):
        make_config("huge")
    with pytest.raises(ExpertError, match="prompt of expert colour is empty"):
        make_config("tiny", experts=("theme", "colour"))
