"""`earthloom import llava|sharegpt|messages|rsicap|iconqa|bigearthnet-txt PATH --sensor NAME`: one's own files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from tasks.commands.import_table import show
from tasks.core import paths

Jobs = Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1))]
"""A number of chunks."""


@cyclopts.Parameter(name="*")
@dataclass(frozen=True)
class OwnOptions:
    """What the formats have in common."""

    sensor: str
    """What took the images: a sensor, or the rendering of one, such as hr-rgb8 for ordinary pictures."""
    images: Path | None = None
    """Folder that image paths start from; that of PATH, and `images` in it, if not given."""
    name: str | None = None
    """What the data set is called; the name of PATH if not given."""
    out: Path = paths.DATA / "imported"
    """Where the imports go, a folder for each data set."""
    strict: bool = False
    """Refuse the rows that would be repaired."""
    jobs: Jobs = 1
    """Chunks worked on at a time."""


@cyclopts.Parameter(name="*")
@dataclass(frozen=True)
class PixelOptions:
    """What files of measured pixels may not say of themselves."""

    modality: Literal["rgb", "ms", "sar"] | None = None
    """How the images are shown; all bands if not given."""
    scale: float | None = None
    """Physical value of one step of the stored numbers."""
    offset: float | None = None
    """Physical value of a stored zero."""
    unit: str | None = None
    """What the scaled numbers of a radar are: dB, power or amplitude."""


def llava(path: Path, *, options: OwnOptions, pixels: PixelOptions | None = None) -> None:
    """Read LLaVA's or GeoChat's JSON: `image` and `conversations` of `from` and `value`.

    Every row is checked: repaired where one reading only is possible, else refused with its reason. A command that
    was stopped goes on where it was. Leaves with 1 if anything could not be read at all; the rest is imported.

    Parameters
    ----------
    path
        A JSON array or JSON lines, or a folder of such files.
    """
    _conversations("llava", path, options, pixels or PixelOptions())


def sharegpt(path: Path, *, options: OwnOptions, pixels: PixelOptions | None = None) -> None:
    """Read ShareGPT's JSON as LLaMA-Factory does: `conversations` or `messages` and `images`; its alpaca form, too.

    Rows are checked, and the command goes on and leaves, as with `llava`.

    Parameters
    ----------
    path
        A JSON array or JSON lines, or a folder of such files.
    """
    _conversations("sharegpt", path, options, pixels or PixelOptions())


def messages(path: Path, *, options: OwnOptions, pixels: PixelOptions | None = None) -> None:
    """Read OpenAI's messages: texts or parts, images as data URLs or paths. No address is opened.

    Rows are checked, and the command goes on and leaves, as with `llava`.

    Parameters
    ----------
    path
        A JSON array or JSON lines, or a folder of such files.
    """
    _conversations("messages", path, options, pixels or PixelOptions())


def rsicap(path: Path, *, options: OwnOptions) -> None:
    """Read RSICap's captions.json: `filename`, `text_input`, `text_output` (`caption` where it is split by sub-task).

    Rows are checked, and the command goes on and leaves, as with `llava`. No licence of it is known to us: pass nothing
    of it on.

    Parameters
    ----------
    path
        dataset/RSICap of RSGPT's repository, or the JSON file; pictures lie in `images` beside it.
    """
    _conversations("rsicap", path, options, PixelOptions())


def iconqa(path: Path, *, options: OwnOptions) -> None:
    """Read IconQA's questions with choices: `id`, `question`, `choices`, `answer` (an index), and `<id>/image.png`.

    Rows are checked, and the command goes on and leaves, as with `llava`.

    Parameters
    ----------
    path
        A JSON array or JSON lines of records; give the folder of the ids as --images.
    """
    _conversations("iconqa", path, options, PixelOptions())


def bigearthnet_txt(
    path: Path,
    *,
    options: OwnOptions,
    split: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    question_column: str = "input",
    answer_column: str = "output",
    patch_column: str | None = None,
) -> None:
    """Read BigEarthNet.txt's table, its texts joined to the patches of BigEarthNet 2 by their names.

    Rows are checked, and the command goes on and leaves, as with `llava`.

    Parameters
    ----------
    path
        The Parquet file; or CSV, JSON or JSON lines of the same columns.
    split
        Take the rows of this split, `train` if not given; may be given several times. Others are refused by name.
    question_column
        Holds the question.
    answer_column
        Holds the answer.
    patch_column
        Holds the name of the patch; that of the sensor in the published table if not given.
    """
    from tasks.published.own.bigearthnet import import_patches

    columns = (question_column, answer_column, patch_column)
    outcome = import_patches(
        path, options.sensor, options.images, options.name, options.out, options.strict, options.jobs,
        split or ["train"], columns,
    )  # fmt: skip
    show("BigEarthNet.txt", [outcome])


def _conversations(form: str, path: Path, options: OwnOptions, pixels: PixelOptions) -> None:
    from tasks.published.own.conversations import import_conversations
    from tasks.vlm.image_file import DeclaredMetadata

    declared = DeclaredMetadata(options.sensor, None, pixels.scale, pixels.offset, pixels.unit)
    outcome = import_conversations(
        form, path, declared, pixels.modality, options.images, options.name, options.out, options.strict, options.jobs
    )
    show(form, [outcome])
