"""The golden weights: what the reference code gave, imported weights give too."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.fusion import mosaic

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[2].parent / "shared/golden/earthdial-tiny"
TOLERANCE = 1e-4
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="no golden weights beside the checkout")


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "golden.safetensors")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EarthDialForConditionalGeneration:
    # Here, so that a machine with torch and transformers alone can collect the folder of tests.
    weights = pytest.importorskip(
        "tasks.commands.weights", reason="the importer is a command", exc_type=ModuleNotFoundError
    )
    out = tmp_path_factory.mktemp("golden") / "ours"
    weights.import_weights(str(GOLDEN), out)
    loaded: EarthDialForConditionalGeneration = EarthDialForConditionalGeneration.from_pretrained(out)
    assert loaded.dtype == torch.float32
    return loaded.train(False)


def apart(left: torch.Tensor, right: torch.Tensor) -> float:
    assert left.shape == right.shape
    return float((left - right).abs().max())


@torch.no_grad()
def test_visual_tokens_of_three_tiles_are_the_references(
    model: EarthDialForConditionalGeneration, golden: dict[str, torch.Tensor]
) -> None:
    tokens = model.model.get_image_features(golden["rgb.pixel_values"]).pooler_output
    assert apart(tokens, golden["rgb.vision_features"]) < TOLERANCE


@pytest.mark.parametrize("images", ["rgb", "ms"])
@torch.no_grad()
def test_logits_and_loss_are_the_references(
    images: str, model: EarthDialForConditionalGeneration, golden: dict[str, torch.Tensor]
) -> None:
    ids, pixels = golden[f"{images}.input_ids"], golden[f"{images}.pixel_values"]
    out = model(input_ids=ids, pixel_values=pixels, labels=ids)
    chunked = model(input_ids=ids, pixel_values=pixels, labels=ids, skip_logits=True)
    assert apart(out.logits, golden[f"{images}.logits"]) < TOLERANCE
    assert apart(out.loss[None], golden[f"{images}.loss"]) < TOLERANCE
    assert apart(chunked.loss[None], golden[f"{images}.loss"]) < TOLERANCE


@torch.no_grad()
def test_twelve_bands_are_fused_as_released(
    model: EarthDialForConditionalGeneration, golden: dict[str, torch.Tensor]
) -> None:
    fused = model.model.get_image_features(golden["ms.pixel_values"]).last_hidden_state
    assert apart(fused, golden["ms.fused"]) < TOLERANCE


@pytest.mark.parametrize("groups", [1, 2, 3, 4])
def test_the_mosaic_is_the_released_one(groups: int, golden: dict[str, torch.Tensor]) -> None:
    assert torch.equal(mosaic(golden[f"mosaic.k{groups}.in"][None]), golden[f"mosaic.k{groups}.out"])


def test_greedy_tokens_are_the_references(
    model: EarthDialForConditionalGeneration, golden: dict[str, torch.Tensor]
) -> None:
    ids, greedy = golden["rgb.input_ids"], golden["rgb.greedy"]
    out = model.generate(
        input_ids=ids, pixel_values=golden["rgb.pixel_values"], max_new_tokens=greedy.shape[1], do_sample=False
    )
    assert out[:, ids.shape[1] :].tolist() == greedy.tolist()
