"""models/earthdial: presets, mixed batches, freezing, saving, generation."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.models.internvl.modeling_internvl import InternVLModel

from models.earthdial.config import EarthDialConfig
from models.earthdial.generate import generate
from models.earthdial.model import PARTS, EarthDialForConditionalGeneration
from models.earthdial.presets import PRESETS, make_config
from models.parts.band_groups import split_bands
from models.parts.fusion import KINDS

torch.set_num_threads(1)
SLOT, END, FILL = 7, 1, 0


def tiny(fusion: str = "attention") -> EarthDialForConditionalGeneration:
    """A fresh tiny model."""
    torch.manual_seed(0)
    config = make_config("tiny", vocab_size=64, image_token_id=SLOT, end_token_id=END, pad_token_id=FILL, fusion=fusion)
    return EarthDialForConditionalGeneration(config)


def mixed_batch(model: EarthDialForConditionalGeneration) -> dict[str, torch.Tensor]:
    """An RGB image, one of 13 bands, one radar image and one of four dates, each with a question."""
    size, slots = model.config.image_size, model.config.tokens_per_tile
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 64, (4, slots + 12), generator=generator)
    ids[:, 4 : 4 + slots] = SLOT
    mask = torch.ones(11, 3, dtype=torch.bool)
    mask[5, 1:] = False
    return {
        "input_ids": ids,
        "pixel_values": torch.randn(11, 3, size, size, generator=generator) * mask[..., None, None],
        "tile_of_group": torch.tensor([0, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3]),
        "wavelengths": torch.rand(11, 3, generator=generator) * 2 + 0.4,
        "band_mask": mask,
        "days": torch.tensor([0.0] * 8 + [40, 80, 120]),
    }


def pick(batch: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """One sequence of a batch and its image alone."""
    groups = batch["tile_of_group"] == row
    alone = {name: value[groups] for name, value in batch.items() if name != "input_ids"}
    return {
        **alone,
        "input_ids": batch["input_ids"][row : row + 1],
        "tile_of_group": torch.zeros(int(groups.sum()), dtype=torch.long),
    }


def count(model: torch.nn.Module, part: str) -> int:
    """Parameters of a part."""
    return sum(p.numel() for name in PARTS[part] for p in model.get_submodule(name).parameters())


def test_the_4b_preset_has_exactly_the_published_parameters_beside_our_fusion() -> None:
    with torch.device("meta"):
        model = EarthDialForConditionalGeneration(make_config("4b"))
    total = sum(p.numel() for p in model.parameters())
    assert total == sum(count(model, part) for part in PARTS)
    assert total - count(model, "fusion") == 4_147_181_568
    assert count(model, "vision") == 304_012_288
    assert (model.config.image_size, model.config.tokens_per_tile) == (448, 256)
    assert count(model, "projector") == 22_034_432
    with torch.device("meta"):
        released = EarthDialForConditionalGeneration(make_config("4b", vocab_size=32020, fusion="mosaic"))
    assert round(2 * sum(p.numel() for p in released.parameters()) / 1e9, 2) == 8.29  # GB in bf16, as on the hub


def test_the_tiny_preset_is_thousands_of_times_smaller_and_the_same_modules() -> None:
    model = tiny()
    with torch.device("meta"):
        large = EarthDialForConditionalGeneration(make_config("4b"))
    strip = {type(module).__name__ for module in large.modules()} ^ {type(m).__name__ for m in model.modules()}
    assert not strip
    assert sum(p.numel() for p in model.parameters()) * 2000 < 4_147_181_568


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=", ".join(PRESETS)):
        make_config("huge")


@pytest.mark.parametrize("fusion", KINDS)
def test_a_batch_of_rgb_bands_radar_and_dates_gives_each_image_what_it_gets_alone(fusion: str) -> None:
    model = tiny(fusion).train(False)
    if fusion == "attention":
        torch.nn.init.normal_(model.model.band_fusion.out.weight)
    batch = mixed_batch(model)
    with torch.no_grad():
        together = model(**batch).logits
        alone = torch.cat([model(**pick(batch, row)).logits for row in range(4)])
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("fusion", KINDS)
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 7, 12])
def test_tiles_of_any_number_of_bands_are_the_same_as_their_groups(bands: int, fusion: str) -> None:
    model = tiny(fusion).train(False)
    if fusion == "attention":
        torch.nn.init.normal_(model.model.band_fusion.out.weight)
    size = model.config.image_size
    tiles = torch.randn(2, bands, size, size, generator=torch.Generator().manual_seed(0))
    groups, mask, tile_of_group = split_bands(tiles)
    with torch.no_grad():
        plain = model.model.get_image_features(tiles).pooler_output
        flat = model.model.get_image_features(groups, tile_of_group, None, mask).pooler_output
    assert plain.shape[:2] == (2, model.config.tokens_per_tile)
    assert torch.equal(plain, flat)


@pytest.mark.parametrize("fusion", KINDS)
def test_a_group_that_is_not_there_has_no_influence_whatever_it_holds(fusion: str) -> None:
    model = tiny(fusion).train(False)
    if fusion == "attention":
        torch.nn.init.normal_(model.model.band_fusion.out.weight)
    images = {name: value for name, value in mixed_batch(model).items() if name != "input_ids"}
    keep = torch.ones(11, dtype=torch.bool)
    keep[[1, 9]] = False
    masked = {
        **images,
        "band_mask": images["band_mask"] & keep[:, None],
        "pixel_values": images["pixel_values"].clone(),
    }
    masked["pixel_values"][~keep] = torch.nan
    with torch.no_grad():
        without = model.model.get_image_features(**{name: value[keep] for name, value in images.items()}).pooler_output
        assert torch.equal(model.model.get_image_features(**masked).pooler_output, without)
    masked["band_mask"][images["tile_of_group"] == 2] = False
    with pytest.raises(ValueError, match=r"no band is there in tile \[2\]"):
        model.model.get_image_features(**masked)


def test_all_groups_of_a_batch_go_through_the_encoder_in_one_call() -> None:
    model = tiny().train(False)
    calls: list[tuple[int, ...]] = []
    model.model.vision_tower.embeddings.register_forward_pre_hook(
        lambda _module, args: calls.append(tuple(args[0].shape))
    )
    with torch.no_grad():
        model(**mixed_batch(model))
    size = model.config.image_size
    assert calls == [(11, 3, size, size)]


def test_rgb_tiles_need_no_description_of_their_groups() -> None:
    model = tiny().train(False)
    one = pick(mixed_batch(model), 0)
    with torch.no_grad():
        plain = model(input_ids=one["input_ids"], pixel_values=one["pixel_values"]).logits
        assert torch.equal(plain, model(**one).logits)
    with pytest.raises(ValueError, match="give tile_of_group"):
        model(input_ids=one["input_ids"], pixel_values=one["pixel_values"], wavelengths=one["wavelengths"])


def test_a_fresh_model_sees_only_true_colour_of_many_bands() -> None:
    model = tiny().train(False)
    batch = mixed_batch(model)
    changed = dict(batch, pixel_values=batch["pixel_values"].clone())
    changed["pixel_values"][2] += 1
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, model(**changed).logits)


def test_slots_and_tiles_that_differ_in_number_raise() -> None:
    model = tiny()
    batch = mixed_batch(model)
    batch["input_ids"][0, 4] = 9
    with pytest.raises(ValueError, match="63 <IMG_CONTEXT> in input_ids do not match 64 visual tokens"):
        model(**batch)
    with pytest.raises(ValueError, match="63 <IMG_CONTEXT> in input_ids do not match 0 visual tokens"):
        model(input_ids=batch["input_ids"])


def test_labels_without_a_token_to_learn_raise() -> None:
    model = tiny()
    ids = torch.randint(10, 64, (1, 9))
    for skip in (True, False):
        with pytest.raises(ValueError, match="none of the 9 labels is a token to learn"):
            model(input_ids=ids, labels=torch.full_like(ids, -100), skip_logits=skip)


@pytest.mark.parametrize("items", [None, 50, torch.tensor(50)])
def test_the_loss_without_logits_is_that_with_them_and_so_are_its_gradients(items: int | torch.Tensor | None) -> None:
    model = tiny()
    batch = mixed_batch(model)
    labels = batch["input_ids"].clone()
    labels[:, : model.config.tokens_per_tile + 6] = -100
    found = []
    for skip in (False, True):
        model.zero_grad()
        out = model(**batch, labels=labels, num_items_in_batch=items, skip_logits=skip)
        out.loss.backward()
        assert (out.logits is None) is skip
        found.append((out.loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}))
    (plain, expected), (chunked, given) = found
    assert torch.allclose(plain, chunked, rtol=1e-5)
    assert all(torch.allclose(expected[name], given[name], rtol=1e-3, atol=1e-6) for name in expected)


def test_skipping_the_logits_needs_labels() -> None:
    with pytest.raises(ValueError, match="needs labels"):
        tiny()(input_ids=torch.ones(1, 4, dtype=torch.long), skip_logits=True)


def test_samples_packed_into_one_sequence_do_not_see_each_other() -> None:
    model = tiny().train(False)
    batch = mixed_batch(model)
    B, S = batch["input_ids"].shape
    packed = {**batch, "input_ids": batch["input_ids"].reshape(1, -1)}
    positions = torch.arange(S).repeat(B)[None]
    with torch.no_grad():
        apart = model(**batch).logits
        together = model(**packed, position_ids=positions).logits.reshape(apart.shape)
        packed["input_ids"] = packed["input_ids"].clone()
        packed["input_ids"][0, :4] = 11  # another neighbour
        changed = model(**packed, position_ids=positions).logits.reshape(apart.shape)
    assert torch.allclose(apart, together, atol=1e-4)
    assert torch.equal(changed[1:], together[1:]) and not torch.allclose(changed[0], together[0])


def test_the_auto_classes_know_the_network(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), EarthDialConfig)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert isinstance(loaded, EarthDialForConditionalGeneration)


def test_more_tokens_leave_the_network_whole() -> None:
    model = tiny()
    model.resize_token_embeddings(70, mean_resizing=False)
    ids = torch.randint(10, 64, (1, 9))
    out = model(input_ids=ids, labels=ids, skip_logits=True)
    assert out.loss.isfinite() and model.lm_head.weight.shape[0] == 70


@pytest.mark.parametrize("frozen", [True, False])
def test_gradients_reach_what_is_trained_and_nothing_else(frozen: bool) -> None:
    model = tiny()
    torch.nn.init.normal_(model.model.band_fusion.out.weight, std=0.02)
    model.train_parts([part for part in PARTS if not (frozen and part == "vision")])
    batch = mixed_batch(model)
    model(**batch, labels=batch["input_ids"]).loss.backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert model.model.vision_tower.training is not frozen
    assert all(name.startswith("model.vision_tower") for name in silent)
    assert bool(silent) is frozen


@pytest.mark.skipif(
    "mm_encoder_outputs" not in inspect.signature(InternVLModel.forward).parameters,
    reason="this transformers has no such argument to compare with",
)
def test_text_and_images_meet_as_in_transformers_own_forward() -> None:
    model = tiny().train(False)
    batch = mixed_batch(model)
    ids = batch.pop("input_ids")
    with torch.no_grad():
        features = model.model.get_image_features(**batch)
        forwards = (type(model.model).forward, InternVLModel.forward)
        ours, theirs = (one(model.model, input_ids=ids, mm_encoder_outputs={"image": features}) for one in forwards)
    assert torch.equal(ours.last_hidden_state, theirs.last_hidden_state)
    assert torch.equal(ours.image_hidden_states, theirs.image_hidden_states)


def test_a_part_that_does_not_exist_cannot_be_trained() -> None:
    with pytest.raises(ValueError, match="vision, fusion"):
        tiny().train_parts(["mlp"])


@pytest.mark.parametrize("fusion", KINDS)
def test_saving_and_loading_gives_the_same_answers(fusion: str, tmp_path: Path) -> None:
    model = tiny(fusion).train(False)
    if fusion == "attention":
        torch.nn.init.normal_(model.model.band_fusion.out.weight)
    model.save_pretrained(tmp_path)
    loaded: Any = EarthDialForConditionalGeneration.from_pretrained(tmp_path)
    batch = mixed_batch(model)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, loaded.train(False)(**batch).logits)
    assert (tmp_path / "model.safetensors").is_file()


def test_prompts_of_different_lengths_are_answered_as_each_alone() -> None:
    model = tiny().train(False)
    batch = mixed_batch(model)
    images = {name: value for name, value in batch.items() if name != "input_ids"}
    prompts = [
        batch["input_ids"][0].tolist(),
        batch["input_ids"][1].tolist()[:-5],
        batch["input_ids"][2].tolist(),
        batch["input_ids"][3].tolist()[:-2],
    ]
    together = generate(model, prompts, images, 6)
    for row, prompt in enumerate(prompts):
        one = {name: value for name, value in pick(batch, row).items() if name != "input_ids"}
        assert generate(model, [prompt], one, 6) == [together[row]]


def test_greedy_decoding_is_the_argmax_of_the_forward_pass() -> None:
    model = tiny().train(False)
    one = pick(mixed_batch(model), 1)
    images = {name: value for name, value in one.items() if name != "input_ids"}
    ids = one["input_ids"]
    with torch.no_grad():
        for _ in range(4):
            ids = torch.cat([ids, model(**images, input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
    expected = ids[0, one["input_ids"].shape[1] :].tolist()
    end = next((place for place, token in enumerate(expected) if token in (END, FILL)), 4)
    assert generate(model, [one["input_ids"][0].tolist()], images, 4) == [expected[:end]]
