"""Stage `mixture`: what each training stage sees, from which shard, shown in which modality, how often.

The recipe follows EarthDial's stages (paper, section 3.3): true-colour renderings first, then multispectral
and radar with all their bands. Stage 3 replays true colour, which EarthDial could not (its batches did not
mix), so that one checkpoint serves all modalities. Data sets of others, once imported, join a stage by their
names. No pixel is opened here.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import chain, islice
from typing import Annotated, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load, read_params
from tasks.core.sorting import bounds_of, in_order
from tasks.core.stage import Summary, address, main, require, write_json
from tasks.dialogue import conversations
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.kinds import TASK_TAGS
from tasks.earth.label_masks import SIDE
from tasks.earth.sensors import SENSORS, Sensor
from tasks.generators.crop_pairs import CropParams, Cropped, pairs_of_crops
from tasks.published.samples import imported_statistics, samples_of
from tasks.vlm.bands import Modality, bands_to_load, modality_tag
from tasks.vlm.chip_samples import read_chips, repeats, sample_tables
from tasks.vlm.samples import SCHEMA
from tasks.vlm.series_samples import SeriesKind, series_rows

SPLITS = ("train", "val", "test")
FURTHER = 16_384
"""Rows in memory of those that come one by one."""


class MixtureRecipe(Section):
    """`mixture.stage1` to `stage3`: times an epoch sees each conversation, by modality and sensor."""

    weights: dict[Modality, dict[str, float]] = Field(
        description="modality -> sensor -> times an epoch; 0.25 takes a fixed quarter; "
        "sensors that are not enabled are left out"
    )
    imported: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="data set under data/imported -> times an epoch; all of it is training data"
    )
    series: dict[Modality, dict[SeriesKind, Annotated[float, Field(ge=0)]]] = Field(
        default_factory=dict,
        description="how the optical images of a series are shown, `sar` for series of radar alone -> kind of series "
        "-> times an epoch",
    )
    crops: CropParams | None = Field(
        None, description="squares of training chips, labelled and asked about anew, where chips are few; null: none"
    )

    @model_validator(mode="after")
    def _names_real_sensors(self) -> "MixtureRecipe":
        for modality, sensors in self.weights.items():
            for sensor, weight in sensors.items():
                if sensor not in SENSORS:
                    raise ValueError(f"there is no sensor '{sensor}'; allowed: {', '.join(SENSORS)}")
                if weight < 0:
                    raise ValueError(f"the weight of {modality} {sensor} is {weight}; it must be 0 or more")
                if SENSORS[sensor].cube:
                    raise ValueError(
                        f"{sensor} is hyperspectral: chips of it are made, but no model here takes bands that differ "
                        "from file to file; take it out of the weights"
                    )
                if (SENSORS[sensor].rgb is None) != (modality == "sar"):
                    raise ValueError(f"{sensor} cannot be shown as {modality}")
        return self


class MixtureParams(Section):
    """`mixture:` in params.yaml."""

    stage1: MixtureRecipe
    stage2: MixtureRecipe
    stage3: MixtureRecipe


def own_samples(
    recipe: MixtureRecipe, sensors: Sequence[str], parts: Sequence[str], split: pa.Table
) -> Iterator[pa.Table]:
    """Samples about whole chips of our own, with the side of each; see `sample_tables`."""
    for sensor in sensors:
        weights = {m: of_sensor[sensor] for m, of_sensor in recipe.weights.items() if of_sensor.get(sensor)}
        for part in parts if weights else []:
            yield from sample_tables(sensor, part, weights, split)


def write_samples(
    own: Iterable[pa.Table], bounds: Sequence[str], further: Mapping[str, Iterable[Mapping[str, Any]]], stage: str
) -> dict[str, int]:
    """Write the three tables of a stage; returns the rows of each.

    Args:
        own: tables of samples with their side; they come first, sorted.
        bounds: of the ranges that they are sorted in.
        further: side -> rows of `SCHEMA` that follow.
        stage: of training.
    """
    work = paths.work(address("mixture", stage))
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    written = dict.fromkeys(SPLITS, 0)
    out = {name: paths.mixture(stage) / f"{name}.parquet" for name in SPLITS}
    with ExitStack() as files:
        tables_of = {name: files.enter_context(tables.table_writer(SCHEMA, out[name])) for name in SPLITS}
        for table in in_order(own, "sample_id", bounds, work):
            for name in SPLITS:
                some = table.filter(pc.equal(table["split"], name)).drop_columns("split")
                tables_of[name](some)
                written[name] += some.num_rows
        for name, rows in further.items():
            for chunk in batched(rows, FURTHER):
                tables_of[name](pa.Table.from_pylist(chunk, schema=SCHEMA))
                written[name] += len(chunk)
    shutil.rmtree(work)
    return written


def batched(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    """Rows, some at a time."""
    left = iter(rows)
    while chunk := list(islice(left, size)):
        yield chunk


def _of_series(recipe: MixtureRecipe, side: str) -> Iterator[dict[str, Any]]:
    """Samples of several images; val and test take each once, as they do all others."""
    for row in series_rows(side, recipe.series, repeats):
        if side != "train":
            yield {**row, "repeats": 1}
        elif row["repeats"]:
            yield row


def crop_rows(recipe: MixtureRecipe, sensors: Iterable[str], parts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Rows of `SCHEMA` for every pair about a crop of a training chip, once in each modality of the recipe."""
    if recipe.crops is None:
        return
    split = tables.read(paths.split() / "assignment.parquet", ["chip_id", "split"]).to_pylist()
    chosen = {row["chip_id"] for row in split if row["split"] == "train"}
    min_fraction = float(read_params()["labels"]["min_fraction"])
    parts = list(parts)
    for sensor in sensors:
        modalities = [m for m, weights in recipe.weights.items() if weights.get(sensor)]
        for part in parts if modalities else []:
            chips = {row["chip_id"]: {**row, "sensor": sensor} for row in read_chips(sensor, part).to_pylist()}
            facts = {
                row["chip_id"]: row["facts"]
                for row in tables.read(
                    paths.qa(sensor, part) / "conversations.parquet", ["chip_id", "facts"]
                ).to_pylist()
                if row["chip_id"] in chosen and row["facts"]
            }
            known = map(ChipFacts.from_json, facts.values())
            for cropped in pairs_of_crops(known, recipe.crops, min_fraction):
                for modality in modalities:
                    yield from _asked_of_crop(cropped, chips[cropped.chip_id], SENSORS[sensor], modality)


def _asked_of_crop(
    cropped: Cropped, chip: dict[str, Any], sensor: Sensor, modality: Modality
) -> Iterator[dict[str, Any]]:
    side = cropped.crop.side
    shown = {"width": chip["width"] * side // SIDE, "height": chip["height"] * side // SIDE}
    image = {
        **chip, **shown, "modality": modality, "crop": asdict(cropped.crop),
        "bands": bands_to_load(sensor, modality, chip["bands"]),
    }  # fmt: skip
    for number, pair in enumerate(cropped.pairs):
        kind = pair.question_type
        tags = [TASK_TAGS[kind]] if kind in TASK_TAGS else []
        yield {
            "sample_id": f"{cropped.chip_id}~{cropped.number}#{number}/{modality}",
            "chip_id": cropped.chip_id,
            "sensor": sensor.name,
            "modality": modality,
            "images": [image],
            "conversations": conversations.dump(
                [(pair.question, pair.answer)], [*tags, modality_tag(sensor, modality)]
            ),
            "question_types": [kind],
            "repeats": 1,
        }


def imported_rows(sets: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Rows of `SCHEMA` for every conversation of imported data sets that is seen at least once."""
    for name, weight in sets.items():
        for row in samples_of(paths.imported(name)):
            if times := repeats(row["sample_id"], weight):
                yield {**row, "repeats": times}


def write_imported_statistics(stage: str, enabled: Iterable[str]) -> None:
    """Statistics of the sensors that only imported data sets have, over those of all three stages: a checkpoint's
    pixels are scaled alike in each of them. A sensor of our own chips keeps what stage `stats` measured.
    """
    recipes = load(MixtureParams, "mixture")
    sets = {name for recipe in (recipes.stage1, recipes.stage2, recipes.stage3) for name in recipe.imported}
    for sensor, stats in imported_statistics(map(paths.imported, sorted(sets))).items():
        if sensor not in enabled:
            write_json(paths.imported_stats(stage, sensor), stats)


def run(stage: str) -> Summary:
    """Mix what one training stage sees."""
    recipe = load(MixtureRecipe, f"mixture.stage{stage}")
    values = read_params()
    enabled, parts = values["sensors"]["enabled"], values["grid"]["parts"]
    write_imported_statistics(stage, enabled)
    split = tables.read(paths.split() / "assignment.parquet", ["chip_id", "split"])
    talks = [paths.qa(sensor, part) / "conversations.parquet" for sensor in enabled for part in parts]
    asked = sum(pq.read_metadata(require(path)).num_rows for path in talks) * max(1, len(recipe.weights))
    further = {name: _of_series(recipe, name) for name in SPLITS}
    further["train"] = chain(further["train"], crop_rows(recipe, enabled, parts), imported_rows(recipe.imported))
    own = own_samples(recipe, enabled, parts, split)
    written = write_samples(own, bounds_of(split["chip_id"], asked), further, stage)
    if not written["train"]:
        raise EmptyStageError(
            f"stage {stage} has no training sample; its recipe asks for "
            f"{ {m: list(w) for m, w in recipe.weights.items()} } and imported {list(recipe.imported)}, "
            f"enabled sensors are {values['sensors']['enabled']}"
        )
    shown = pl.read_parquet(paths.mixture(stage) / "train.parquet", columns=["modality", "repeats"])
    seen = shown.group_by("modality").sum().sort("modality")
    return {
        **written,
        "seen_per_epoch": int(seen["repeats"].sum()),
        "by_modality": dict(seen.iter_rows()),
    }


if __name__ == "__main__":
    main("mixture", run)
