"""A checkpoint of EarthDial as plain InternVL of transformers, for three bands: what vLLM serves without our code.

vLLM's `InternVLForConditionalGeneration` reads config.json (`vision_config`, `text_config`, `downsample_ratio`,
`projector_hidden_act`), tensors under `model.vision_tower`, `model.multi_modal_projector`, `model.language_model` and
`lm_head`, and asks InternVLProcessor for the number of tiles. The tensors are ours, fusion left out.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import InternVLConfig

from models.earthdial.config import EarthDialConfig
from models.parts.layout import Step
from models.parts.prompt import IMAGE_CONTEXT, IMAGE_END, IMAGE_START, SYSTEM
from tasks.core.errors import WeightsError
from tasks.core.stage import atomic, storage_errors, write_json
from tasks.earth.sensors import DISPLAY
from tasks.published.our_folder import plain_tokenizer, save_config, true_colour, write_texts
from tasks.published.tensor_stream import convert
from tasks.vlm.answerer import load_tokenizer
from tasks.vlm.bands import modality_tag
from tasks.vlm.weight_headers import Held

WHITE = 255.0
WHITE_REFLECTANCE = 0.4
"""Reflectance that 255 stands for in a picture of a sensor of reflectance; ours: InternVL takes pictures of 8 bit."""
UNUSED = "</quad>"
"""Stands for a video in the processor, which wants a token for one: no image model is shown any."""
TOKENS = {
    "start_image_token": IMAGE_START,
    "end_image_token": IMAGE_END,
    "context_image_token": IMAGE_CONTEXT,
    "video_token": UNUSED,
}
logger = logging.getLogger(__name__)


def export_internvl(
    folder: Path,
    out: Path,
    config: EarthDialConfig,
    held: Mapping[str, Held],
    sensor: str | None,
    texts: Mapping[str, str],
) -> None:
    """Write it to `out`, whole or not at all.

    Args:
        folder: the checkpoint.
        out: folder to make.
        config: of the checkpoint.
        held: its tensors without fusion.
        sensor: whose true-colour images the processor settings are for; the only one there is if None.
        texts: files that go with it, by name.

    Raises:
        WeightsError: the sensor is missing, one of several or of another unit, or the tokenizer lacks a token.
    """
    known, pairs = true_colour(folder, sensor)
    if known.unit not in (DISPLAY, "reflectance"):
        raise WeightsError(f"{known.name} is in {known.unit}, and a picture holds display values or reflectance")
    tokenizer = load_tokenizer(folder)
    lacking = [token for token in TOKENS.values() if token not in tokenizer.get_vocab()]
    if lacking:
        raise WeightsError(f"the tokenizer of {folder} has no {', '.join(lacking)}, which InternVL's processor wants")
    plain = InternVLConfig(
        vision_config=config.vision_config,
        text_config=config.text_config,
        image_token_id=config.image_token_id,
        image_seq_length=config.tokens_per_tile,
        downsample_ratio=config.downsample_ratio,
        projector_hidden_act=config.projector_hidden_act,
        tie_word_embeddings=False,
    )
    scale = WHITE if known.unit == DISPLAY else WHITE_REFLECTANCE
    image = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "crop_to_patches": config.max_tiles > 1,
        "min_patches": 1,
        "max_patches": config.max_tiles,
        "size": {"height": config.image_size, "width": config.image_size},
        "do_resize": True,
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / WHITE,
        "do_normalize": True,
        "do_convert_rgb": True,
        "image_mean": [mean / scale for mean, _ in pairs],
        "image_std": [std / scale for _, std in pairs],
    }
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        files = convert([Step((name,), (name,)) for name in held], held, partial)
        content = {**plain.to_dict(), "architectures": ["InternVLForConditionalGeneration"]}
        save_config(plain, content, held, partial)
        tokenizer.save_pretrained(partial)
        plain_tokenizer(partial, {"processor_class": "InternVLProcessor", "extra_special_tokens": TOKENS})
        (partial / "chat_template.jinja").write_text(template(modality_tag(known, "rgb")), encoding="utf-8")
        video = {
            "video_processor_type": "InternVLVideoProcessor",
            **{key: image[key] for key in ("size", "image_mean", "image_std")},
        }
        settings: dict[str, Any] = {
            "processor_class": "InternVLProcessor",
            "image_seq_length": config.tokens_per_tile,
            "image_processor": image,
            "video_processor": video,
        }
        write_json(partial / "processor_config.json", settings)
        write_json(partial / "preprocessor_config.json", {**image, "processor_class": "InternVLProcessor"})
        write_texts(partial, texts)
    logger.info("%d tensors in %d files under %s", len(held), files, out)


def template(tag: str) -> str:
    """The chat template: a turn with images begins with the tag of the sensor and the images, as in training."""
    return (
        "{% if messages[0]['role'] != 'system' %}<|system|>\n" + SYSTEM + "<|end|>{% endif %}"
        "{% for message in messages %}<|{{ message['role'] }}|>\n"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% set shown = message['content'] | selectattr('type', 'in', ['image', 'image_url']) | list %}"
        "{% if shown %}" + tag + "{% for part in shown %} " + IMAGE_CONTEXT + "{% endfor %}{{ '\\n' }}{% endif %}"
        "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
        "{% endif %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )
