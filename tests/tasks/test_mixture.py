"""tasks/mixture.py: the right samples in the right modality, as often as the recipe says."""

import contextlib
from collections import Counter
from pathlib import Path

import pytest

from tasks import mixture
from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, ParamsError
from tasks.core.section import load, parse
from tasks.inference.samples import read_samples
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


def test_stages_1_and_2_are_true_colour_and_stage_3_adds_all_bands_and_radar(folder: Path) -> None:
    with contextlib.chdir(folder):
        shown = {s: {x.modality for x in read_samples(paths.mixture(s) / "train.parquet")} for s in ("1", "2", "3")}
    assert shown == {"1": {"rgb"}, "2": {"rgb"}, "3": {"rgb", "ms", "sar"}}


def test_bands_begin_with_true_colour_and_leave_none_out(folder: Path) -> None:
    with contextlib.chdir(folder):
        samples = read_samples(paths.mixture("3") / "train.parquet")
        for sample in samples:
            present = {row["chip_id"]: row["bands"] for row in tables.read(Path(sample.shard)).to_pylist()}
            if sample.modality == "ms":
                assert sorted(sample.bands) == sorted(present[sample.chip_id])
            if sample.sensor == "sentinel-2":
                assert sample.bands[:3] == ("B04", "B03", "B02")
                tag = {"ms": "[s2_ms_10]", "rgb": "[s2_rgb_10]"}[sample.modality]
                assert sample.turns[0][0].startswith(f"{tag} <image>\n")
            if sample.modality == "sar":
                assert sample.bands == ("VV", "VH")


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
        parse(mixture.RecipeParams, {"weights": {"rgb": {"sentinel-1": 1}}})


def test_a_recipe_that_leaves_nothing_is_an_error(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))
    write_params(tmp_path, ["sentinel-1"])
    with contextlib.chdir(tmp_path), pytest.raises(EmptyStageError, match="stage 1 has no training sample"):
        mixture.run("1")


def test_the_project_s_recipe_is_valid() -> None:
    assert load(mixture.MixtureParams, "mixture").stage3.weights["sar"] == {"sentinel-1": 1}
