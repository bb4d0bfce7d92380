"""models/earthdial: presets, mixed batches, freezing, saving, generation."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.earthdial.generate import generate
from models.earthdial.model import PARTS, EarthDialForConditionalGeneration
from models.earthdial.presets import PRESETS, make_config

torch.set_num_threads(1)
SLOT, END, FILL = 7, 1, 0


def tiny(fusion: str = "attention") -> EarthDialForConditionalGeneration:
    """A fresh tiny model."""
    torch.manual_seed(0)
    config = make_config("tiny", vocab_size=64, image_token_id=SLOT, end_token_id=END, pad_token_id=FILL, fusion=fusion)
    return EarthDialForConditionalGeneration(config)


def mixed_batch(model: EarthDialForConditionalGeneration) -> dict[str, torch.Tensor]:
    """One RGB image, one of 13 bands and one radar image, each with a question."""
    size, slots = model.config.image_size, model.config.tokens_per_tile
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 64, (3, slots + 12), generator=generator)
    ids[:, 4 : 4 + slots] = SLOT
    mask = torch.ones(7, 3, dtype=torch.bool)
    mask[5, 1:] = False
    return {
        "input_ids": ids,
        "pixel_values": torch.randn(7, 3, size, size, generator=generator) * mask[..., None, None],
        "tile_of_group": torch.tensor([0, 1, 1, 1, 1, 1, 2]),
        "wavelengths": torch.rand(7, 3, generator=generator) * 2 + 0.4,
        "band_mask": mask,
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


def test_a_batch_of_rgb_multispectral_and_radar_gives_each_image_what_it_gets_alone() -> None:
    model = tiny().train(False)
    torch.nn.init.normal_(model.model.band_fusion.out.weight)
    batch = mixed_batch(model)
    with torch.no_grad():
        together = model(**batch).logits
        alone = torch.cat([model(**pick(batch, row)).logits for row in range(3)])
    assert torch.allclose(together, alone, atol=1e-4)


def test_rgb_tiles_need_no_description_of_their_groups() -> None:
    model = tiny().train(False)
    one = pick(mixed_batch(model), 0)
    with torch.no_grad():
        plain = model(input_ids=one["input_ids"], pixel_values=one["pixel_values"]).logits
        assert torch.equal(plain, model(**one).logits)
    with pytest.raises(ValueError, match="give all of"):
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
    with pytest.raises(ValueError, match="do not match"):
        model(**batch)


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


def test_a_part_that_does_not_exist_cannot_be_trained() -> None:
    with pytest.raises(ValueError, match="vision, fusion"):
        tiny().train_parts(["mlp"])


@pytest.mark.parametrize("fusion", ["attention", "mean"])
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
