"""tasks/mixture.py: the right samples in the right modality, as often as the recipe says."""

import contextlib
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from tasks import mixture
from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, MissingInputError, ParamsError
from tasks.core.section import load, parse
from tasks.core.stage import write_json
from tasks.dialogue import conversations
from tasks.dialogue.facts import ChipFacts, Label, SourceInfo
from tasks.earth.label_masks import SIDE, pack
from tasks.published.samples import imported_statistics
from tasks.vlm.samples import read_samples
from tests.fixtures.small_dataset import write_dataset, write_params


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with the mixtures of all stages."""
    path = tmp_path_factory.mktemp("mixture")
    write_dataset(path, 8)
    with contextlib.chdir(path):
        for stage in ("1", "2", "3"):
            mixture.run(stage)
    return path


def half_water() -> ChipFacts:
    """A chip whose northern half is water."""
    plane = np.zeros((SIDE, SIDE), bool)
    plane[: SIDE // 2] = True
    water = Label("water", "map", "area", 0.5, None, "north", mask=pack(plane))
    return ChipFacts("chip", "sentinel-2", (water,), {"map": SourceInfo("map", "raster", True, ("water", "ice"))})


def test_stages_1_and_2_are_true_colour_and_stage_3_adds_all_bands_and_radar(folder: Path) -> None:
    with contextlib.chdir(folder):
        shown = {s: {x.modality for x in read_samples(paths.mixture(s) / "train.parquet")} for s in ("1", "2", "3")}
    assert shown == {"1": {"rgb"}, "2": {"rgb"}, "3": {"rgb", "ms", "sar"}}


def test_bands_begin_with_true_colour_and_leave_none_out(folder: Path) -> None:
    with contextlib.chdir(folder):
        samples = read_samples(paths.mixture("3") / "train.parquet")
        for sample in samples:
            (image,) = sample.images
            present = {row["chip_id"]: row["bands"] for row in tables.read(Path(image.shard)).to_pylist()}
            if sample.modality == "ms":
                assert sorted(image.bands) == sorted(present[sample.chip_id])
            if sample.sensor == "sentinel-2":
                assert image.bands[:3] == ("B04", "B03", "B02")
                tag = {"ms": "[s2_ms_10]", "rgb": "[s2_rgb_10]"}[sample.modality]
                assert sample.turns[0][0].startswith(f"{tag} <image>\n")
            if sample.modality == "sar":
                assert image.bands == ("VV", "VH")


def test_no_chip_is_on_two_sides_and_the_buffer_is_nobodys(folder: Path) -> None:
    with contextlib.chdir(folder):
        sides = {n: {x.chip_id for x in read_samples(paths.mixture("3") / f"{n}.parquet")} for n in mixture.SPLITS}
        split = tables.read(paths.split() / "assignment.parquet").to_pylist()
    buffer = {row["chip_id"] for row in split if row["split"] == "buffer"}
    assert not sides["train"] & sides["test"] and not sides["train"] & sides["val"]
    assert buffer and all(not buffer & chips for chips in sides.values())


def test_weights_become_repeats_and_fractions_a_fixed_share() -> None:
    drawn = Counter(mixture.repeats(f"sample-{number}", 1.25) for number in range(2000))
    assert set(drawn) == {1, 2}
    assert 0.21 < drawn[2] / 2000 < 0.29
    assert mixture.repeats("any", 2) == 2


def test_the_same_inputs_give_the_same_bytes(folder: Path) -> None:
    with contextlib.chdir(folder):
        path = paths.mixture("3") / "train.parquet"
        before = path.read_bytes()
        mixture.run("3")
        assert path.read_bytes() == before


def test_a_modality_that_a_sensor_does_not_have_is_a_wrong_parameter() -> None:
    with pytest.raises(ParamsError, match="sentinel-1 cannot be shown as rgb"):
        parse(mixture.MixtureRecipe, {"weights": {"rgb": {"sentinel-1": 1}}})


def test_a_recipe_that_leaves_nothing_is_an_error(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))
    write_params(tmp_path, ["sentinel-1"])
    with contextlib.chdir(tmp_path), pytest.raises(EmptyStageError, match="stage 1 has no training sample"):
        mixture.run("1")


def test_the_project_s_recipe_is_valid() -> None:
    assert load(mixture.MixtureParams, "mixture").stage3.weights["sar"] == {"sentinel-1": 1}


def test_imported_data_sets_join_a_stage_with_statistics_of_their_own_sensors(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from tasks.published.importer import import_all
    from tasks.vlm.chip_reader import ChipReader
    from tasks.vlm.images import Normalisation
    from tests.fixtures import earthdial_instruct as published

    source = tmp_path / "source"
    for write in (published.naip, published.captions, published.bigearthnet_ms):
        write(source)
    published.change(source, 4, "Change_MUDS")
    write_dataset(tmp_path, 8, ("sentinel-1",))
    with contextlib.chdir(tmp_path):
        names = [outcome.name for outcome in import_all(source, paths.imported("")) if outcome.counts.kept]
        folders = sorted(path.parent.name for path in paths.imported("").glob("*/summary.json"))
        weights = {name: 2 if name == "change-muds" else 1 for name in folders}
        write_params(tmp_path, ["sentinel-1"], mixture={"stage3": {"imported": weights}})
        mixture.run("3")
        samples = read_samples(paths.mixture("3") / "train.parquet")
        sensors = {image.sensor for sample in samples for image in sample.images} - {"sentinel-1"}
        stats = {sensor: paths.imported_stats("3", sensor) for sensor in sensors}
        reader = ChipReader(Normalisation.from_stats(stats), 28, 4)
        foreign = [sample for sample in samples if sample.sensor != "sentinel-1"]
        assert len(names) == len(folders) == 4 and {"hr-rgb8", "sentinel-2"} <= sensors
        assert {sample.repeats for sample in foreign if len(sample.images) == 4} == {2}
        for sample in foreign:
            assert all(bool(tiles.pixels.isfinite().all()) for tiles in reader.images(sample))
            assert len(reader.images(sample)) == len(sample.images)


def test_statistics_of_several_imported_sets_are_those_of_all_their_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = {"a": rng.normal(3, 2, 500), "b": rng.normal(-1, 0.5, 90)}
    with contextlib.chdir(tmp_path):
        for name, values in parts.items():
            band = {"name": "R", "count": len(values), "mean": values.mean(), "std": values.std()}
            write_json(paths.imported(name) / "stats.json", {"sensor": "hr-rgb8", "bands": [band]})
            write_json(paths.imported(name) / "summary.json", {"entry": "naip"})
        (band,) = imported_statistics(map(paths.imported, parts))["hr-rgb8"]["bands"]
    together = np.concatenate(list(parts.values()))
    assert band["count"] == 590 and band["mean"] == pytest.approx(together.mean())
    assert band["std"] == pytest.approx(together.std())


def test_an_imported_set_that_is_not_there_is_named_with_what_makes_it(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))
    write_params(tmp_path, ["sentinel-1"], mixture={"stage3": {"imported": {"satlas-s2": 1}}})
    with contextlib.chdir(tmp_path), pytest.raises(MissingInputError, match="earthloom import earthdial-instruct"):
        mixture.run("3")


def test_a_mixture_on_disk_gives_the_samples_that_one_in_memory_gives(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-2", "sentinel-1"))
    with contextlib.chdir(tmp_path):
        mixture.run("3")
        table = paths.mixture("3") / "train.parquet"
        held, mapped = read_samples(table), read_samples(table, tmp_path / "train.arrow")
    assert list(held) == list(mapped) == [mapped[number] for number in range(len(held))]
    some = mapped.keep([5, 2, 7])
    assert list(some) == [held[5], held[2], held[7]] and list(some.keep([1])) == [held[2]]
    assert not list(held.keep([]))


def test_crops_of_training_chips_are_asked_about_beside_the_chips_themselves(folder: Path, tmp_path: Path) -> None:
    known = tmp_path / "known"
    shutil.copytree(folder, known)
    for path in known.glob("data/qa/sentinel-2/*/conversations.parquet"):
        talks = pl.read_parquet(path)
        facts = [replace(half_water(), chip_id=chip).to_json() for chip in talks["chip_id"]]
        pq.write_table(talks.with_columns(facts=pl.Series(facts)).to_arrow().cast(conversations.SCHEMA), path)
    crops = {"per_chip": 2, "least": 16, "pairs": 4, "kinds": ["presence", "share"], "short_answers": 1.0, "seed": 0}
    with contextlib.chdir(known):
        recipe = parse(mixture.MixtureRecipe, {"weights": {"ms": {"sentinel-2": 1}}, "crops": crops}, "mixture.stage1")
        training = {x.chip_id for x in read_samples(paths.mixture("3") / "train.parquet")}
        rows = list(mixture.crop_rows(recipe, ["sentinel-2"], ["a", "b"]))
        again = list(mixture.crop_rows(recipe, ["sentinel-2"], ["a", "b"]))
    assert rows and rows == again
    assert {row["chip_id"] for row in rows} <= training
    for row in rows:
        (image,) = row["images"]
        assert image["width"] == image["crop"]["side"] * 2 and row["question_types"][0] in ("presence", "share")


def test_kinds_that_cannot_be_asked_of_a_crop_are_refused_by_name() -> None:
    crops = {"per_chip": 1, "least": 16, "pairs": 4, "kinds": ["date"], "short_answers": 1.0, "seed": 0}
    with pytest.raises(ParamsError, match="date cannot be asked of a crop"):
        parse(mixture.MixtureRecipe, {"weights": {}, "crops": crops}, "mixture.stage1")
