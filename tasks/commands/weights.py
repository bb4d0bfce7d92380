"""`earthloom weights import` and `export`: published weights into our layout, and back, bit by bit.

Streamed: the model is never held. A folder is written whole or not at all.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Any, Literal

import cyclopts

from tasks.core.errors import WeightsError
from tasks.core.stage import atomic, storage_errors, write_json

app = cyclopts.App(
    name="weights", help="Published weights of InternVL2-4B, EarthDial_4B and InstructBLIP: into our layout and back."
)
logger = logging.getLogger(__name__)
PUBLISHED_CONFIG = "published_config.json"
KINDS = Literal["mosaic", "attention", "mean", "max"]


@app.command(name="import")
def import_weights(
    source: str, out: Path, *, revision: str | None = None, fusion: KINDS | None = None, seed: int = 0
) -> None:
    """Published weights of InternVL, EarthDial or InstructBLIP -> a checkpoint of ours.

    Parameters
    ----------
    source
        A folder with safetensors, or a hub id (OWNER/NAME).
    out
        Folder to make.
    revision
        Of a hub id: the full commit.
    fusion
        mosaic is what EarthDial's weights were trained with, and taken for them; attention adds fresh fusion weights
        that change nothing until they are trained, and is taken for InstructBLIP and InternVL's `-hf` weights.
    seed
        Of the fresh weights.
    """
    from tasks.published import internvl_hf
    from tasks.published.instructblip import MODEL_TYPE, import_instructblip
    from tasks.published.weight_files import locate, read_config

    _refuse_existing(out)
    folder = locate(source, revision)
    kind = read_config(folder).get("model_type")
    if kind == MODEL_TYPE:
        import_instructblip(folder, source, revision, out, fusion or "attention", seed)
    elif kind == internvl_hf.MODEL_TYPE:
        internvl_hf.import_internvl_hf(folder, source, revision, out, fusion or "attention", seed)
    else:
        _import_internvl(folder, source, revision, out, fusion or "mosaic", seed)


def _import_internvl(folder: Path, source: str, revision: str | None, out: Path, fusion: KINDS, seed: int) -> None:
    from models.earthdial.state_dict_adapter import FUSION_PREFIX, from_published, published_shapes, steps_to_ours
    from models.parts.layout import PublishedError
    from models.parts.prompt import END, IMAGE_CONTEXT, PAD
    from tasks.published.normalisation import published_statistics
    from tasks.published.our_folder import RECORD, copy_text, fresh_fusion, record, save_config
    from tasks.published.tensor_stream import convert
    from tasks.published.vocabulary import token_ids
    from tasks.published.weight_files import compare, read_config, read_headers
    from tasks.vlm.images import NORMALISATION_FILE

    tokens = token_ids(folder)
    try:
        config = from_published(
            read_config(folder),
            image_token_id=tokens.get(IMAGE_CONTEXT),
            end_token_id=tokens.get(END),
            pad_token_id=tokens.get(PAD),
            fusion=fusion,
        )
    except PublishedError as error:
        raise WeightsError(f"{source}: {error}") from error
    held = read_headers(folder)
    compare(held, published_shapes(config), source)
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        fresh = fresh_fusion(config, FUSION_PREFIX, held, seed)
        files = convert(steps_to_ours(config), held, partial, fresh)
        content = {**config.to_dict(), "architectures": ["EarthDialForConditionalGeneration"]}
        save_config(config, content, held, partial)
        shutil.copyfile(folder / "config.json", partial / PUBLISHED_CONFIG)
        copied = copy_text(folder, partial)
        if NORMALISATION_FILE not in copied:  # the reference has its statistics in its code
            write_json(partial / NORMALISATION_FILE, published_statistics())
        done = record(source, revision, config, held, max(tokens.values(), default=-1) + 1, fresh)
        write_json(partial / RECORD, done)
    logger.info("%d tensors, %s parameters, in %d files under %s", done["tensors"], done["parameters"], files, out)
    if not set(copied) - {NORMALISATION_FILE}:
        logger.warning("%s has no tokenizer; put that of the weights into %s", source, out)


@app.command(name="merge")
def merge_adapter(adapter: Path, out: Path, *, base: Path | None = None) -> None:
    """An adapter of peft added to the weights it was trained on -> a checkpoint of its own.

    Parameters
    ----------
    adapter
        Folder of the adapter.
    out
        Folder to make.
    base
        Folder of its base; where the adapter says it is, if not given.
    """
    from tasks.vlm.answerer import Answerer, check_checkpoint
    from tasks.vlm.loading import Loading, read_adapter

    _refuse_existing(out)
    named = base or Path(read_adapter(adapter).get("base_model_name_or_path") or "")
    check_checkpoint(named)
    merged = Answerer(named, loading=Loading(adapter=adapter))
    with storage_errors(), atomic(out) as partial:
        merged.model.save_pretrained(partial)
        merged.tokenizer.save_pretrained(partial)
        merged.normalise.save(partial)
    logger.info("%s and %s are one checkpoint in %s", named, adapter, out)


@app.command(name="export")
def export_weights(source: Path, out: Path, *, drop_fusion: bool = False, sensor: str | None = None) -> None:
    """A checkpoint of ours -> the layout it is read in elsewhere: InternVL's, or InstructBLIP's with peft adapters.

    Parameters
    ----------
    source
        Folder of the checkpoint.
    out
        Folder to make.
    drop_fusion
        Of EarthDial: leave trained fusion weights out, for which InternVL's layout has no place.
    sensor
        Of RS-MoE: the sensor whose true-colour images the processor settings are for.
    """
    from models.earthdial.config import EarthDialConfig
    from models.rsmoe.config import RsMoeConfig
    from tasks.published.instructblip_export import export_instructblip
    from tasks.published.weight_files import locate, read_config

    _refuse_existing(out)
    folder = locate(str(source), None)
    found = read_config(folder).get("model_type")
    if found == RsMoeConfig.model_type:
        export_instructblip(folder, out, sensor)
    elif found == EarthDialConfig.model_type:
        _export_internvl(folder, out, drop_fusion)
    else:
        raise WeightsError(f"{source} is not a checkpoint of ours: its model_type is {found!r}")


def _export_internvl(folder: Path, out: Path, drop_fusion: bool) -> None:
    from models.earthdial.config import EarthDialConfig
    from models.earthdial.state_dict_adapter import FUSION_PREFIX, shapes, steps_to_ours, to_published
    from models.parts.layout import PublishedError
    from tasks.published.our_folder import copy_text
    from tasks.published.tensor_stream import convert
    from tasks.published.weight_files import compare, read_headers

    config = EarthDialConfig.from_pretrained(folder)
    text: Any = config.text_config
    if (found := text.model_type) != "phi3":
        raise WeightsError(
            f"{folder} has {found} for a language model: InternVL's older layout is written for Phi-3 alone. Its names "
            "are those of transformers' InternVL classes already"
        )
    expected = shapes(config)
    held = read_headers(folder)
    compare(held, expected, str(folder))
    fusion = [name for name in expected if name.startswith(FUSION_PREFIX)]
    if fusion and not drop_fusion:
        raise WeightsError(
            f"the published layout has no place for the {len(fusion)} fusion weights of {folder}; say --drop-fusion to "
            "leave them out: images of more than three bands will then be answered differently"
        )
    base = folder / PUBLISHED_CONFIG
    try:
        published = to_published(config, json.loads(base.read_text()) if base.is_file() else None)
    except PublishedError as error:
        raise WeightsError(f"{folder}: {error}") from error
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        steps = [step.inverse for step in steps_to_ours(config)]
        files = convert(steps, {name: there for name, there in held.items() if name not in fusion}, partial)
        write_json(partial / "config.json", published)
        copy_text(folder, partial)
    logger.info("%d tensors in %d files under %s", len(steps), files, out)


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise WeightsError(f"{out} is there already; remove it or name another folder")
