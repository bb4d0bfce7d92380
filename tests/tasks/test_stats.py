"""tasks/stats.py: exact numbers of the training chips, and of no other."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from tasks import stats
from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.stage import read_json, write_json
from tasks.earth import geotiff
from tasks.earth.geotiff import StoredImage
from tasks.earth.pictures import stretched
from tasks.earth.sensors import SENSORS
from tasks.vlm.bands import with_ratio
from tasks.vlm.images import Normalisation
from tests.fixtures.small_dataset import write_dataset


def planes(chip: StoredImage, sensor: str) -> dict[str, np.ndarray]:
    """Valid values of each plane of a chip, the ratio of a radar's included."""
    raster = geotiff.physical(chip)
    stack = with_ratio(SENSORS[sensor], raster.pixels, raster.bands)
    names = [*raster.bands, SENSORS[sensor].ratio_of(raster.bands)][: len(stack)]
    return {name: plane[np.isfinite(plane)] for name, plane in zip(names, stack, strict=True)}


def test_numbers_are_those_of_all_training_values_at_once(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-2", "sentinel-1"))
    with contextlib.chdir(tmp_path):
        for sensor in ("sentinel-2", "sentinel-1"):
            stats.run(sensor)
            written = read_json(paths.stats(sensor))
            chips = [planes(chip, sensor) for chip in stats.training_chips(sensor)]
            assert written["chips"] == len(chips) == 10
            for band in written["bands"]:
                values = np.concatenate([chip[band["name"]] for chip in chips if band["name"] in chip])
                wide = values.astype(np.float64)
                assert band["count"] == len(values) == sum(band["histogram"]["counts"])
                assert band["mean"] == pytest.approx(wide.mean(), rel=1e-12)
                assert band["std"] == pytest.approx(wide.std(), rel=1e-9)
                assert (band["min"], band["max"]) == (values.min(), values.max())
                for percent in (2, 98):
                    exact = np.percentile(values, percent, method="inverted_cdf")
                    assert band[f"p{percent:02d}"] == exact


def test_the_ratio_of_polarisations_is_a_band_of_its_own(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))
    with contextlib.chdir(tmp_path):
        bands = {band["name"]: band for band in stats.band_statistics("sentinel-1", 8)["bands"]}
    assert list(bands) == ["VV", "VH", "VV-VH"]
    assert bands["VV-VH"]["mean"] == pytest.approx(bands["VV"]["mean"] - bands["VH"]["mean"], abs=1e-5)


def test_an_optional_band_counts_only_the_chips_that_have_it(tmp_path: Path) -> None:
    write_dataset(tmp_path, 16, ("sentinel-2",))
    with contextlib.chdir(tmp_path):
        bands = {band["name"]: band for band in stats.band_statistics("sentinel-2", 8)["bands"]}
    assert 0 < bands["B10"]["count"] < bands["B04"]["count"]


def test_no_training_chip_is_an_error_that_says_so(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))
    with contextlib.chdir(tmp_path):
        path = paths.split() / "assignment.parquet"
        rows = [{**row, "split": "test"} for row in tables.read(path).to_pylist()]
        tables.write_rows(rows, tables.read(path).schema, path)
        with pytest.raises(EmptyStageError, match="sentinel-1 has no chip on the training side"):
            stats.run("sentinel-1")


def test_the_rendering_that_people_are_shown_is_measured_for_pictures_and_pooled_over_sensors(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8)
    with contextlib.chdir(tmp_path):
        found = {sensor: stats.band_statistics(sensor, 8) for sensor in ("sentinel-2", "landsat", "sentinel-1")}
        chips = [planes(chip, "sentinel-2") for chip in stats.training_chips("sentinel-2")]
    rendering = found["sentinel-2"]["rendering"]
    assert rendering["sensor"] == "hr-rgb8" and "rendering" not in found["sentinel-1"]
    red = np.concatenate([(stretched(chip["B04"]) * 255).round() for chip in chips]).astype(np.float64)
    first = rendering["bands"][0]
    assert (first["name"], first["count"]) == ("R", red.size)
    assert (first["mean"], first["std"]) == pytest.approx((red.mean(), red.std()), rel=1e-6)
    files = {}
    for sensor, one in found.items():
        files[sensor] = tmp_path / f"{sensor}.json"
        write_json(files[sensor], one)
    parts = [found[sensor]["rendering"]["bands"][0] for sensor in ("sentinel-2", "landsat")]
    mean, std = Normalisation.from_stats(files).values["hr-rgb8"]["R"]
    total = sum(part["count"] for part in parts)
    assert mean == pytest.approx(sum(part["count"] * part["mean"] for part in parts) / total)
    assert min(part["std"] for part in parts) < std < 255
