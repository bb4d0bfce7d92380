"""Stage `mixture`: what each training stage sees, from which shard, shown in which modality, how often.

The recipe follows EarthDial's stages (paper, section 3.3): true-colour renderings first, then multispectral
and radar with all their bands. Stage 3 replays true colour, which EarthDial could not (its batches did not
mix), so that one checkpoint serves all modalities. No pixel is opened here.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field, model_validator

from tasks.core import conversations, paths, tables
from tasks.core.errors import EmptyStageError, MissingInputError
from tasks.core.grid import stable_hash
from tasks.core.section import Section, load, read_params
from tasks.core.sensors import SENSORS
from tasks.core.stage import Summary, main
from tasks.inference.compose import Modality, bands_to_load, modality_tag
from tasks.inference.samples import SCHEMA

SPLITS = ("train", "val", "test")


class RecipeParams(Section):
    """`mixture.stage1` to `stage3`: times an epoch sees each conversation, by modality and sensor."""

    weights: dict[Modality, dict[str, float]] = Field(
        description="modality -> sensor -> times an epoch; 0.25 takes a fixed quarter; "
        "sensors that are not enabled are left out"
    )

    @model_validator(mode="after")
    def _names_real_sensors(self) -> "RecipeParams":
        for modality, sensors in self.weights.items():
            for sensor, weight in sensors.items():
                if sensor not in SENSORS:
                    raise ValueError(f"there is no sensor '{sensor}'; allowed: {', '.join(SENSORS)}")
                if weight < 0:
                    raise ValueError(f"the weight of {modality} {sensor} is {weight}; it must be 0 or more")
                if (SENSORS[sensor].rgb is None) != (modality == "sar"):
                    raise ValueError(f"{sensor} cannot be shown as {modality}")
        return self


class MixtureParams(Section):
    """`mixture:` in params.yaml."""

    stage1: RecipeParams
    stage2: RecipeParams
    stage3: RecipeParams


def repeats(sample_id: str, weight: float) -> int:
    """Times a sample is seen in an epoch; the fraction of a weight goes to a fixed share of the samples."""
    whole = math.floor(weight)
    return whole + (stable_hash(f"repeats/{sample_id}") / 2**64 < weight - whole)


def chips_of(sensor: str, part: str) -> dict[str, tuple[str, list[str]]]:
    """(shard, bands) of every chip of one part, by chip id."""
    found = {}
    for shard in sorted(paths.chips(sensor, part).glob("shard-*.parquet")):
        table = tables.read(shard, ["chip_id", "bands"])
        for chip_id, bands in zip(table["chip_id"].to_pylist(), table["bands"].to_pylist(), strict=True):
            found[chip_id] = (shard.as_posix(), bands)
    return found


def rows_of(sensor: str, part: str, modalities: dict[Modality, float]) -> Iterator[dict[str, Any]]:
    """Every conversation of one part in each modality: the rows of `SCHEMA`, with its weight for
    `repeats`.
    """
    known, chips = SENSORS[sensor], chips_of(sensor, part)
    for row in tables.read(paths.qa(sensor, part) / "conversations.parquet").to_pylist():
        if row["chip_id"] not in chips:
            raise MissingInputError(f"{sensor} {part} has questions about chip {row['chip_id']}, but no such chip")
        shard, present = chips[row["chip_id"]]
        for modality, weight in modalities.items():
            sample_id = f"{row['conversation_id']}/{modality}"
            yield {
                "sample_id": sample_id,
                "chip_id": row["chip_id"],
                "sensor": sensor,
                "modality": modality,
                "shard": shard,
                "bands": bands_to_load(known, modality, present),
                "conversations": conversations.retag(row["conversations"], known.tag, modality_tag(known, modality)),
                "question_types": [turn["question_type"] for turn in row["turns"]],
                "repeats": repeats(sample_id, weight),
            }


def mix(recipe: RecipeParams, sensors: Iterable[str], parts: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each split, sorted by sample. Val and test take every conversation once, whatever its
    weight.
    """
    split = tables.read(paths.split() / "assignment.parquet", ["chip_id", "split"])
    side = dict(zip(split["chip_id"].to_pylist(), split["split"].to_pylist(), strict=True))
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    parts = list(parts)
    for sensor in sensors:
        modalities = {m: weights[sensor] for m, weights in recipe.weights.items() if weights.get(sensor)}
        for part in parts if modalities else []:
            for row in rows_of(sensor, part, modalities):
                if row["chip_id"] not in side:
                    raise MissingInputError(f"chip {row['chip_id']} is on no side of the split; rebuild `split`")
                name = side[row["chip_id"]]
                rows[name].append(row if name == "train" else {**row, "repeats": 1})
    rows["train"] = [row for row in rows["train"] if row["repeats"]]
    return {name: sorted(rows[name], key=lambda row: str(row["sample_id"])) for name in SPLITS}


def run(stage: str) -> Summary:
    """Mix what one training stage sees."""
    recipe = load(RecipeParams, f"mixture.stage{stage}")
    values = read_params()
    rows = mix(recipe, values["sensors"]["enabled"], values["grid"]["parts"])
    if not rows["train"]:
        raise EmptyStageError(
            f"stage {stage} has no training sample; its recipe asks for "
            f"{ {m: list(w) for m, w in recipe.weights.items()} }, "
            f"enabled sensors are {values['sensors']['enabled']}"
        )
    for name in SPLITS:
        tables.write_rows(rows[name], SCHEMA, paths.mixture(stage) / f"{name}.parquet")
    seen = Counter[str]()
    for row in rows["train"]:
        seen[row["modality"]] += row["repeats"]
    return {
        **{name: len(rows[name]) for name in SPLITS},
        "seen_per_epoch": sum(seen.values()),
        "by_modality": dict(sorted(seen.items())),
    }


if __name__ == "__main__":
    main("mixture", run)
