"""Names of tasks, protocols, metrics, sides and trained models; the command line reads them without any scorer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.core import paths
from tasks.core.errors import BenchmarkError

Task = Literal["classification", "vqa", "detection", "grounding", "captioning", "region_captioning", "change"]
Protocol = Literal["legacy", "honest"]
BoxForm = Literal["earthdial", "internvl", "unit", "pixels", "coco"]
HEADLINES = ("micro_f1", "accuracy", "f1@0.5", "cider", "f1")
"""The honest metric that stands for a whole file: the first of these that its task has. Lists of classes are judged by
micro-F1, since whole sets are seldom right; boxes by F1, which a model cannot raise by drawing more of them."""


@dataclass(frozen=True)
class TrainedModel:
    """A model that the stages train."""

    title: str
    """What tables call it."""
    checkpoint: Path
    """Folder that its last stage leaves."""


MODELS: Mapping[str, TrainedModel] = {
    "earthdial": TrainedModel("EarthDial, demo", paths.train("3")),
    "rsmoe": TrainedModel("RS-MoE, demo", paths.moe("2")),
}
"""By the key of stage `evaluate` in dvc.yaml, in its order."""
RELEASED = "earthdial"
"""The one that is released, judged by the gate and put into service."""


def trained_model(key: str) -> TrainedModel:
    """A model by its key.

    Raises:
        BenchmarkError: no stage trains one of that name.
    """
    if key not in MODELS:
        raise BenchmarkError(f"there is no model {key!r} to evaluate; allowed: {', '.join(MODELS)}")
    return MODELS[key]


def side_name(path: Path) -> str:
    """What a side of a leakage check is called: data/mixture/3/train.parquet -> mixture-3-train; a folder: its name."""
    if path.is_dir() or path.name == "samples.parquet":
        return (path if path.is_dir() else path.parent).resolve().name
    return "-".join(path.resolve().with_suffix("").parts[-3:])
