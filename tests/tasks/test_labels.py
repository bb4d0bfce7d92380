"""Stage `labels` on a scene of the sample, with files of one's own."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import geopandas
import numpy as np
import pandas
import polars as pl
import pytest
import shapely
import yaml
from rasterio.transform import from_origin

from tasks import labels, scan, scenes
from tasks.core import paths
from tasks.core.errors import ParamsError, SceneError, VectorFileError
from tasks.dialogue.chip_facts import open_labels
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Pair
from tasks.earth.label_params import SourceParams
from tasks.generators.templates.generator import Choice, TemplateGenerator
from tests.conftest import ROOT
from tests.fixtures.label_files import write

SENSOR = "landsat"


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose scene is searched and scanned."""
    root = tmp_path_factory.mktemp("scanned")
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copytree(ROOT / "samples", root / "samples", copy_function=os.link)
    before = Path.cwd()
    os.chdir(root)
    try:
        scenes.run(SENSOR)
        for part in yaml.safe_load((root / "params.yaml").read_text())["grid"]["parts"]:
            scan.run(SENSOR, part)
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def labelled(scanned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the stage with some of its parameters changed; gives its summary."""
    root = tmp_path / "work"
    shutil.copytree(scanned, root, copy_function=os.link)
    monkeypatch.chdir(root)

    def run(sources: dict | None = None, **changed: object) -> dict:
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["labels"] |= {**changed, **({} if sources is None else {"sources": sources})}
        Path("params.yaml").unlink()
        Path("params.yaml").write_text(yaml.safe_dump(params))
        summaries = [labels.run(SENSOR, part) for part in params["grid"]["parts"]]
        by_source = Counter()
        for summary in summaries:
            by_source.update(summary["by_source"])
        total = {name: sum(summary[name] for summary in summaries) for name in ("windows", "labels", "quarantined")}
        return {**total, "by_source": dict(by_source)}

    return run


def windows() -> pl.DataFrame:
    found = pl.concat([pl.read_parquet(path) for path in sorted(Path("data/scan/landsat").rglob("windows.parquet"))])
    return found.filter(pl.col("nodata_fraction") < 1).sort("chip_id")


def rows(name: str = "labels") -> pl.DataFrame:
    return pl.concat([pl.read_parquet(folder / f"{name}.parquet") for folder in paths.labels_of_parts(SENSOR)])


def said(name: str = "licences") -> dict:
    """What the files of all parts say together."""
    found: dict = {}
    for folder in paths.labels_of_parts(SENSOR):
        for key, value in json.loads((folder / f"{name}.json").read_text()).items():
            found[key] = {**found.get(key, {}), **value}
    return found


def asked(count: int, seed: int) -> list[Pair]:
    """What templates ask of all windows, in short answers."""
    writer = TemplateGenerator(Choice(count, seed, short=1))
    chips = []
    for folder in paths.labels_of_parts(SENSOR):
        book = open_labels(SENSOR, folder, Path("work", folder.name))
        own = pl.read_parquet(paths.scan(SENSOR, folder.name) / "windows.parquet").filter(pl.col("nodata_fraction") < 1)
        ids = own["chip_id"].sort().to_list()
        chips += [ChipFacts(chip_id, SENSOR, *known) for chip_id, known in zip(ids, book.of(ids), strict=True)]
    return [pair for facts in chips for pair in writer.write(facts)]


def own_layer(name: str = "fields.gpkg", count: int = 3, epsg: int = 3857, label: str = "burnt") -> str:
    """A file of squares, each the western half of a window."""
    some = windows().head(count)
    halves = [
        shapely.box(left, bottom, (left + right) / 2, top)
        for left, bottom, right, top in some.select("left", "bottom", "right", "top").iter_rows()
    ]
    path = Path("inputs/labels", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = geopandas.GeoDataFrame({"class": [label] * count}, geometry=halves, crs=int(some["epsg"][0]))
    made.to_crs(epsg).to_file(path)
    return str(path)


def test_a_projected_layer_of_ones_own_labels_its_windows_and_is_named_with_date_and_licence(labelled) -> None:
    source = {"kind": "polygon", "path": own_layer(), "date": 2020, "licence": "CC0-1.0", "attribution": "me"}
    summary = labelled({"fields": source})
    assert summary["by_source"] == {"fields": 3}
    found = rows()
    assert found["chip_id"].to_list() == windows().head(3)["chip_id"].to_list()
    assert found["fraction"].to_list() == pytest.approx([0.5] * 3, abs=2e-3)
    assert found["date"].unique().to_list() == ["2020"]
    assert found["licence"].unique().to_list() == ["CC0-1.0"]
    ledger = said()
    assert ledger["labels"]["fields"] == {
        "licence": "CC0-1.0", "attribution": "me", "url": None, "items": ["inputs/labels/fields.gpkg"], "date": "2020"
    }  # fmt: skip


def test_the_ledger_of_licences_names_the_scenes_too(labelled) -> None:
    labelled(spectral="always")
    ledger = said()
    assert list(ledger["scenes"]) == ["landsat-8-l1"]
    found = ledger["scenes"]["landsat-8-l1"]
    assert "U.S. Geological Survey" in found["attribution"]
    assert len(found["items"]) >= 1
    assert found["date"]


def test_labels_are_in_one_order_and_the_same_bytes_twice(labelled) -> None:
    source = {"own": {"kind": "polygon", "path": own_layer()}}
    labelled(source, spectral="always")
    files = [folder / "labels.parquet" for folder in paths.labels_of_parts(SENSOR)]
    first = [file.read_bytes() for file in files]
    shutil.rmtree(".earthloom/results")
    labelled(source, spectral="always")
    assert [file.read_bytes() for file in files] == first
    orders = [pl.read_parquet(file).select("chip_id", "label", "source") for file in files]
    assert all(order.equals(order.sort("chip_id", "label", "source")) for order in orders)
    assert sum(order.height for order in orders) > 50
    assert not list(Path(".earthloom/work").glob("labels@landsat-*"))


def test_a_source_of_a_licence_that_is_not_allowed_is_left_out_with_a_row(labelled) -> None:
    sources = {
        "mine": {"kind": "polygon", "path": own_layer(), "licence": "CC-BY-4.0"},
        "theirs": {"kind": "polygon", "path": own_layer("theirs.gpkg"), "licence": "CC-BY-NC-4.0"},
    }
    summary = labelled(sources, licences=["cc-by-4.0"])
    assert summary["by_source"] == {"mine": 3}
    assert rows("quarantine").select("asset", "reason").unique().rows() == [("theirs", "licence")]
    assert "CC-BY-NC-4.0" in rows("quarantine")["detail"][0]


def test_a_file_that_is_not_there_or_lacks_the_attribute_ends_the_stage_by_name(labelled) -> None:
    with pytest.raises(VectorFileError, match=r"inputs/labels/none\.gpkg is not there"):
        labelled({"own": {"kind": "polygon", "path": "inputs/labels/none.gpkg"}})
    with pytest.raises(VectorFileError, match="has no attribute 'crop'; it has: class"):
        labelled({"own": {"kind": "polygon", "path": own_layer(), "attribute": "crop"}})


WRONG = {
    "outside": ({"kind": "polygon", "path": "/etc/passwd"}, "lies under inputs/labels/"),
    "both": ({"kind": "polygon", "path": "inputs/labels/a.gpkg", "asset": "x"}, "has no 'asset'"),
    "no classes": ({"kind": "raster", "path": "inputs/labels/a.tif"}, "needs 'classes'"),
    "no asset": ({"kind": "polygon"}, "needs 'asset', or a 'path'"),
    "date": ({"kind": "polygon", "path": "inputs/labels/a.gpkg", "date": "summer"}, "not a year, a month or a day"),
}


@pytest.mark.parametrize("written", ["2020", "2020-06-30", "'2020'", "2020-01-01/2020-06-30"])
def test_a_time_may_be_written_as_yaml_reads_numbers_and_dates(written) -> None:
    source = yaml.safe_load(f"{{kind: polygon, path: inputs/labels/a.gpkg, date: {written}}}")
    assert SourceParams(**source).date == written.strip("'")


@pytest.mark.parametrize("case", WRONG)
def test_a_source_that_is_described_wrong_is_refused_by_its_place_in_the_file(labelled, case) -> None:
    source, message = WRONG[case]
    with pytest.raises(ParamsError, match=f"labels.sources.own.*{message}"):
        labelled({"own": source})


def test_a_change_class_of_ones_own_gets_questions_of_change(labelled) -> None:
    path = own_layer(count=5)
    # A corner far away: all windows lie in the box of the layer's features, and most are known not to have burnt.
    layer = geopandas.read_file(path).to_crs(int(windows()["epsg"][0]))
    box = windows().select(pl.col("left").min(), pl.col("bottom").min(), pl.col("right").max(), pl.col("top").max())
    left, bottom, right, top = box.row(0)
    corners = [shapely.box(x, y, x + 1, y + 1) for x, y in ((left - 9000, bottom - 9000), (right + 9000, top + 9000))]
    more = geopandas.GeoDataFrame({"class": ["burnt"] * 2}, geometry=corners, crs=layer.crs)
    pandas.concat([layer, more]).to_file(path)
    labelled({"fires": {"kind": "polygon", "path": path, "change": ["burnt"], "complete": True}}, spectral="always")
    pairs = [pair for seed in range(4) for pair in asked(9, seed)]
    change = [pair for pair in pairs if pair.question_type == "change"]
    assert {pair.answer for pair in change} == {"yes", "no"} and all("burnt" in pair.question for pair in change)
    assert not [pair for pair in pairs if pair.question_type == "presence" and "burnt" in pair.labels_used]


def test_an_incomplete_layer_is_never_asked_about_where_it_is_silent(labelled) -> None:
    source = {"kind": "polygon", "path": own_layer(), "change": ["burnt"], "complete": False}
    labelled({"fires": source}, spectral="always")
    assert {pair.answer for pair in asked(30, 1) if pair.question_type == "change"} == {"yes"}


def test_radar_that_no_source_labels_is_refused_before_anything_is_searched(labelled) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["catalogs"]["sample"] |= {"labels": [], "url": "http://127.0.0.1:1"}  # nobody is there to be asked
    Path("params.yaml").unlink()
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(
        ParamsError, match=r"sentinel-1 cannot be labelled.*Name a file of your own under labels\.sources"
    ):
        scenes.run("sentinel-1")


def test_editions_of_two_years_in_one_folder_are_not_added_up(labelled) -> None:
    for year, label in ((2014, "old"), (2015, "new")):
        own_layer(f"fields/fields_{year}.gpkg", label=label)
    labelled({"fields": {"kind": "polygon", "path": "inputs/labels/fields"}})
    assert set(rows()["label"]) == {"new"}, "the scene is of 2015"
    assert set(rows()["date"]) == {"2015"}


def test_rasters_of_ones_own_that_lie_on_one_another_want_a_time(labelled) -> None:
    left, bottom = windows().select("left", "bottom").row(0)
    folder = Path("inputs/labels/cover")
    folder.mkdir(parents=True)
    for name, value in (("a_2014", 1), ("b_2015", 2)):
        values = np.full((64, 64), value, np.uint8)
        crs = f"EPSG:{windows()['epsg'][0]}"
        write(folder / f"{name}.tif", values, from_origin(left, bottom + 1920, 30, 30), crs, 0)
    source = {"kind": "raster", "path": str(folder), "classes": {"old": [1, 2], "new": [2, 3]}}
    labelled({"cover": source})
    assert rows().select("label", "fraction", "date").rows() == [("new", 1.0, "2015")]
    for file in sorted(folder.iterdir()):
        file.rename(file.with_name(f"{file.name[0]}.tif"))
    with pytest.raises(SceneError, match=r"cover/a\.tif and inputs/labels/cover/b\.tif lie on one another"):
        labelled({"cover": source})
