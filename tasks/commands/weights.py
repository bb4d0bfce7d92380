"""`earthloom weights import` and `export`: published weights into our layout, and back, bit by bit.

Streamed: the model is never held. A folder is written whole or not at all.
"""

import logging
import shutil
from pathlib import Path
from typing import Literal

import cyclopts

from tasks.core import paths
from tasks.core.errors import WeightsError
from tasks.core.stage import atomic, storage_errors, write_json

app = cyclopts.App(
    name="weights", help="Published weights of InternVL2-4B, EarthDial_4B and InstructBLIP: into our layout and back."
)
logger = logging.getLogger(__name__)
KINDS = Literal["mosaic", "attention", "mean", "max"]
LAYOUTS = Literal["remote-code", "internvl-chat", "internvl-hf"]


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
    from tasks.published.weight_files import locate
    from tasks.vlm.weight_headers import read_config

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
    from tasks.earth.published_statistics import published_statistics
    from tasks.published.our_folder import PUBLISHED_CONFIG, RECORD, copy_text, fresh_fusion, record, save_config
    from tasks.published.tensor_stream import convert
    from tasks.published.vocabulary import token_ids
    from tasks.published.weight_files import compare
    from tasks.vlm.checkpoint_folder import NORMALISATION_FILE
    from tasks.vlm.weight_headers import read_config, read_headers

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
    _refuse_existing(out)
    if not adapter.is_dir():
        raise WeightsError(f"{adapter} is not a folder with an adapter")
    from tasks.vlm.answerer import Answerer
    from tasks.vlm.checkpoint_folder import check_checkpoint
    from tasks.vlm.loading import Loading, read_adapter

    named = base or Path(read_adapter(adapter).get("base_model_name_or_path") or "")
    check_checkpoint(named)
    merged = Answerer(named, loading=Loading(adapter=adapter))
    with storage_errors(), atomic(out) as partial:
        merged.model.save_pretrained(partial)
        merged.tokenizer.save_pretrained(partial)
        merged.normalise.save(partial)
    logger.info("%s and %s are one checkpoint in %s", named, adapter, out)


@app.command(name="export")
def export_weights(
    source: Path,
    out: Path,
    *,
    layout: LAYOUTS | None = None,
    drop_fusion: bool = False,
    sensor: str | None = None,
    data_version: str | None = None,
    data: Path = paths.DATA,
) -> None:
    """A checkpoint of ours -> a layout it is read in elsewhere; `earthloom publish` sends what this writes to a hub.

    EarthDial leaves with its own code beside it, for all bands, or in InternVL's layouts; RS-MoE as InstructBLIP with
    peft adapters.

    Parameters
    ----------
    source
        Folder of the checkpoint.
    out
        Folder to make.
    layout
        Of EarthDial. remote-code: what transformers loads anywhere with `trust_remote_code=True`; internvl-chat, taken
        if nothing is said: that of the published weights; internvl-hf: plain InternVL of transformers, for vLLM too.
    drop_fusion
        Of EarthDial: leave trained fusion weights out, for which InternVL's layouts have no place.
    sensor
        Of RS-MoE and internvl-hf: the sensor whose true-colour images the processor settings are for.
    data_version
        Of EarthDial: tag of the release of the data set it was trained on, for its card.
    data
        Of EarthDial: folder of that data set, for the licences and scores on its card.
    """
    _refuse_existing(out)
    if not source.is_dir():
        raise WeightsError(f"{source} is not a folder with a checkpoint")
    from models.earthdial.config import EarthDialConfig
    from models.rsmoe.config import RsMoeConfig
    from tasks.exchange.checkpoints.beside import texts_beside
    from tasks.published.earthdial_export import export_earthdial
    from tasks.published.instructblip_export import export_instructblip
    from tasks.published.weight_files import locate
    from tasks.vlm.weight_headers import read_config

    folder = locate(str(source), None)
    found = read_config(folder).get("model_type")
    if found == RsMoeConfig.model_type:
        if layout is not None:
            raise WeightsError(f"--layout {layout} is for EarthDial; RS-MoE leaves as InstructBLIP")
        export_instructblip(folder, out, sensor)
    elif found == EarthDialConfig.model_type:
        chosen = layout or "internvl-chat"
        texts = texts_beside(folder, chosen, data_version, data, sensor)
        export_earthdial(folder, out, chosen, drop_fusion, sensor, texts)
    else:
        raise WeightsError(f"{source} is not a checkpoint of ours: its model_type is {found!r}")


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise WeightsError(f"{out} is there already; remove it or name another folder")
