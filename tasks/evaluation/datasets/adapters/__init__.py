"""Adapters: from one published form of a benchmark to its samples.

An adapter is a function `(folder, job) -> iterator` that yields a `BenchmarkSample` for each question, image paths
absolute, and a `Rejected` for each it cannot make; whether the images can be read is the importer's to check. Few
forms are met in many benchmarks, so the adapters are few and what differs stands in the registry, as options.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.evaluation.datasets.adapters import (
    archives,
    arrow,
    bigearthnet,
    captions,
    choices,
    conversations,
    folders,
    objects,
    rasters,
    referring,
    rows,
    rsivqa,
    rsvqa,
    xbd,
)
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected

Adapter = Callable[[Path, ImportJob], Iterator[BenchmarkSample | Rejected]]
ADAPTERS: dict[str, Adapter] = {
    "class-folders": folders.class_folders,
    "fmow": folders.fmow,
    "arrow": arrow.table,
    "rsvqa": rsvqa.split,
    "rsivqa": rsivqa.lines,
    "karpathy": captions.karpathy,
    "nwpu-captions": captions.nwpu,
    "rsgpt": captions.rsgpt,
    "objects": objects.per_class,
    "dior-rsvg": referring.dior_rsvg,
    "geochat": conversations.geochat,
    "vrsbench": conversations.vrsbench,
    "geobench-vlm": choices.geobench_vlm,
    "xlrs": choices.xlrs,
    "bigearthnet": bigearthnet.patches,
    "so2sat": archives.so2sat,
    "quakeset": archives.quakeset,
    "treesatai": rasters.treesatai,
    "starcop": rasters.starcop,
    "xbd": xbd.pairs,
    "rows": rows.table,
}
"""By the name the registry uses."""
