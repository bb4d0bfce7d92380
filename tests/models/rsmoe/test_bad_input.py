"""What does not fit is refused with a sentence that names what and where."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.rsmoe.experts import add_experts, permute_experts
from models.rsmoe.generate import answer
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.presets import make_config
from models.rsmoe.prompt import EXPERTS, ExpertError
from tests.fixtures.rsmoe import END, SYSTEM, ask, batched, image, plain_language_model, tiles, tiny

torch.set_num_threads(1)
LAYER = "language_model.model.layers.1.mlp.up_proj"


@pytest.fixture(scope="module")
def model() -> RsMoeForConditionalGeneration:
    return tiny()


@pytest.fixture(scope="module")
def saved(model: RsMoeForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    model.save_pretrained(folder)
    return folder


def altered(saved: Path, folder: Path, change: Any) -> Path:
    """A copy of the checkpoint whose tensors `change` has changed."""
    tensors = load_file(saved / "model.safetensors")
    change(tensors)
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes((saved / "config.json").read_bytes())
    return folder


def test_a_checkpoint_that_lacks_adapters_is_refused_by_the_names_of_them(saved: Path, tmp_path: Path) -> None:
    folder = altered(saved, tmp_path / "lacking", lambda tensors: tensors.pop(f"{LAYER}.lora_B"))
    with pytest.raises(ExpertError, match=rf"lacking.*{LAYER}.lora_B is missing"):
        RsMoeForConditionalGeneration.from_pretrained(folder)


def test_a_checkpoint_that_lacks_an_expert_is_refused_by_the_numbers_of_them(saved: Path, tmp_path: Path) -> None:
    def two(tensors: dict[str, torch.Tensor]) -> None:
        tensors |= {name: tensor[:2].clone() for name, tensor in tensors.items() if ".lora_" in name}

    folder = altered(saved, tmp_path / "two", two)
    with pytest.raises(ExpertError, match=rf"{LAYER}.lora_A is \[2, 8, 128\] instead of \[3, 8, 128\]"):
        RsMoeForConditionalGeneration.from_pretrained(folder)


def test_a_separate_expert_that_is_missing_is_named(tmp_path: Path) -> None:
    tiny(realisation="separate").save_pretrained(tmp_path / "all")

    def without(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith("expert_models.2.")]:
            del tensors[name]

    folder = altered(tmp_path / "all", tmp_path / "two", without)
    with pytest.raises(ExpertError, match=r"expert_models.2.model.embed_tokens.weight is missing"):
        RsMoeForConditionalGeneration.from_pretrained(folder)


def test_adapters_of_another_base_are_refused_by_their_shapes(saved: Path, tmp_path: Path) -> None:
    def wider(tensors: dict[str, torch.Tensor]) -> None:
        tensors[f"{LAYER}.lora_A"] = torch.zeros(3, 8, 256)

    folder = altered(saved, tmp_path / "wider", wider)
    with pytest.raises(ExpertError, match=rf"{LAYER}.lora_A is \[3, 8, 256\] instead of \[3, 8, 128\]"):
        RsMoeForConditionalGeneration.from_pretrained(folder)


def test_a_dense_checkpoint_taken_for_a_mixture_is_refused(saved: Path, tmp_path: Path) -> None:
    def dense(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".lora_" in name or name.startswith("router.")]:
            del tensors[name]

    with pytest.raises(ExpertError, match=r"router.queries is missing"):
        RsMoeForConditionalGeneration.from_pretrained(altered(saved, tmp_path / "dense", dense))


def test_what_was_loaded_is_listed_for_who_asks(saved: Path, tmp_path: Path) -> None:
    folder = altered(saved, tmp_path / "lacking", lambda tensors: tensors.pop("router.queries"))
    network: Any = RsMoeForConditionalGeneration
    _, report = network.from_pretrained(folder, output_loading_info=True)
    assert set(report["missing_keys"]) == {"router.queries"}


def test_a_vocabulary_that_does_not_fit_the_image_token_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image token is number 64, but the vocabulary has 64 rows"):
        make_config("tiny", vocab_size=64, image_token_id=64, end_token_id=1, pad_token_id=0)


def test_a_token_beyond_the_vocabulary_is_refused_by_its_number(model: RsMoeForConditionalGeneration) -> None:
    question = ask(1, 5)
    strange = replace(question, ids=tuple((*ids[:-1], 70) for ids in question.ids))
    with pytest.raises(ValueError, match=r"token 70, but the vocabulary has 64 rows"):
        answer(model, [strange], 2)
    foreign = replace(question, instruction=(64,))
    with pytest.raises(ValueError, match=r"token 64, but the Q-Former's vocabulary has 64 rows"):
        answer(model, [foreign], 2)


def test_more_experts_than_there_are_is_refused_wherever_they_are_asked_for(
    model: RsMoeForConditionalGeneration,
) -> None:
    batch = batched(model, [ask(1, 5, experts=4)])
    with pytest.raises(ExpertError, match="dealt out to 4 experts; this network has 3"):
        model(**{**batch, "expert_of_sequence": torch.tensor([0, 1, 2, 0])})
    with pytest.raises(ExpertError, match="a prompt has 4 entries, one for each expert; the network has 3"):
        answer(model, [ask(1, 5, experts=4)], 2)
    with pytest.raises(ExpertError, match=r"3 experts; \[0, 1, 2, 3\] is no order of them"):
        permute_experts(model, [0, 1, 2, 3])
    with pytest.raises(ExpertError, match="no expert 'colour'; this network has theme, object, relation"):
        model.config.expert("colour")
    dense = tiny(())
    with pytest.raises(ExpertError, match="no experts to route to: it is the dense one"):
        dense(**batched(model, [ask(1, 5)]))


def test_tokens_that_are_not_dealt_out_whole_are_refused(model: RsMoeForConditionalGeneration) -> None:
    batch = batched(model, [ask(1, 5)])
    with pytest.raises(ExpertError, match=r"tokens for 3 experts, but they were dealt out as \(5, 5, 5\)"):
        model(**{**batch, "expert_tokens": (5, 5, 5)})


def test_an_empty_prompt_of_an_expert_is_refused_by_its_name() -> None:
    with pytest.raises(ExpertError, match="prompt of expert object is empty"):
        tiny(templates={"theme": "What is it?", "object": " ", "relation": "Where is it?"})
    with pytest.raises(ExpertError, match="2 experts are named, but 1 templates"):
        tiny().config.__class__(experts=["a", "b"], templates=["x"])
    with pytest.raises(ExpertError, match="each expert once"):
        make_config("tiny", experts=("theme", "theme"))


def test_a_template_that_is_shorter_than_the_prompt_tokens_is_refused_by_its_expert(
    model: RsMoeForConditionalGeneration,
) -> None:
    question = ask(1, 5)
    short = (SYSTEM, *range(10, 17), END, *question.ids[1][question.ids[1].index(END) + 1 :])
    with pytest.raises(ExpertError, match="prompt of expert object has 7 tokens, of which the router changes 8"):
        answer(model, [replace(question, ids=(question.ids[0], short, question.ids[2]))], 2)


def test_a_question_without_an_image_is_refused_where_the_router_would_look_at_it(
    model: RsMoeForConditionalGeneration,
) -> None:
    with pytest.raises(ExpertError, match="router sees no image"):
        answer(model, [replace(ask(1, 5), images={})], 2)


def test_an_image_of_one_band_needs_a_mask_that_says_so(model: RsMoeForConditionalGeneration) -> None:
    question = tiles([ask(1, 5)])
    asked = {name: question[name] for name in ("instruction_ids", "instruction_mask")}
    pixels = torch.randn(1, 1, 112, 112)
    groups = {"pixel_values": torch.cat([pixels, pixels * 0, pixels * 0], dim=1), "tile_of_group": torch.tensor([0])}
    with torch.no_grad():
        plain = model.see(pixels, **asked)
        masked = model.see(**groups, **asked, band_mask=torch.tensor([[True, False, False]]))
    assert torch.equal(plain.tokens, masked.tokens) and plain.tokens.isfinite().all()
    with pytest.raises(ValueError, match=r"groups of 3 bands; got \(1, 1, 112, 112\)"):
        model.see(pixels, **asked, tile_of_group=torch.tensor([0]))
    with pytest.raises(ValueError, match=r"\(tiles, bands, height, width\); got \(1, 112, 112\)"):
        model.see(pixels[0], **asked)


def test_images_and_questions_that_differ_in_number_are_refused(model: RsMoeForConditionalGeneration) -> None:
    arguments = tiles([ask(1, 5), ask(2, 5)])
    arguments.pop("sample_of_tile")
    with pytest.raises(ValueError, match="2 tiles, but 1 questions"):
        model.see(**{**arguments, "instruction_ids": arguments["instruction_ids"][:1]})
    ids = torch.tensor([ask(1, 5).ids[0]])
    with pytest.raises(ValueError, match="16 <IMG_CONTEXT> in input_ids do not match 0 visual tokens"):
        model(ids)
    with pytest.raises(ValueError, match="16 <IMG_CONTEXT> in input_ids do not match 32 visual tokens"):
        model(ids, **arguments)
    with pytest.raises(ValueError, match="give instruction_ids and their mask"):
        model(ids, **image(1))


def test_a_language_model_without_the_layers_to_adapt_names_those_it_has(model: RsMoeForConditionalGeneration) -> None:
    with pytest.raises(ExpertError, match="has no qkv_proj; its layers are down_proj, gate_proj, k_proj, lm_head"):
        add_experts(plain_language_model(model), 3, ("q_proj", "qkv_proj"), 8, 16, 0.0)
    assert EXPERTS == ("theme", "object", "relation")
