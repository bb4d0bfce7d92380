"""The import of BigEarthNet.txt (arXiv 2603.29630): texts about patches of BigEarthNet 2, for one sensor at a time.

The published table has the columns ID, s1_name, patch_id, input, output, type, category, split, country, season and
climate_zone, as its card and those who read it say.
"""

from collections.abc import Sequence
from pathlib import Path

from tasks.core.errors import ParamsError
from tasks.published.importer import ImportResult
from tasks.published.own.chunks import OwnFormat
from tasks.published.own.conversations import image_folders, own_name
from tasks.published.own.formats import TextColumns, patch_texts
from tasks.published.own.importer import import_own, source_files
from tasks.published.own.patches import PatchFolder
from tasks.published.registry import PATCHES

PATCH_COLUMNS = {"ms": "patch_id", "sar": "s1_name"}
"""Modality -> the column that names its patch."""


def import_patches(
    path: Path,
    sensor: str,
    images: Path | None = None,
    name: str | None = None,
    out: Path = Path("data/imported"),
    strict: bool = False,
    jobs: int = 1,
    splits: Sequence[str] = ("train",),
    columns: tuple[str, str, str | None] = ("input", "output", None),
) -> ImportResult:
    """Import the texts about the patches of one sensor.

    Args:
        path: a Parquet, CSV, JSON or JSON-lines file, or a folder of them.
        sensor: whose patches they are joined to.
        images: folder of the patches; that of `path` if not given.
        name: of the data set; that of `path` and the sensor if not given.
        out: where the imports lie.
        strict: refuse rows that would be repaired.
        jobs: chunks worked on at a time.
        splits: that are taken; all if empty.
        columns: of question, answer and patch; None stands for the published one of the sensor.

    Raises:
        SourceError: nothing to read is there.
        ParamsError: the patches are of no such sensor.
    """
    if sensor not in PATCHES:
        raise ParamsError(f"--sensor {sensor}: the patches are of {' or '.join(PATCHES)}")
    entry = PATCHES[sensor]
    question, answer, patch = columns
    texts = TextColumns(question, answer, patch or PATCH_COLUMNS[entry.modality])
    how = OwnFormat(
        own_name(path, name or f"{path.stem}-{sensor}"),
        entry.name,
        entry,
        patch_texts(texts, splits),
        PatchFolder(image_folders(path, images), entry),
        strict,
        (repr(texts), *splits),
    )
    return import_own(source_files(path, tables=True), how, out, jobs)
