"""What stands under the scores: scenes never trained on, the pixel probe, the frozen set, and what was forgotten."""

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.evaluation.guessing.table import UNSEEN
from tasks.pages.charts import CONTROL_TITLES, percent
from tasks.pages.gallery import MODALITIES
from tasks.pages.report_data import ReportData
from tasks.pages.report_text import count, listed, points

Scores = Mapping[str, Any]
Table = list[tuple[str, Scores]]


def context(data: ReportData) -> Mapping[str, Any]:
    """All that the template shows of them."""
    scores = data.scores
    by_scene = ((one.name, one.scores["by_scene"].get(UNSEEN)) for one in data.evaluations)
    return {
        "titles": CONTROL_TITLES,
        "unseen": [(name, score) for name, score in by_scene if score],
        "probe": scores["probe"],
        "probed": _probed(scores["probe"]),
        "probe_says": probe_says(scores["probe"]),
        "frozen": data.frozen,
        "frozen_rows": _frozen(data.frozen),
        "frozen_says": frozen_says(data.frozen),
        "frozen_probed": _probed(data.frozen["probe"]) if data.frozen else [],
        "forgetting": data.forgetting,
        "forgetting_says": forgetting_says(data.forgetting),
    }


def _shown(name: str) -> str:
    """A group as people call it: `spectral, ms` -> `spectral labels, all bands`."""
    head, comma, modality = name.partition(", ")
    return f"{head} labels, {MODALITIES.get(modality, modality)}" if comma else MODALITIES.get(name, name)


def _probed(probe: Scores) -> Table:
    if not probe["n"]:
        return []
    rows: Table = [("all of these", probe["overall"])]
    rows += [(_shown(name), one) for name, one in probe["by_modality"].items()]
    return rows + sorted(probe["by_type"].items(), key=lambda row: -row[1]["n"])


def _frozen(frozen: Scores) -> Table:
    if not frozen:
        return []
    rows: Table = [("all", frozen["overall"])]
    rows += [(_shown(name), one) for name, one in [*frozen["groups"].items(), *frozen["by_modality"].items()]]
    return rows + sorted(frozen["by_type"].items(), key=lambda row: -row[1]["n"])


def _quoted(names: Iterable[str]) -> str:
    return listed(f"\u2018{name}\u2019" for name in names)


def probe_says(probe: Scores) -> str:
    """What the pixels suffice for, and for what they do not."""
    if not probe["n"]:
        return "The probe can answer none of these questions: no label source of theirs has masks of training chips."
    overall = probe["overall"]
    out = [
        f"The probe can answer {count(probe['n'])} of the {count(probe['of'])} questions, {percent(overall['probe'])} "
        f"of them right; the model {percent(overall['accuracy'])}, the best control {percent(overall['best_control'])}."
    ]
    lost = sorted(name for name, one in probe["by_type"].items() if not one["learnable"])
    if lost:
        out.append(
            f"On {_quoted(lost)} it is no better than the best control: nothing here shows that pixels teach them."
        )
    if probe["not_answered"]:
        out.append(f"It cannot say {_quoted(probe['not_answered'])}: where classes lie does not decide them.")
    return " ".join(out)


def frozen_says(frozen: Scores) -> str:
    """What radar adds, and what the training side of today never asks."""
    if not frozen:
        return ""
    out = []
    for name, over in frozen["over_blind"].items():
        out.append(f"{MODALITIES.get(name, name)}: with the image less without it {points(over)}")
    said = "; ".join(out)
    never = frozen["groups"].get("never asked in training")
    return f"{said[:1].upper()}{said[1:]}." + (
        f" {count(never['n'])} of the {count(frozen['overall']['n'])} questions are never asked by today\u2019s "
        "training side, in any words; there a guess knows only what kind of question it is."
        if never
        else ""
    )


def forgetting_says(forgetting: Scores) -> str:
    """Whether the last stage still knows what the one before knew."""
    if not forgetting["n"]:
        return "No test question is shown in true colour."
    change = points(forgetting["change"])
    head = "Forgotten" if forgetting["forgotten"] else "Not forgotten"
    where = "more than" if forgetting["forgotten"] else "within"
    if forgetting["change"]["difference"] >= 0:
        return f"{head}: after the last stage the accuracy in true colour is no lower than before it, by {change}."
    return (
        f"{head}: the last stage changes the accuracy in true colour by {change}, {where} "
        f"{100 * forgetting['margin']:.0f} point."
    )
