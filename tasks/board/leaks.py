"""What `earthloom leakage` found, beside the scores it spoils."""

from dataclasses import dataclass
from pathlib import Path

from tasks.board.runs import Run
from tasks.core import paths
from tasks.core.stage import read_json

LEAKAGE = paths.DATA / "leakage"


@dataclass(frozen=True)
class Leak:
    """The mark of one score."""

    state: str
    """clean, leaky, unchecked (nobody ran the check) or unknown (nobody says what the model was trained on)."""
    share: float = 0.0
    """Of the questions with a match, 0 to 1."""
    detail: str = ""


def leak(run: Run, folder: Path = LEAKAGE) -> Leak:
    """The mark of a run's score."""
    if run.training is None:
        return Leak("unknown", detail="the training data of this model are not known here")
    path = folder / run.training / run.benchmark / "summary.json"
    if not path.is_file():
        return Leak("unchecked", detail=f"`earthloom leakage` was not run on {run.training} and {run.benchmark}")
    told = read_json(path)
    names = {"exact-image": "same image", "near-image": "nearly the same image", "text": "text", "place": "ground"}
    parts = [f"{told['leaked'][kind]['n']} by {name}" for kind, name in names.items() if told["leaked"][kind]["n"]]
    blind = []
    if not told["checked"]["places"]:
        blind.append("ground, which the benchmark does not tell")
    if told["unreadable_count"]["benchmark"] or told["unreadable_count"]["training"]:
        blind.append("images that could not be read")
    without = f"; not checked: {', '.join(blind)}" if blind else ""
    if not told["leaked"]["any"]["n"]:
        return Leak("clean", detail=f"no question of {told['samples']} matches {run.training}{without}")
    found = f"of {told['samples']} questions, {run.training} holds {', '.join(parts)}{without}"
    return Leak("leaky", told["leaked"]["any"]["share"], found)
