"""Experts that share one language model: the same as peft's adapters, as the dense network, as separate experts."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from models.parts.packing import attend_within_samples
from models.rsmoe.experts import ExpertLinear, expert_layers
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.prompt import EXPERTS
from tests.fixtures.rsmoe import (
    as_dense,
    ask,
    batched,
    packed,
    plain_language_model,
    specialise,
    tiny,
    without_experts,
)

torch.set_num_threads(1)
# peft asks a module what transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
EQUAL, UNEQUAL = (2, 2, 2), (1, 3, 2)
MANY = (5, 5, 5)
"""More tokens an expert than the layout of adapters changes at."""
LENGTH = 16
PAIR = (ask(1, 6), ask(2, 9))


def with_peft(model: RsMoeForConditionalGeneration) -> Any:
    """The plain language model with the experts' adapters in the keeping of peft."""
    config = LoraConfig(
        r=model.config.lora_rank,
        lora_alpha=model.config.lora_alpha,
        target_modules=list(model.config.lora_targets or ()),
    )
    adapted: Any = get_peft_model(plain_language_model(model), config, adapter_name=EXPERTS[0])
    for name in EXPERTS[1:]:
        adapted.add_adapter(name, config)
    with torch.no_grad():
        for name, layer, theirs in pairs(model, adapted):
            theirs.lora_A[name].weight.copy_(layer.lora_A[EXPERTS.index(name)])
            theirs.lora_B[name].weight.copy_(layer.lora_B[EXPERTS.index(name)])
    return adapted.train(False)


def pairs(model: RsMoeForConditionalGeneration, adapted: Any) -> list[tuple[str, ExpertLinear, Any]]:
    """(expert, our layer, peft's layer) of every adapter."""
    inner = adapted.base_model.model
    layers = expert_layers(model.language_model).items()
    return [(expert, layer, inner.get_submodule(name)) for name, layer in layers for expert in EXPERTS]


def rows_of(counts: Sequence[int]) -> tuple[torch.Tensor, tuple[int, ...], list[str]]:
    """(ids of as many sequences as each expert has, tokens of each expert, expert of each sequence)."""
    ids = torch.randint(10, 64, (sum(counts), LENGTH), generator=torch.Generator().manual_seed(3))
    names = [name for name, count in zip(EXPERTS, counts, strict=True) for _ in range(count)]
    return ids, tuple(count * LENGTH for count in counts), names


@pytest.mark.parametrize("alpha", [16, 12])
@pytest.mark.parametrize("counts", [EQUAL, UNEQUAL, MANY])
def test_a_batch_of_all_experts_is_what_peft_gives_for_adapter_names(counts: tuple[int, ...], alpha: int) -> None:
    model = specialise(tiny(lora_alpha=alpha))
    adapted = with_peft(model)
    ids, tokens, names = rows_of(counts)
    with torch.no_grad():
        hidden = model.decode(model.get_input_embeddings()(ids), tokens)  # type: ignore[operator]
        ours = model.logits(hidden, tokens)
        theirs = adapted(input_ids=ids, adapter_names=names).logits
        dense = adapted(input_ids=ids, adapter_names=["__base__"] * len(ids)).logits
    # Some processors sum products of many rows in another order than of few.
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert (ours - dense).abs().max() > 0.1, "the adapters do nothing"


@pytest.mark.parametrize("counts", [EQUAL, UNEQUAL])
def test_gradients_are_those_of_one_adapter_after_another(counts: tuple[int, ...]) -> None:
    model = specialise(tiny())
    adapted = with_peft(model)
    ids, tokens, names = rows_of(counts)
    weight = torch.randn(*ids.shape, 64, generator=torch.Generator().manual_seed(4))
    model.train()
    hidden = model.decode(model.get_input_embeddings()(ids), tokens)  # type: ignore[operator]
    logits = model.logits(hidden, tokens)
    (logits * weight).sum().backward()
    in_turn = []
    for name in EXPERTS:
        adapted.set_adapter(name)
        adapted.train()
        rows = torch.tensor([one == name for one in names])
        in_turn.append(adapted(input_ids=ids[rows]).logits)
        (in_turn[-1] * weight[rows]).sum().backward()
    assert torch.allclose(logits, torch.cat(in_turn), atol=1e-5)
    for name, layer, theirs in pairs(model, adapted):
        number = EXPERTS.index(name)
        for ours, one in ((layer.lora_A, theirs.lora_A), (layer.lora_B, theirs.lora_B)):
            expected = one[name].weight.grad
            assert (ours.grad[number] - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_at_step_0_any_number_of_experts_gives_the_dense_logits_exactly(number: int) -> None:
    model = tiny((*EXPERTS, "colour")[:number])
    dense = as_dense(model)
    prompts = [ask(1, 5, number), ask(2, 8, number, groups=3)]
    for network in (model, dense):
        attend_within_samples(network.text_model)
    pack = packed(model, prompts)
    with torch.no_grad():
        assert torch.equal(model(**pack).logits, dense(**without_experts(pack)).logits)


def test_at_step_0_a_batch_gives_the_dense_logits_exactly() -> None:
    model = tiny()
    batch = batched(model, PAIR)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, as_dense(model)(**without_experts(batch)).logits)


def test_once_they_learned_experts_no_longer_give_the_dense_logits() -> None:
    model = specialise(tiny())
    batch = batched(model, PAIR)
    with torch.no_grad():
        ours, dense = model(**batch).logits, as_dense(model)(**without_experts(batch)).logits
    assert not torch.allclose(ours, dense, atol=0.1)


@pytest.mark.parametrize("arranged", [packed, batched])
def test_separate_experts_with_the_adapters_merged_give_the_logits_of_the_shared_ones(arranged: Any) -> None:
    shared, separate = specialise(tiny()), tiny(realisation="separate")
    weights = shared.state_dict()
    scale = shared.config.lora_alpha / shared.config.lora_rank
    with torch.no_grad():
        for name, tensor in separate.state_dict().items():
            if not name.startswith("expert_models."):
                tensor.copy_(weights[name])
                continue
            _, number, inner = name.split(".", 2)
            tensor.copy_(weights[f"language_model.{inner}"])
            layer = f"language_model.{inner.removesuffix('.weight')}"
            if f"{layer}.lora_A" in weights:
                a, b = (weights[f"{layer}.lora_{kind}"][int(number)] for kind in "AB")
                tensor.add_(b @ a, alpha=scale)
    if arranged is packed:
        for model in (shared, separate):
            for one in model.text_models:
                attend_within_samples(one)
        arguments = packed(shared, [ask(1, 5), ask(2, 8, groups=2)])
    else:
        arguments = batched(shared, PAIR)
    with torch.no_grad():
        ours, apart = shared(**arguments), separate(**arguments)
    assert torch.allclose(ours.logits, apart.logits, atol=1e-4)


@pytest.mark.parametrize("realisation", ["shared", "separate"])
def test_the_loss_of_a_pack_is_the_same_from_its_logits_and_in_chunks(realisation: str) -> None:
    model = specialise(tiny(realisation=realisation))
    for one in model.text_models:
        attend_within_samples(one)
    pack = packed(model, [ask(1, 5), ask(2, 8)])
    ids = pack["input_ids"]
    labels = torch.where(ids >= 10, ids, -100)
    with torch.no_grad():
        out = model(**pack, labels=labels, gate_targets=torch.tensor([1, -100]))
        chunked = model(**pack, labels=labels, gate_targets=torch.tensor([1, -100]), skip_logits=True)
        plain = torch.nn.functional.cross_entropy(out.logits[0, :-1], labels[0, 1:], reduction="sum")
        routed = model(**pack, labels=labels)
    learned = int((labels[0, 1:] != -100).sum())
    assert chunked.logits is None and torch.allclose(out.loss, chunked.loss)
    assert torch.allclose(routed.loss, plain / learned, rtol=1e-5)
    # The router learns which expert an answer belongs to, where it belongs to one.
    assert out.loss > routed.loss
