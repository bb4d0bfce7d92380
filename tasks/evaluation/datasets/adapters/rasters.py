"""GeoTIFFs with a list of the split: TreeSatAI's aerial chips and STARCOP's scenes."""

import csv
from collections.abc import Iterator
from pathlib import Path

from tasks.core.inside import OutsideError, inside, within
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import ImageIndex, get, matches, need, read_lines
from tasks.evaluation.datasets.images import ImageDecodeError, npy, stack
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected


def treesatai(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each file of `test_filenames.lst`; the species begins the name, `Fagus_sylvatica_3_...tif`."""
    listed = read_lines(need(root, f"**/{job.benchmark.split}_filenames.lst"))
    index = ImageIndex(need(root, *job.option("images")))
    # Longest first: Larix_decidua must not be taken for a shorter name that begins alike.
    species = sorted(job.benchmark.classes, key=len, reverse=True)
    for name in listed:
        spaced = name.replace("_", " ")
        truth = next((kind for kind in species if spaced.startswith(kind.rstrip("."))), None)
        if truth is None:
            yield Rejected(name, "unknown_class", f"{name} begins with none of the {len(species)} species", name)
        else:
            yield job.sample(name, [job.image(index.find(name))], job.question(), [truth])


def starcop(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each row of test.csv; red, green, blue and mag1c stacked, as numbers, not as 8 bits.

    Columns `id`, `has_plume` and `folder` (whose last part is the folder of the scene's .tif files).
    """
    path = need(root, *job.option("file"))
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows, start=2):
        where = f"{path}, line {number}"
        id = str(get(row, "id", where))
        has_plume = str(get(row, "has_plume", where)).strip().lower()
        if has_plume not in ("true", "false", "1", "0", "1.0", "0.0"):
            yield Rejected(id, "no_truth", f"{where}: has_plume is {has_plume!r}")
            continue
        try:
            home = inside(path.parent, id)
        except OutsideError as error:
            yield Rejected(id, "unsafe_path", f"{where}: {error}")
            continue
        homes = [home for home in (home, *matches(root, f"**/{id}")) if home.is_dir()]
        folder = homes[0] if homes else path.parent / id
        files = [folder / f"{band}.tif" for band in job.benchmark.bands]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            yield Rejected(id, "missing_image", f"{id} lacks {', '.join(missing)}", str(folder))
            continue
        try:
            data = npy(stack([within(root, file) for file in files]))
        except (ImageDecodeError, OutsideError) as error:
            yield Rejected(id, "unreadable_image", str(error), str(folder))
            continue
        truth = "Yes" if has_plume in ("true", "1", "1.0") else "No"
        yield job.sample(id, [job.embedded(data)], job.question(), [truth], extra={"subset": row.get("subset", "")})
