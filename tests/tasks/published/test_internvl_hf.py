"""InternVL in transformers' own layout as a base: the same logits on pictures, the same chat, or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import InternVLForConditionalGeneration

from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.packing import attend_within_samples, positions, sample_ends
from models.parts.prompt import CHATML, IMAGE_CONTEXT, encode
from tasks.commands.weights import export_weights, import_weights
from tasks.core.errors import WeightsError
from tasks.vlm.answerer import Answerer
from tests.fixtures.internvl_hf import write_hf

torch.set_num_threads(1)


def all_tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


@pytest.mark.parametrize(
    ("kind", "tied", "vision", "text"),
    [
        ("qwen2", True, {}, {}),  # InternVL3-1B
        ("qwen3", False, {}, {"head_dim": 16}),  # InternVL3.5
        ("llama", False, {}, {}),  # InternVL2.5 on InternLM2
        ("qwen2", False, {"norm_type": "rms_norm", "use_qk_norm": True, "attention_bias": False}, {}),  # the 6B tower
    ],
)
def test_pictures_have_the_logits_that_transformers_own_class_gives(
    kind: str, tied: bool, vision: dict[str, Any], text: dict[str, Any], tmp_path: Path
) -> None:
    theirs = write_hf(tmp_path / "hf", kind, tied, vision, **text)
    import_weights(str(tmp_path / "hf"), tmp_path / "ours")
    answerer = Answerer(tmp_path / "ours")
    asked = [("<image>\nWhat is it?", "A field."), ("And here?", "")]
    ids = torch.tensor([answerer.network.encode(asked, [8], "Be brief.").ids[0]])
    pixels = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(input_ids=ids, pixel_values=pixels).logits
        assert torch.allclose(answerer.model(input_ids=ids, pixel_values=pixels).logits, expected, atol=1e-5)
        # Packed, as in training: beside another sample nothing changes.
        model = answerer.model
        attend_within_samples(model.text_models[0])
        short, lengths = ids[:, :9].masked_fill(ids[:, :9] == model.config.image_token_id, 5), [9, ids.shape[1]]
        packed = model(
            input_ids=torch.cat([short, ids], 1), pixel_values=pixels, position_ids=positions(lengths),
            cu_seq_lens_q=sample_ends(lengths), max_length_q=lengths[1], use_cache=False,
        ).logits  # fmt: skip
    assert torch.allclose(packed[:, 9:], expected, atol=1e-4)
    assert answerer.normalise.values["hr-rgb8"]["R"] == pytest.approx([0.485 * 255, 0.229 * 255])


def test_its_chat_is_chatml_and_an_answer_ends_where_it_was_trained_to(tmp_path: Path) -> None:
    write_hf(tmp_path / "hf", "qwen2")
    import_weights(str(tmp_path / "hf"), tmp_path / "ours")
    answerer = Answerer(tmp_path / "ours")
    turns = [("<image>\nWhat?", "A field."), ("Where?", "")]
    prompt = answerer.network.encode(turns, [4], "Be brief.")
    assert prompt.text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<image>\nWhat?<|im_end|>\n<|im_start|>assistant\n"
        "A field.<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n"
    )
    tokenizer = answerer.tokenizer
    assert tokenizer.decode(prompt.ids[0]) == prompt.text.replace("<image>", f"<img>{IMAGE_CONTEXT * 4}</img>")
    assert answerer.model.config.end_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    taught = encode(tokenizer, [("What?", "A field.")], [], "Be brief.", layout=CHATML)
    learned = [token for token, label in zip(taught.ids, taught.labels, strict=True) if label >= 0]
    assert tokenizer.decode(learned) == "A field.<|im_end|>"


@pytest.mark.parametrize("tied", [True, False])
def test_files_with_the_names_of_the_classes_are_read_like_those_that_transformers_writes(
    tied: bool, tmp_path: Path
) -> None:
    theirs = write_hf(tmp_path / "hf", "qwen2", tied)
    import_weights(str(tmp_path / "hf"), tmp_path / "saved")
    named = {
        name: tensor.clone() for name, tensor in theirs.state_dict().items() if not tied or name != "lm_head.weight"
    }
    assert named.keys() != load_file(tmp_path / "hf/model.safetensors").keys()
    save_file(named, tmp_path / "hf/model.safetensors", metadata={"format": "pt"})
    import_weights(str(tmp_path / "hf"), tmp_path / "named")
    one, other = (all_tensors(tmp_path / name) for name in ("saved", "named"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(one["lm_head.weight"], one["model.language_model.embed_tokens.weight"]) == tied


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_config": {"model_type": "gpt_oss"}}, "its language model is 'gpt_oss'; supported: qwen2, qwen3, llama"),
        ({"vision_feature_layer": -2}, "vision_feature_layer is -2"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantised already"),
        ({"text_config": {"model_type": "qwen2", "use_sliding_window": True}}, "sliding window"),
    ],
)
def test_what_this_network_cannot_stand_for_is_refused_with_what_is_supported(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "hf").mkdir()
    config = {"model_type": "internvl", "text_config": {"model_type": "qwen2"}, **change}
    (tmp_path / "hf/config.json").write_text(json.dumps(config))
    save_file({"a": torch.zeros(1)}, tmp_path / "hf/model.safetensors")
    with pytest.raises(WeightsError, match=message):
        import_weights(str(tmp_path / "hf"), tmp_path / "ours")


def test_weights_of_which_one_is_not_a_number_are_refused_with_its_name(tmp_path: Path) -> None:
    write_hf(tmp_path / "hf", "qwen2")
    weights = load_file(tmp_path / "hf/model.safetensors")
    name = "multi_modal_projector.linear_2.weight"
    weights[name][0, 0] = float("nan")
    save_file(weights, tmp_path / "hf/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=rf"{name} in .* not finite"):
        import_weights(str(tmp_path / "hf"), tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_its_export_is_refused_since_its_names_are_transformers_own_already(tmp_path: Path) -> None:
    write_hf(tmp_path / "hf", "qwen2")
    import_weights(str(tmp_path / "hf"), tmp_path / "ours", fusion="mosaic")
    with pytest.raises(WeightsError, match="written for Phi-3 alone"):
        export_weights(tmp_path / "ours", tmp_path / "back")
    plain = InternVLForConditionalGeneration.from_pretrained(tmp_path / "hf")
    assert set(all_tensors(tmp_path / "ours")) == set(plain.state_dict())
    assert isinstance(EarthDialForConditionalGeneration.from_pretrained(tmp_path / "ours"), type(plain))
