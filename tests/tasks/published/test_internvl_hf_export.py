"""A checkpoint as plain InternVL of transformers: the same answers on pictures, without our code; what vLLM reads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from transformers import AutoImageProcessor, AutoTokenizer, InternVLConfig, InternVLForConditionalGeneration

from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.image import batch_images
from models.parts.prompt import encode
from tasks.commands.weights import export_weights
from tasks.core.errors import WeightsError
from tasks.core.stage import read_json
from tasks.published.internvl_hf_export import WHITE, WHITE_REFLECTANCE
from tasks.vlm.answerer import load_tokenizer
from tasks.vlm.images import Normalisation, preprocess
from tests.fixtures.tiny_checkpoint import UNIT

QUESTION = "What covers most of this image?"


@pytest.fixture(scope="module")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hf") / "out"
    export_weights(tiny_checkpoint, out, layout="internvl-hf", drop_fusion=True, sensor="sentinel-2")
    return out


def test_a_picture_is_answered_as_by_our_own_network(tiny_checkpoint: Path, exported: Path) -> None:
    model, report = InternVLForConditionalGeneration.from_pretrained(exported, output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    # The processor itself needs torchvision, for videos; its parts do not.
    tokenizer, images = (
        AutoTokenizer.from_pretrained(exported),
        AutoImageProcessor.from_pretrained(exported, backend="pil"),
    )
    levels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    pixels = images(Picture.fromarray(levels), crop_to_patches=True, return_tensors="pt")["pixel_values"]
    planes = dict(zip(("B04", "B03", "B02"), (levels / WHITE * WHITE_REFLECTANCE).transpose(2, 0, 1), strict=True))
    ours = batch_images([preprocess(planes, "sentinel-2", list(planes), Normalisation(UNIT)).tiled(64, 6)])
    assert torch.allclose(pixels, ours["pixel_values"], atol=1e-4)

    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    tokens = read_json(exported / "processor_config.json")["image_seq_length"]
    shown = f"<img>{tokenizer.context_image_token * tokens}</img>"  # as InternVLProcessor writes it
    ids = torch.tensor([tokenizer.encode(text.replace("<IMG_CONTEXT>", shown), add_special_tokens=False)])
    own = encode(load_tokenizer(tiny_checkpoint), [(f"[s2_rgb_10] <image>\n{QUESTION}", "")], [tokens])
    assert ids[0].tolist() == own.ids
    network = EarthDialForConditionalGeneration.from_pretrained(tiny_checkpoint).eval()
    with torch.no_grad():
        theirs = model.eval()(input_ids=ids, pixel_values=pixels).logits
        assert torch.allclose(theirs, network(input_ids=ids, **ours).logits, atol=1e-3)
        same = model(input_ids=ids, pixel_values=ours["pixel_values"]).logits
        assert torch.allclose(same, network(input_ids=ids, **ours).logits, atol=1e-5)
    flat = torch.full_like(pixels, 0.0)
    answer = model.generate(input_ids=ids, pixel_values=flat, attention_mask=torch.ones_like(ids), max_new_tokens=20)
    assert tokenizer.decode(answer[0, ids.shape[1] :], skip_special_tokens=True) == "open water"


def test_it_holds_what_vllm_s_loader_reads(exported: Path) -> None:
    from safetensors import safe_open

    config = InternVLConfig.from_pretrained(exported)
    assert config.architectures == ["InternVLForConditionalGeneration"] and "auto_map" not in config.to_dict()
    assert (config.downsample_ratio, config.projector_hidden_act, config.text_config.model_type) == (
        0.5,
        "gelu",
        "phi3",
    )
    assert config.vision_config.image_size[0] == 64 and config.vision_config.patch_size[0] == 8
    with safe_open(exported / "model.safetensors", "pt") as file:
        prefixes = {".".join(name.split(".")[:2]) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    assert prefixes == {"model.vision_tower", "model.multi_modal_projector", "model.language_model", "lm_head.weight"}
    settings = read_json(exported / "processor_config.json")
    image = settings["image_processor"]
    assert (settings["processor_class"], image["image_processor_type"]) == (
        "InternVLProcessor",
        "GotOcr2ImageProcessor",
    )
    assert (image["min_patches"], image["max_patches"], image["crop_to_patches"]) == (1, 6, True)
    tokenizer = AutoTokenizer.from_pretrained(exported)
    for name in ("start_image_token", "end_image_token", "context_image_token", "video_token"):
        assert len(tokenizer.encode(getattr(tokenizer, name), add_special_tokens=False)) == 1
    assert tokenizer.context_image_token_id == config.image_token_id


def test_fusion_a_sensor_and_its_unit_are_asked_for_by_name(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for options, said in (
        ({}, "--drop-fusion"),
        ({"drop_fusion": True}, "say --sensor"),
        ({"drop_fusion": True, "sensor": "sentinel-1"}, "sentinel-1 is not among them"),
    ):
        with pytest.raises(WeightsError, match=said):
            export_weights(tiny_checkpoint, out, layout="internvl-hf", **options)  # type: ignore[arg-type]
    assert not out.exists()
