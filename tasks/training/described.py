"""What a checkpoint says of itself beside its weights: what the model was taught, and by which recipe."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.core.stage import read_json, write_json
from tasks.vlm.limits import Limits
from tasks.vlm.samples import Sample

RECIPE_FILE = "recipe.json"


def describe(folder: Path, samples: Iterable[Sample], stage: Mapping[str, Any], before: Path | None) -> None:
    """Write limits.json and recipe.json: those of the checkpoint that training began with, and this stage's.

    Args:
        folder: of the checkpoint.
        samples: that it was trained on.
        stage: name and parameters of the stage.
        before: checkpoint that training began with; None for fresh weights.
    """
    limits, recipe = Limits.of(samples), [dict(stage)]
    if before is not None:
        known = Limits.load(before)
        limits = limits.joined(known) if known else replace(limits, open=True)
        if (before / RECIPE_FILE).is_file():
            recipe = [*read_json(before / RECIPE_FILE)["stages"], *recipe]
    limits.save(folder)
    write_json(folder / RECIPE_FILE, {"stages": recipe})
