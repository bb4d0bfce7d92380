"""`earthloom import bigearthnet-txt`: texts joined to patches of either sensor. Table and patches are simulated after
the published card and the layout of the archive; the pixels are noise around a plausible level.
"""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import rasterio

from tasks import mixture
from tasks.core import paths, tables
from tasks.core.errors import ParamsError
from tasks.published.own.bigearthnet import import_patches
from tasks.published.registry import PATCHES
from tasks.published.samples import samples_of
from tasks.vlm.chip_reader import ChipReader, read_geotiff
from tasks.vlm.images import Normalisation
from tasks.vlm.samples import read_samples
from tests.conftest import ROOT
from tests.fixtures.small_dataset import write_dataset, write_params

S2 = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_51_83"
S1 = "S1B_IW_GRDH_1SDV_20170612T165809_33UUP_51_83"
COARSE = {"B01": 20, "B09": 20} | dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 60)
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def row(number: int, **other: Any) -> dict[str, Any]:
    return {
        "ID": number, "s1_name": S1, "patch_id": S2, "input": f"Is there pasture near stand {number}?", "output": "Yes",
        "type": "binary", "category": "presence", "split": "train", "country": "Austria", "season": "Summer",
        "climate_zone": "Cold",
    } | other  # fmt: skip


def plane(path: Path, seed: int, side: int, radar: bool = False, count: int = 1) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(-12, 2, (count, side, side)) if radar else rng.integers(300, 2500, (count, side, side))
    path.parent.mkdir(parents=True, exist_ok=True)
    dtype = "float32" if radar else "uint16"
    with rasterio.open(path, "w", driver="GTiff", dtype=dtype, count=count, height=side, width=side) as out:
        out.write(values.astype(dtype))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """BigEarthNet-S2 and BigEarthNet-S1 with one patch each, a file for every band, in the folder of its product."""
    for number, band in enumerate(PATCHES["sentinel-2"].stored_bands):
        folder = tmp_path / "in/BigEarthNet-S2" / S2.rsplit("_", 2)[0] / S2
        plane(folder / f"{S2}_{band}.tif", number, COARSE.get(band, 120))
    for number, band in enumerate(PATCHES["sentinel-1"].stored_bands):
        folder = tmp_path / "in/BigEarthNet-S1" / S1.rsplit("_", 3)[0] / S1
        plane(folder / f"{S1}_{band}.tif", number, 120, radar=True)
    return tmp_path / "in"


def write(archive: Path, rows: list[dict[str, Any]]) -> Path:
    path = archive / "BigEarthNet.txt.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def rejects(folder: Path) -> list[tuple[int, str]]:
    table = tables.read(folder / "rejects")
    return list(zip(table["row"].to_pylist(), table["reason"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("sensor", "short", "tag"), [("sentinel-2", "S2", "[s2_ms_10]"), ("sentinel-1", "S1", "[s1_vh_10]")]
)
def test_texts_join_a_mixture_with_the_patch_of_either_sensor(
    archive: Path, tmp_path: Path, sensor: str, short: str, tag: str
) -> None:
    path = write(archive, [row(1), row(2, split="test"), row(3, output="No", type="bounding box")])
    other = "landsat"
    write_dataset(tmp_path, 8, (other,))
    with contextlib.chdir(tmp_path):
        folder = paths.imported("ben")
        outcome = import_patches(path, sensor, archive / f"BigEarthNet-{short}", "ben", paths.imported(""))
        assert outcome.counts.kept == 2 and outcome.counts.chips == 1 and not outcome.counts.repaired
        assert rejects(folder) == [(1, "other-split")]
        talks = pl.read_parquet(folder / "conversations").to_dicts()
        assert [talk["task"] for talk in talks] == ["binary", "bounding box"]
        assert json.loads(talks[0]["turns"][0]["claim"])["country"] == "Austria"
        assert all(sample["conversations"].count(tag) == 1 for sample in samples_of(folder))
        [chip] = tables.read_shards(folder / "chips").to_pylist()
        assert set(chip["bands"]) == set(PATCHES[sensor].stored_bands) and chip["datetime"].year == 2017
        write_params(tmp_path, [other], mixture={"stage3": {"imported": {"ben": 1}}})
        mixture.run("3")
        samples = [s for s in read_samples(paths.mixture("3") / "train.parquet") if s.sensor == sensor]
        assert len(samples) == 2
        reader = ChipReader(Normalisation.from_stats({sensor: paths.imported_stats("3", sensor)}), 28, 4)
        assert all(bool(image.pixels.isfinite().all()) for sample in samples for image in reader.images(sample))


def test_coarser_bands_are_repeated_and_numbers_become_reflectance(archive: Path, tmp_path: Path) -> None:
    import_patches(write(archive, [row(1)]), "sentinel-2", archive / "BigEarthNet-S2", "ben", tmp_path / "out")
    [chip] = tables.read_shards(tmp_path / "out/ben/chips").to_pylist()
    pixels = read_geotiff(chip["pixels"], "chip")
    with rasterio.open(next(archive.rglob("*_B05.tif"))) as file:
        stored = file.read(1)
    assert np.allclose(pixels["B05"], np.kron(stored, np.ones((2, 2))) * 1e-4, rtol=1e-5)


@pytest.mark.parametrize("end", ["tif", "npy", "npy-last"])
def test_one_file_of_all_bands_is_read_too(tmp_path: Path, end: str) -> None:
    folder = tmp_path / "in"
    plane(folder / f"{S2}.tif", 1, 120, count=12)
    if end != "tif":
        with rasterio.open(folder / f"{S2}.tif") as file:
            array = file.read()
        np.save(folder / f"{S2}.npy", array if end == "npy" else np.moveaxis(array, 0, 2))
        (folder / f"{S2}.tif").unlink()
    outcome = import_patches(write(folder, [row(1)]), "sentinel-2", None, "ben", tmp_path / "out")
    [chip] = tables.read_shards(tmp_path / "out/ben/chips").to_pylist()
    assert outcome.counts.kept == 1 and (chip["width"], len(chip["bands"])) == (120, 12)


def test_bad_rows_and_bad_patches_are_refused_one_by_one(archive: Path, tmp_path: Path) -> None:
    root = archive / "BigEarthNet-S2"
    names = {key: f"S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_{n}_1" for n, key in enumerate("abcdef")}
    plane(root / f"{names['a']}.tif", 1, 120, count=11)
    np.save(root / f"{names['b']}.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (root / f"{names['c']}.npy").write_bytes(b"\x93NUMPY garbage")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (12, 60000, 60000)})
    (root / f"{names['d']}.npy").write_bytes(header.getvalue())
    plane(root / names["e"] / f"{names['e']}_B02.tif", 1, 120)
    plane(root / f"{names['f']}.tif", 1, 120, count=12)
    np.save(root / f"{names['f']}.npy", np.ones((12, 8, 8)))
    bad = [*({"patch_id": name} for name in names.values()), {"patch_id": "S2A_gone_1"}, {"patch_id": "../x_y"}]
    bad += [{"patch_id": None}, {"input": None}, {"output": " "}]
    rows = [row(n, **change) for n, change in enumerate(bad)] + [row(50), row(50)]
    import_patches(write(archive, rows), "sentinel-2", root, "ben", tmp_path / "out")
    assert [reason for _, reason in rejects(tmp_path / "out/ben")] == [
        "wrong-bands", "wrong-type", "undecodable", "too-large", "missing-image", "ambiguous-image", "missing-image",
        "unsafe-path", "missing-image", "not-a-conversation", "empty-turn", "duplicate-row",
    ]  # fmt: skip


def test_a_csv_with_columns_of_its_own_is_read_and_its_bad_bytes_refuse_a_row(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "in/texts.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerows([["q", "a", "patch"], ["What?", "Grass", S2], ["Where?", "East", S2], ["x", "y", S2, "z"]])
    path.write_bytes(path.read_bytes().replace(b"East", b"Ea\xff"))
    columns = ("q", "a", "patch")
    outcome = import_patches(path, "sentinel-2", archive / "BigEarthNet-S2", None, tmp_path / "out", columns=columns)
    assert outcome.name == "texts-sentinel-2" and outcome.counts.kept == 1
    assert rejects(tmp_path / "out" / outcome.name) == [(1, "not-text"), (2, "wrong-type")]


def test_a_damaged_table_is_named_and_the_command_leaves_with_1(archive: Path, tmp_path: Path) -> None:
    path = write(archive, [row(1)])
    path.write_bytes(path.read_bytes()[:-20])
    command = [sys.executable, "-m", "earthloom", "import", "bigearthnet-txt", path, "--sensor", "sentinel-2"]
    done = subprocess.run(
        [*command, "--out", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "damaged" in done.stdout + done.stderr and "Traceback" not in done.stderr


def test_another_sensor_is_refused_by_name(archive: Path) -> None:
    with pytest.raises(ParamsError, match="sentinel-2 or sentinel-1"):
        import_patches(write(archive, [row(1)]), "landsat")
