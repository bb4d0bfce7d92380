"""What `earthloom leakage` found, beside the scores it spoils."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import paths
from tasks.core.stage import read_json
from tasks.evaluation.datasets.registry import HELD_OUT
from tasks.evaluation.names import side_name
from tasks.pages.runs import ModelRun

LEAKAGE = paths.DATA / "leakage"


@dataclass(frozen=True)
class Leak:
    """The mark of one score."""

    state: str
    """clean, leaky, apart (the demo's split keeps the ground apart), unchecked (nobody ran the check) or unknown
    (nobody says what the model was trained on)."""
    share: float = 0.0
    """Of the questions with a match, 0 to 1."""
    detail: str = ""
    metres: int = 0
    """From the nearest training chip to a test chip, where `state` is apart."""


def leak(run: ModelRun, folder: Path | None = LEAKAGE) -> Leak:
    """The mark of a run's score; `folder` is where `earthloom leakage` leaves its results, None to read none."""
    if run.training is None:
        return Leak("unknown", detail="the training data of this model are not known here")
    path = None if folder is None else folder / run.training / run.benchmark / "summary.json"
    if path is None or not path.is_file():
        certificate = paths.split() / "certificate.json"
        own = side_name(paths.mixture("3") / "train.parquet"), HELD_OUT.name
        if (run.training, run.benchmark) == own and certificate.is_file():
            return _apart(read_json(certificate))
        return Leak("unchecked", detail=f"`earthloom leakage` was not run on {run.training} and {run.benchmark}")
    summary = read_json(path)
    names = {"exact-image": "same image", "near-image": "nearly the same image", "text": "text", "place": "ground"}
    parts = [
        f"{summary['leaked'][kind]['n']} by {name}" for kind, name in names.items() if summary["leaked"][kind]["n"]
    ]
    blind = []
    if not summary["checked"]["places"]:
        blind.append("ground, which the benchmark does not tell")
    if summary["unreadable_count"]["benchmark"] or summary["unreadable_count"]["training"]:
        blind.append("images that could not be read")
    without = f"; not checked: {', '.join(blind)}" if blind else ""
    if not summary["leaked"]["any"]["n"]:
        return Leak("clean", detail=f"no question of {summary['samples']} matches {run.training}{without}")
    found = f"of {summary['samples']} questions, {run.training} holds {', '.join(parts)}{without}"
    return Leak("leaky", summary["leaked"]["any"]["share"], found)


def _apart(certificate: Mapping[str, Any]) -> Leak:
    """What the split certifies of the demo's own chips."""
    pair = certificate["pairs"].get("train-test") or {}
    nearest = pair.get("min_distance_m")
    if nearest is None or pair["shared_cells"]:
        return Leak("unchecked", detail="the split has no distance of its training chips to its test chips")
    distance = (
        f"no chip of the training side lies within {nearest:.0f} m of a test chip, by the split\u2019s certificate"
    )
    return Leak(
        "apart", detail=f"{distance}; images and texts are compared by `earthloom leakage`", metres=round(nearest)
    )
