"""Names of tasks, protocols, metrics and sides; the command line reads them without loading any scorer."""

from pathlib import Path
from typing import Literal

Task = Literal["classification", "vqa", "detection", "grounding", "captioning", "region_captioning", "change"]
Protocol = Literal["legacy", "honest"]
BoxForm = Literal["earthdial", "internvl"]
HEADLINES = ("micro_f1", "accuracy", "f1@0.5", "cider", "f1")
"""The honest metric that stands for a whole file: the first of these that its task has. Lists of classes are judged by
micro-F1, since whole sets are seldom right; boxes by F1, which a model cannot raise by drawing more of them."""


def side_name(path: Path) -> str:
    """What a side of a leakage check is called: data/mixture/3/train.parquet -> mixture-3-train; a folder: its name."""
    if path.is_dir() or path.name == "samples.parquet":
        return (path if path.is_dir() else path.parent).resolve().name
    return "-".join(path.resolve().with_suffix("").parts[-3:])
