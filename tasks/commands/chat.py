"""`earthloom chat`: talk about image files in a terminal, or ask what is wanted and leave."""

import sys
from pathlib import Path
from typing import Literal

from tasks.core.errors import MissingInputError
from tasks.core.picture_sizes import MOST_PIXELS


def chat(
    *images: Path,
    model: Path = Path("data/train/3"),
    adapter: Path | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    load_in: Literal["int8", "int4"] | None = None,
    question: list[str] | None = None,
    sensor: str | None = None,
    date: str | None = None,
    scale: float | None = None,
    offset: float | None = None,
    unit: str | None = None,
    boxes_out: Path | None = None,
    draw: Path | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    max_tiles: int | None = None,
    max_new_tokens: int = 128,
    most_pixels: int = MOST_PIXELS,
    threads: int = 0,
    limits: bool = True,
) -> None:
    """Talk about satellite images with a trained model.

    Parameters
    ----------
    images
        GeoTIFF, JPEG 2000, PNG, JPEG, WebP, GIF or BMP; several for several dates, sensors or polarisations.
    model
        Folder of a checkpoint: weights, tokenizer and statistics.
    adapter
        Folder of an adapter of peft that was trained on the model, as `earthloom finetune` leaves it.
    dtype
        Numbers the model computes with; as its weights are stored if not given.
    load_in
        Hold the matrices of the language model in 8 or 4 bits, with bitsandbytes.
    question
        Asked and answered at once, one after the other; without it, questions are read as they are typed.
    sensor
        Which sensor took the images, where they do not say so themselves.
    date
        When they were taken, such as 2017-02-16, where they do not say so themselves.
    scale
        Reflectance, dB or power of one step of the stored numbers, where the images do not say so themselves.
    offset
        Reflectance, dB or power of a stored zero, where the images do not say so themselves.
    unit
        What the numbers of a radar are once scaled: dB, power or amplitude.
    boxes_out
        GeoJSON file for the boxes of the answers.
    draw
        PNG file for the last image with the boxes drawn on it.
    device
        Where the model runs.
    max_tiles
        Most tiles of the images together; as in training if not given.
    max_new_tokens
        Longest answer.
    most_pixels
        Pixels that may be decoded of one image, judged by its header; of a scene, those of the overview that will do.
    threads
        CPU threads, 0 for all.
    limits
        Answer what the model was not taught with its limits; --no-limits asks it anyway.
    """
    from tasks.vlm.checkpoint_folder import check_checkpoint

    # What can be said at once is said before the model is loaded, which takes its time.
    check_checkpoint(model)
    missing = [str(path) for path in images if not path.is_file()]
    if missing:
        raise MissingInputError(f"no such image: {', '.join(missing)}")
    import torch
    from rich.console import Console

    from tasks.evaluation.known_limits import limits_of
    from tasks.vlm.answerer import Answerer
    from tasks.vlm.image_file import DeclaredMetadata
    from tasks.vlm.loading import Loading
    from tasks.vlm.terminal import HELP, Chat, Outputs, described, open_all, typed

    if threads:
        torch.set_num_threads(threads)
    answerer = Answerer(model, device, max_tiles, Loading(dtype, load_in, adapter))
    declared = DeclaredMetadata(sensor=sensor, date=date, scale=scale, offset=offset, unit=unit)
    given = open_all(images, answerer, declared, most_pixels)
    known = limits_of(answerer.record)
    session = Chat(
        answerer, given, declared, Outputs(boxes_out, draw), max_new_tokens, known if limits else None, most_pixels
    )
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in known.brief() if known else ():
        notes.print(line, style="dim", markup=False)
    for image in given:
        notes.print(described(image), style="dim", markup=False)
    if question:
        for one in question:
            notes.print(f"> {one}", style="bold", markup=False)
            session.ask(one)
    elif sys.stdin.isatty():
        notes.print(HELP, style="dim", markup=False)
        session.talk(typed(session.console))
    else:
        session.talk(iter(sys.stdin))
