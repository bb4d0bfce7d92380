"""The entries that docs/how-to/add-a-sensor.md shows, as they stand there, from made scenes to pictures."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rasterio.enums import ColorInterp

from tasks.earth.sensors import read_table
from tests.fixtures.one_file_scenes import LEFT, SUPERDOVE, TOP, UDM2, ramp, scene, tiff, udm2

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/add-a-sensor.md").read_text()
ENTRIES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
(LINES,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SENSORS = ("planetscope", "naip", "drone", "enmap")
COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
USE = """
import json
from pathlib import Path
import polars as pl
from tasks import check, chips, labels, qa, scan, scenes, select, stats
from tasks.core import paths, tables
from tasks.core.stage import write_json
from tasks.pages import gallery, report_text
from tasks.pages.sensor_data import read_sensor

check.run()
seen = {}
for name in SENSORS:
    for stage in (scenes, scan, labels, select, chips, qa):
        for part in ("a", "b") if stage in (scan, labels, chips, qa) else (None,):
            summary = stage.run(*filter(None, (name, part)))
            if stage is select:
                write_json(paths.summary(f"select@{name}"), summary)
    shards = [tables.read_shards(paths.chips(name, part), ["chip_id", "window_id", "sensor", "bands", "unit",
        "wavelengths", "transform", "width", "mask_provenance", "cloud_fraction"]) for part in "ab"]
    made = [row for shard in shards if shard.num_rows for row in shard.to_pylist()]
    split = pl.DataFrame([{"chip_id": chip["chip_id"], "sensor": name, "split": "train"} for chip in made])
    tables.write(split.to_arrow(), paths.split() / "assignment.parquet")
    stats.run(name)
    data = read_sensor(name, ["a", "b"], split)
    predictions = pl.DataFrame(schema={"image_id": pl.String, "question": pl.String, "modality": pl.String})
    cards = gallery.cards(data, predictions, 1)
    seen[name] = {
        "chips": made,
        "measured": [band["name"] for band in data.stats["bands"]],
        "pictures": [picture.title for picture in cards[0].pictures],
        "tags": sorted(set(data.turns_of([chip["chip_id"] for chip in made])["tags"].to_list())),
        "credit": data.sensor.credit,
    }
print(json.dumps(seen, default=str))
"""


def publish(folder: Path) -> list[float]:
    """The four scenes as one static catalog; its box."""
    colourful = np.full((4, 1300, 1300), 90, np.uint8)
    colourful[0] = (np.arange(1300) // 8 % 120)[None]
    mosaic = np.full((4, 1600, 1600), 255, np.uint8)
    mosaic[:3] = (np.indices((1600, 1600)).sum(axis=0) // 16 % 200)[None]
    cube = ramp(1, 48, 48, 1).astype(np.int16) + 10 * np.arange(1, 33, dtype=np.int16)[:, None, None]
    waves = {n: {"wavelength": f"{420 + 60 * n}", "wavelength_units": "Nanometers"} for n in range(1, 33)}
    when = {"datetime": "2023-06-10T10:00:00Z", "eo:cloud_cover": 5.0}
    made: dict[str, tuple[dict[str, Any], dict[str, bytes]]] = {
        "planetscope": (
            scene(
                {"ortho_analytic_8b_sr": {}, "ortho_udm2": {}, "ortho_analytic_8b": {}}, 1920, "ps", "psscene", **when
            ),
            {
                "ortho_analytic_8b_sr": tiff(ramp(8, 640, 640, 3), 3, names=SUPERDOVE, nodata=0),
                "ortho_udm2": tiff(udm2(640, 640), 3, names=UDM2),
            },
        ),
        "naip": (
            scene({"image": {}}, 1300, "m_1", "naip", **when),
            {"image": tiff(colourful, 1, LEFT, TOP, colours=COLOURS)},
        ),
        "drone": (
            scene({"visual": {"roles": ["visual"]}}, 80, "flight", "drone", **when),
            {"visual": tiff(mosaic, 0.05, LEFT, TOP, colours=COLOURS)},
        ),
        "enmap": (
            scene({"image": {}}, 1440, "ENMAP01-L2A", "enmap", **when),
            {"image": tiff(cube, 30, LEFT, TOP, nodata=-32768, tags=waves)},
        ),
    }
    links = []
    for one, files in made.values():
        place = folder / one["collection"]
        (place / one["id"]).mkdir(parents=True)
        for key, content in files.items():
            (place / one["id"] / f"{key}.tif").write_bytes(content)
        item = one | {"assets": {k: v for k, v in one["assets"].items() if k in files}}
        (place / "item.json").write_text(json.dumps(item))
        collection = {"type": "Collection", "id": one["collection"], "links": [{"rel": "item", "href": "item.json"}]}
        (place / "collection.json").write_text(json.dumps(collection))
        links.append({"rel": "child", "href": f"{one['collection']}/collection.json"})
    (folder / "catalog.json").write_text(json.dumps({"type": "Catalog", "id": "order", "links": links}))
    return list(made["planetscope"][0]["bbox"])


def write_labels(path: Path, box: list[float]) -> None:
    """Three classes, each everywhere."""
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    features = [
        {"type": "Feature", "properties": {"class": name}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        for name in ("wheat", "meadow", "district")
    ]
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.mark.slow
def test_the_entries_of_the_page_are_sensors_from_their_scenes_to_questions_statistics_and_pictures(
    tmp_path: Path,
) -> None:
    for folder in ("tasks", "models"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    table = tmp_path / "tasks/earth/sensors.toml"
    table.write_text("\n".join([table.read_text(), *ENTRIES]))
    values, added = yaml.safe_load((ROOT / "params.yaml").read_text()), yaml.safe_load(LINES)
    values["catalog"] = added["catalog"]
    values["catalogs"] |= added["catalogs"]
    values["sensors"] |= added["sensors"]
    box = publish(tmp_path / added["catalogs"]["planet-order"]["url"])
    write_labels(tmp_path / "inputs/labels/classes.geojson", box)
    for name in SENSORS[1:]:
        values["catalogs"]["planet-order"]["collections"][name] = [name]
        values["sensors"][name] = added["sensors"]["planetscope"]
    values["sensors"]["enabled"] = list(SENSORS)
    values["areas"] = {"district": box}
    values["select"] |= {"min_land": 0, "max_cloud": 1}
    values["labels"]["sources"] = {"own": {"kind": "polygon", "path": "inputs/labels/classes.geojson"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(values))))
    done = subprocess.run(
        [sys.executable, "-c", f"SENSORS = {SENSORS}{USE}"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    for name, (bands, width) in {
        "planetscope": (8, 213),
        "naip": (4, 640),
        "drone": (3, 640),
        "enmap": (32, 21),
    }.items():
        chips = seen[name]["chips"]
        assert chips and {chip["sensor"] for chip in chips} == {name}
        assert {(len(chip["bands"]), chip["width"]) for chip in chips} == {(bands, width)}
        assert len(seen[name]["measured"]) == bands and seen[name]["tags"]
        assert (chips[0]["wavelengths"] is not None) == (name == "enmap")
        size = 32 if name == "drone" else 640
        assert all(chip["transform"][0] * width == pytest.approx(size) for chip in chips)
        assert all(f"-{size:04d}-" in chip["window_id"] for chip in chips)
        assert seen[name]["pictures"] == ([] if name == "enmap" else ["True colour"])
    assert seen["planetscope"]["chips"][0]["bands"] == [f"B{n}" for n in range(1, 9)]
    assert {chip["unit"] for name in ("naip", "drone") for chip in seen[name]["chips"]} == {"dn8"}
    assert seen["naip"]["tags"][0].startswith("[hr_rgbi_0.5]") or "[hr_rgbi_0.5]" in seen["naip"]["tags"][0]
    assert [seen[n]["chips"][0]["mask_provenance"] for n in SENSORS] == [
        "udm2",
        "luminance (derived)",
        "nodata",
        "nodata",
    ]


REPORT = """
from pathlib import Path
from tests.fixtures import report_dataset
import tasks.report

report_dataset.PARAMS["sensors"]["enabled"] = ["naip", "planetscope"]
report_dataset.make(Path())
print(tasks.report.run()["cards"])
"""


@pytest.mark.slow
def test_the_report_shows_sensors_of_display_values_and_whom_to_credit(tmp_path: Path) -> None:
    for folder in ("tasks", "models", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / file, tmp_path)
    table = tmp_path / "tasks/earth/sensors.toml"
    table.write_text("\n".join([table.read_text(), *ENTRIES]))
    done = subprocess.run(
        [sys.executable, "-c", REPORT], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    page = (tmp_path / "data/report/index.html").read_text()
    assert "NAIP imagery courtesy of the U.S. Department of Agriculture" in page and "Planet Labs PBC" in page
    assert page.count("True colour") >= int(done.stdout.splitlines()[-1]) == 8, "a picture on every card"


def test_every_entry_of_the_page_passes_what_the_table_is_held_to(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text("\n".join(ENTRIES))
    assert tuple(read_table(path)) == SENSORS


def test_the_page_names_every_field_of_an_entry_and_every_layout_of_a_mask() -> None:
    from typing import get_args

    from tasks.earth.sensor_parts import Band, Generation, Product
    from tasks.earth.sensors import Mask, Sensor

    fields = {name for part in (Sensor, Band, Generation, Product) for name in part.__dataclass_fields__} - {"name"}
    said = set(re.findall(r"`(\w+)`", PAGE))
    assert fields - said == set() and set(get_args(Mask)) <= said
