"""A folder for each class, its images in it (AID, UCM, WHU-RS19, RESISC45, PatternNet, SIRI-WHU); fMoW's sequences."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import found, get, matches, read_json
from tasks.evaluation.datasets.images import SUFFIXES
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected


def class_folders(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each image of each class folder.

    Options: `folders`, where the class folders may lie below the given one; `aliases`, a folder's name to the class
    it means where spelling alone does not tell.
    """
    home = _home(root, job)
    for folder in sorted(path for path in home.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))):
        name = job.class_called(folder.name)
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
            id = path.relative_to(home).with_suffix("").as_posix()
            if name is None:
                yield Rejected(id, "unknown_class", job.unknown_class(folder.name), str(path))
            else:
                yield job.sample(id, [job.image(path)], job.question(), [name], extra={"label": folder.name})


def _home(root: Path, job: ImportJob) -> Path:
    """The folder that holds the class folders: the first with two of them."""
    for name in job.option("folders", ["."]):
        for folder in [root] if name == "." else matches(root, name):
            inner = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
            if sum(job.class_called(name) is not None for name in inner) >= 2:
                return folder
    looked = " or ".join(job.option("folders", ["."]))
    raise BenchmarkError(
        f"{root}: looked in {looked} for folders called after the classes of {job.benchmark.title} "
        f"({', '.join(job.benchmark.classes[:3])}, ...); {found(root)}"
    )


def fmow(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each sequence `<class>/<class>_<n>/<class>_<n>_<k>_rgb.jpg` with its `_rgb.json`.

    The first `dates` pictures by time are shown, whole; the owner's box lies in `extra`. A sequence with fewer is
    left out, and said so.
    """
    dates = job.option("dates", 4)
    sequences: dict[Path, list[Path]] = defaultdict(list)
    for path in matches(root, "**/*_rgb.json"):
        sequences[path.parent].append(path)
    for folder, notes in sorted(sequences.items()):
        label = folder.parent.name
        id = f"{label}/{folder.name}"
        name = job.class_called(label)
        if name is None:
            yield Rejected(id, "unknown_class", job.unknown_class(label))
            continue
        if len(notes) < dates:
            yield Rejected(id, "too_few_dates", f"{len(notes)} dates, {dates} are asked for")
            continue
        shown = sorted((str(get(read_json(note), "timestamp", str(note))), note) for note in notes)[:dates]
        images = [job.image(_picture(note), date) for date, note in shown]
        boxes = [get(read_json(note), "bounding_boxes", str(note)) for _, note in shown]
        yield job.sample(id, images, job.question(), [name], extra={"boxes": boxes})


def _picture(note: Path) -> Path:
    """The picture beside its note, whatever case its extension is in."""
    for path in sorted(note.parent.glob(f"{note.stem}.*")):
        if path.suffix.lower() in SUFFIXES:
            return path
    return note.with_suffix(".jpg")
