"""BigEarthNet: a folder of single-band GeoTIFFs a patch, labels in a JSON beside them (v1) or in one Parquet (v2)."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from tasks.core.errors import BenchmarkError
from tasks.core.inside import inside
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import found, get, matches, read_json, read_lines
from tasks.evaluation.datasets.images import ImageDecodeError, npy, stack
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected

SIDE = 120
"""Pixels of the 10 m bands, which all bands are brought to."""
MERGED = {
    "Continuous urban fabric": "Urban fabric",
    "Discontinuous urban fabric": "Urban fabric",
    "Non-irrigated arable land": "Arable land",
    "Permanently irrigated land": "Arable land",
    "Rice fields": "Arable land",
    "Vineyards": "Permanent crops",
    "Fruit trees and berry plantations": "Permanent crops",
    "Olive groves": "Permanent crops",
    "Annual crops associated with permanent crops": "Permanent crops",
    "Natural grassland": "Natural grassland and sparsely vegetated areas",
    "Sparsely vegetated areas": "Natural grassland and sparsely vegetated areas",
    "Moors and heathland": "Moors, heathland and sclerophyllous vegetation",
    "Sclerophyllous vegetation": "Moors, heathland and sclerophyllous vegetation",
    "Inland marshes": "Inland wetlands",
    "Peatbogs": "Inland wetlands",
    "Salt marshes": "Coastal wetlands",
    "Salines": "Coastal wetlands",
    "Water courses": "Inland waters",
    "Water bodies": "Inland waters",
    "Coastal lagoons": "Marine waters",
    "Estuaries": "Marine waters",
    "Sea and ocean": "Marine waters",
}
"""The 43 CORINE labels of v1 that are merged into the 19 classes (BigEarthNet-MM, table 2)."""
DROPPED = frozenset(
    {
        "Road and rail networks and associated land",
        "Port areas",
        "Airports",
        "Mineral extraction sites",
        "Dump sites",
        "Construction sites",
        "Green urban areas",
        "Sport and leisure facilities",
        "Bare rock",
        "Burnt areas",
        "Intertidal flats",
    }
)
"""Those that are in none of the 19."""


def patches(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each patch of the split; bands resampled to 120 pixels, bilinearly, as float32 numbers.

    Options: `list`, patterns of v1's list of test patches, without which all are taken.
    """
    for id, folder, labels in _labelled(root, job):
        kept = [label for label in labels if label not in DROPPED]
        classes = {label: job.class_called(MERGED.get(label, label)) for label in kept}
        unknown = [label for label, name in classes.items() if name is None]
        if unknown or not kept:
            detail = job.unknown_class(unknown[0]) if unknown else f"none of the 19 classes in {labels}"
            yield Rejected(id, "unknown_class" if unknown else "no_truth", detail, str(folder))
            continue
        files = [_band(folder, band) for band in job.benchmark.bands]
        missing = [band for band, file in zip(job.benchmark.bands, files, strict=True) if file is None]
        if missing:
            yield Rejected(id, "missing_image", f"{id} lacks {', '.join(missing)}", str(folder))
            continue
        try:
            data = npy(stack([file for file in files if file is not None], SIDE))
        except ImageDecodeError as error:
            yield Rejected(id, "unreadable_image", str(error), str(folder))
            continue
        truth = ", ".join(dict.fromkeys(name for name in classes.values() if name is not None))
        yield job.sample(id, [job.embedded(data)], job.question(), [truth], extra={"labels": labels})


def _labelled(root: Path, job: ImportJob) -> Iterator[tuple[str, Path, list[str]]]:
    """(patch, its folder, its labels) of the split, in order."""
    tables = matches(root, "**/metadata.parquet")
    if tables:
        home = {path.name: path for path in _patch_folders(root)}
        table = pq.read_table(tables[0], columns=["patch_id", "labels", "split"]).to_pylist()
        for row in sorted(table, key=lambda row: str(row["patch_id"])):
            if row["split"] == job.benchmark.split:
                name = str(row["patch_id"])
                yield name, home.get(name) or inside(root, name), [str(label) for label in row["labels"]]
        return
    lists = [path for pattern in job.option("list", []) for path in matches(root, pattern)]
    wanted = {line.split(",")[0] for line in read_lines(lists[0])} if lists else None
    notes = matches(root, "**/*_labels_metadata.json")
    if not notes:
        raise BenchmarkError(f"{root}: looked for metadata.parquet or *_labels_metadata.json; {found(root)}")
    for note in notes:
        name = note.parent.name
        if wanted is None or name in wanted:
            yield name, note.parent, [str(label) for label in get(read_json(note), "labels", str(note))]


def _patch_folders(root: Path) -> set[Path]:
    return {path.parent for path in matches(root, "**/*_B02.tif")}


def _band(folder: Path, band: str) -> Path | None:
    """The file of a band; the owner writes B8A and B02, the reference B1: the registry's names are the owner's."""
    return next(iter(matches(folder, f"*_{band}.tif")), None)
