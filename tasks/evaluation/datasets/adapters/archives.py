"""HDF5 archives: So2Sat LCZ42 and QuakeSet."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import need
from tasks.evaluation.datasets.images import npy
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected


def _open(path: Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise BenchmarkError(f"{path} is not an HDF5 file, or was cut short: {error}") from error


MOST_BYTES = 1 << 29
"""Of one patch, or of one block that is unpacked for it."""


def _item(group: Any, key: str, path: Path) -> Any:
    """What a group holds under a name, in this very file.

    Raises:
        BenchmarkError: it is not there, is a link, or its numbers lie in other files.
    """
    if key not in group and group.get(key, getlink=True, default=None) is None:
        raise BenchmarkError(f"{path}: no {key!r}; it has {', '.join(group)}")
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise BenchmarkError(f"{path}: {key!r} is a link, which may lead to another file and is not followed")
    found = group[key]
    if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
        raise BenchmarkError(f"{path}: the numbers of {key!r} lie in other files, which are not read")
    return found


def _read(dataset: Any, key: Any, path: Path) -> Any:
    """Numbers of a data set, whose size is asked before.

    Raises:
        BenchmarkError: they take more memory than a patch could.
    """
    rest = dataset.shape[1:] if isinstance(key, int) else dataset.shape
    for shape in (rest, dataset.chunks or ()):
        if prod(shape) * dataset.dtype.itemsize > MOST_BYTES:
            raise BenchmarkError(f"{path}: {dataset.name} has parts of {shape} numbers; {MOST_BYTES:,} bytes at most")
    return dataset[key]


def so2sat(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each patch of `sen2` [N, 32, 32, 10]; `label` [N, 17] has a one for the class.

    Options: `file`, patterns of the archive.
    """
    path = need(root, *job.option("file"))
    with _open(path) as file:
        pixels, labels = _item(file, "sen2", path), _item(file, "label", path)
        if len(pixels) != len(labels) or labels.shape[1] != len(job.benchmark.classes):
            raise BenchmarkError(f"{path}: sen2 {pixels.shape} and label {labels.shape} do not belong together")
        for number in range(len(pixels)):
            id = f"{path.stem}/{number:06d}"
            hot = np.flatnonzero(_read(labels, number, path))
            if len(hot) != 1:
                yield Rejected(id, "no_truth", f"patch {number} has {len(hot)} classes")
                continue
            data = npy(np.moveaxis(_read(pixels, number, path), 2, 0))
            yield job.sample(id, [job.embedded(data)], job.question(), [job.benchmark.classes[hot[0]]])


def quakeset(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """For each patch of an earthquake two questions: pre against post (yes), and before against pre (no).

    Groups of the archive are earthquakes with the attributes `split` and `magnitude`; each holds `x`, `y` and its
    patches, each of which holds `pre`, `post` and mostly `before`, [512, 512, 2] of VV and VH.
    """
    path = need(root, *job.option("file"))
    with _open(path) as file:
        for key in sorted(file):
            group = _item(file, key, path)
            if group.attrs.get("split") != job.benchmark.split:
                continue
            magnitude = float(group.attrs.get("magnitude", 0))
            for name in sorted(set(group) - {"x", "y"}):
                patch = _item(group, name, path)
                pairs = [("pre", "post", "yes")] + ([("before", "pre", "no")] if "before" in patch else [])
                for first, second, truth in pairs:
                    id = f"{key}/{name}/{second}"
                    lacking = [date for date in (first, second) if date not in patch]
                    if lacking:
                        yield Rejected(id, "missing_image", f"{key}/{name} lacks {', '.join(lacking)}")
                        continue
                    images = [job.embedded(npy(_planes(patch, date, path))) for date in (first, second)]
                    extra = {"magnitude": magnitude if truth == "yes" else 0.0}
                    yield job.sample(id, images, job.question(), [truth], group=key, extra=extra)


def _planes(patch: Any, date: str, path: Path) -> Any:
    """[VV and VH, 512, 512] of one date."""
    return np.moveaxis(_read(_item(patch, date, path), slice(None), path), 2, 0)
