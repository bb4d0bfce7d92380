"""A checkpoint of EarthDial as others read it: with its own code beside it, or as plain InternVL without fusion."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from models.earthdial.config import EarthDialConfig
from models.earthdial.image_processor import EarthDialImageProcessor
from models.earthdial.model import COVER_HEAD
from models.earthdial.processor import EarthDialProcessor
from models.earthdial.state_dict_adapter import FUSION_PREFIX, shapes, steps_to_ours, to_published
from models.parts.layout import PublishedError
from models.parts.prompt import CHAT_TEMPLATE
from tasks.core.errors import WeightsError
from tasks.core.stage import atomic, read_json, storage_errors, write_json
from tasks.dialogue.conversations import TAGS
from tasks.earth.display_sensors import DATES_TAGS, known_sensor
from tasks.earth.radiometry import BOUNDS
from tasks.earth.sensors import DISPLAY, Sensor
from tasks.published.internvl_hf_export import export_internvl
from tasks.published.our_folder import PUBLISHED_CONFIG, copy_text, plain_tokenizer, save_generation, write_texts
from tasks.published.remote_code import FILE, remote_code
from tasks.published.tensor_stream import convert
from tasks.published.weight_files import compare
from tasks.vlm.answerer import load_tokenizer
from tasks.vlm.bands import modality_tags
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE
from tasks.vlm.limits import LIMITS_FILE
from tasks.vlm.weight_headers import CONFIG, INDEX, Held, read_headers

Layout = Literal["remote-code", "internvl-chat", "internvl-hf"]
logger = logging.getLogger(__name__)
CARRIED = (NORMALISATION_FILE, LIMITS_FILE, "recipe.json")
"""Files of a checkpoint that say what it is: they go along as they are, where they are there."""
AUTO_MAP = {
    "AutoConfig": "EarthDialConfig",
    "AutoModel": "EarthDialModel",
    "AutoModelForImageTextToText": "EarthDialForConditionalGeneration",
}
PROCESSORS = {"AutoProcessor": "EarthDialProcessor", "AutoImageProcessor": "EarthDialImageProcessor"}


def export_earthdial(
    folder: Path,
    out: Path,
    layout: Layout,
    drop_fusion: bool,
    sensor: str | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write the checkpoint `folder` in another layout to `out`, whole or not at all.

    Args:
        folder: the checkpoint.
        out: folder to make.
        layout: how it leaves.
        drop_fusion: leave trained fusion weights out.
        sensor: of `internvl-hf`, whose true-colour images the processor settings are for; the only one if None.
        texts: files that go with it, such as its card, by name.

    Raises:
        WeightsError: the checkpoint is not whole, or the layout has no place for what it holds.
    """
    config = EarthDialConfig.from_pretrained(folder)
    held = read_headers(folder)
    compare(held, shapes(config), str(folder))
    if layout == "remote-code":
        if drop_fusion:
            raise WeightsError("--drop-fusion is for InternVL's layouts; `remote-code` keeps every weight")
        _with_code(folder, out, config, held, texts or {})
        return
    text: Any = config.text_config
    if layout == "internvl-chat" and text.model_type != "phi3":
        raise WeightsError(
            f"{folder} has {text.model_type} for a language model: InternVL's older layout is written for Phi-3 alone. "
            "Its names are those of transformers' InternVL classes already"
        )
    # What read the cover of the ground while it trained has no part in an answer.
    held = {name: there for name, there in held.items() if not name.startswith(COVER_HEAD)}
    fusion = [name for name in held if name.startswith(FUSION_PREFIX)]
    if fusion and not drop_fusion:
        raise WeightsError(
            f"the published layout has no place for the {len(fusion)} fusion weights of {folder}; say --drop-fusion to "
            "leave them out: images of more than three bands will then be answered differently"
        )
    plain = {name: there for name, there in held.items() if name not in fusion}
    if layout == "internvl-hf":
        export_internvl(folder, out, config, plain, sensor, texts or {})
    else:
        _published(folder, out, config, plain, texts or {})


def _published(
    folder: Path, out: Path, config: EarthDialConfig, held: Mapping[str, Held], texts: Mapping[str, str]
) -> None:
    """The layout of OpenGVLab's own code, `InternVLChatModel`."""
    base = folder / PUBLISHED_CONFIG
    try:
        published = to_published(config, json.loads(base.read_text()) if base.is_file() else None)
    except PublishedError as error:
        raise WeightsError(f"{folder}: {error}") from error
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        steps = [step.inverse for step in steps_to_ours(config)]
        files = convert(steps, held, partial)
        write_json(partial / CONFIG, published)
        copy_text(folder, partial)
        write_texts(partial, texts)
    logger.info("%d tensors in %d files under %s", len(steps), files, out)


def _with_code(
    folder: Path, out: Path, config: EarthDialConfig, held: Mapping[str, Held], texts: Mapping[str, str]
) -> None:
    """Our own layout, with the network, the processor and its settings beside the weights."""
    text: Any = config.text_config
    if (chat := getattr(config, "chat_layout", "phi3")) != "phi3":
        raise WeightsError(f"{folder} is asked in the layout {chat!r}; only Phi-3's leaves with a processor of its own")
    if text.pad_token_id is None or text.eos_token_id is None:
        raise WeightsError(f"{folder / CONFIG} does not say which tokens end an answer and fill prompts up")
    processor = EarthDialProcessor(
        EarthDialImageProcessor(
            sensors=sensor_settings(_statistics(folder)),
            tags=TAGS,
            size=config.image_size,
            max_tiles=config.max_tiles,
            tokens_per_tile=config.tokens_per_tile,
            dates_tags=DATES_TAGS,
        ),
        load_tokenizer(folder),
        chat_template=CHAT_TEMPLATE,
    )
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        for name in sorted({there.file.name for there in held.values()} | {INDEX} | set(CARRIED)):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, partial / name)
        (partial / FILE).write_text(remote_code(), encoding="utf-8")
        write_json(partial / CONFIG, {**read_json(folder / CONFIG), "auto_map": _auto_map(AUTO_MAP)})
        save_generation(config, partial)
        processor.save_pretrained(partial)
        plain_tokenizer(partial, {})
        # Written once by transformers, as a part of the processor's settings; older readers look for it by itself.
        settings = read_json(partial / "processor_config.json")
        image = {**settings["image_processor"], "auto_map": _auto_map(PROCESSORS)}
        write_json(partial / "processor_config.json", {**settings, "image_processor": image, **_mapped()})
        write_json(partial / "preprocessor_config.json", {**image, "processor_class": settings["processor_class"]})
        write_texts(partial, texts)
    logger.info("%d tensors and their code under %s", len(held), out)


def _auto_map(classes: Mapping[str, str]) -> dict[str, str]:
    return {auto: f"{Path(FILE).stem}.{name}" for auto, name in classes.items()}


def _mapped() -> dict[str, Any]:
    return {"auto_map": _auto_map(PROCESSORS)}


def _statistics(folder: Path) -> dict[str, dict[str, list[float]]]:
    path = folder / NORMALISATION_FILE
    if not path.is_file():
        raise WeightsError(f"{path} is not there, and without it nobody knows by what images were normalised")
    found: dict[str, dict[str, list[float]]] = read_json(path)
    return found


def sensor_settings(statistics: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """What the processor needs to know of each sensor; see `models.earthdial.image_processor.EarthDialImageProcessor`.

    A sensor whose true colour has no statistics is left out: no image of it can be shown.
    """
    made = {name: _settings(known_sensor(name), planes) for name, planes in statistics.items()}
    return {name: one for name, one in made.items() if one["bands"]}


def _settings(sensor: Sensor, planes: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    bounds = (0, 255) if sensor.unit == DISPLAY else BOUNDS.get(sensor.unit)
    first = [] if sensor.polarisations else list(sensor.composite_of(sensor.band_names))
    pairs = [pair for pair in sensor.polarisations if {*pair, "-".join(pair)} <= set(planes)]
    bands = [
        {"name": band.name, "wavelength": band.wavelength, "mean": planes[band.name][0], "std": planes[band.name][1]}
        for band in sensor.bands
        if band.name in planes
    ]
    return {
        "unit": sensor.unit,
        "range": list(bounds) if bounds else None,
        "first": first,
        "pairs": [list(pair) for pair in pairs],
        "ratios": {"-".join(pair): list(planes["-".join(pair)]) for pair in pairs},
        "tags": modality_tags(sensor),
        "bands": bands if set(first) <= set(planes) else [],
    }
