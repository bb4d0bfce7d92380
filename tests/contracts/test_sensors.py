"""One registry of sensors: nothing else names one, and one entry with its lines in params.yaml is a sensor."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.earth import sensors
from tasks.earth.display_sensors import ALL, SENSOR_TAGS

ROOT = Path(__file__).parents[2]
REGISTRY = {"tasks/earth/sensors.py", "tasks/earth/display_sensors.py"}
"""Besides the table, tasks/earth/sensors.toml: EarthDial's tags, and renderings of sensors."""
TELLS_OF_DATA_SETS = {"tasks/published/registry.py"}
"""A published data set says which sensor it is of, and which of its bands it holds in which order."""
BANDS = {band.name for sensor in ALL.values() for band in sensor.bands if len(band.name) > 1}


def product() -> list[str]:
    files = [*(ROOT / "tasks").rglob("*.py"), *(ROOT / "flows").rglob("*.py"), *(ROOT / "models").rglob("*.py")]
    return sorted(str(file.relative_to(ROOT)) for file in [*files, ROOT / "earthloom.py"])


def named(file: str) -> set[str]:
    """Sensors, sensor tags and bands that the code of a file names; what it says in docstrings is for people."""
    tree = ast.parse((ROOT / file).read_text())
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            found |= {name for name in (*ALL, *SENSOR_TAGS) if name in node.value}
            found |= {node.value} & BANDS
    return found


def test_no_file_but_the_registry_names_a_sensor_its_tags_or_its_bands() -> None:
    assert {"tasks/stats.py", "tasks/pages/report_text.py"} < set(product())
    outside = {file: found for file in product() if (found := named(file))}
    assert set(outside) == REGISTRY | TELLS_OF_DATA_SETS, outside


def test_the_page_names_none_either() -> None:
    names = "|".join(map(re.escape, sorted({*ALL, *BANDS}, key=len, reverse=True)))
    for file in sorted((ROOT / "tasks/serving").glob("page.*")) + sorted((ROOT / "tasks/serving").glob("page_*")):
        assert not re.findall(rf"(?<![\w-])({names})(?![\w-])", file.read_text()), file.name


def test_tags_of_sensors_are_those_of_earthdial_in_its_order_and_new_ones_come_last() -> None:
    from tasks.dialogue.conversations import TAGS

    assert SENSOR_TAGS[: len(sensors.PUBLISHED_TAGS)] == sensors.PUBLISHED_TAGS == TAGS[: len(sensors.PUBLISHED_TAGS)]
    assert len(set(TAGS)) == len(TAGS)
    assert {sensor.tag for sensor in ALL.values()} <= set(TAGS)


ENTRY = """
[oli]
gsd = 30
window_cells = 3
unit = "reflectance"
tag = "[oli_ms_30]"
rgb_tag = "[oli_rgb_30]"
mask = "qa_pixel"
mask_aliases = ["qa_pixel"]
platforms = "oli-7"
credit = "OLI courtesy of its owner, {years}."
bands = [
  { name = "BLUE", common_name = "blue", wavelength = 0.482, gsd = 30, other_names = ["B2"] },
  { name = "GREEN", common_name = "green", wavelength = 0.561, gsd = 30, other_names = ["B3"] },
  { name = "RED", common_name = "red", wavelength = 0.655, gsd = 30, other_names = ["B4"] },
  { name = "NIR", common_name = "nir08", wavelength = 0.865, gsd = 30, other_names = ["B5"] },
  { name = "SWIR", common_name = "swir16", wavelength = 1.609, gsd = 30, other_names = ["B6"] },
]
"""
USE = """
import json
from pathlib import Path
import polars as pl
from tasks import check, scan, scenes, select, stats
from tasks import chips as chips
from tasks.core import paths, tables
from tasks.dialogue import conversations
from tasks.earth.display_sensors import TRUE_COLOURS, known_sensor
from tasks.core.stage import write_json
from tasks.vlm.bands import modality_tag
from tasks.vlm.sensor_of_file import FileMetadata, recognise
from tasks import labels as labels
from tasks import qa as qa

check.run()
for stage in (scenes, scan, labels, select, chips, qa):
    for part in ("a", "b") if stage in (scan, labels, chips, qa) else (None,):
        stage.run(*(("oli", part) if part else ("oli",)))
parts = [paths.chips("oli", part) for part in "ab"]
made = [chip for part in parts for chip in tables.read_shards(part, ["chip_id", "bands", "unit"]).to_pylist()]
split = [{"chip_id": chip["chip_id"], "sensor": "oli", "split": "train"} for chip in made]
tables.write(pl.DataFrame(split).to_arrow(), Path("data/split/assignment.parquet"))
stats.run("oli")
talks = [tables.read(paths.qa("oli", part) / "conversations.parquet") for part in "ab"]
asked = [text for part in talks for text in part["conversations"].to_pylist()]
said = pl.concat([tables.read_frame(folder / "labels.parquet") for folder in paths.labels_of_parts("oli")])
derived = said.filter(pl.col("derived"))
oli = known_sensor("oli")
print(json.dumps({
    "chips": len(made),
    "bands": made[0]["bands"],
    "tagged": all("[oli_ms_30] <image>" in text for text in asked),
    "asked": len(asked),
    "derived": derived.height,
    "measured": [band["name"] for band in json.loads(Path("data/stats/oli.json").read_text())["bands"]],
    "last": conversations.TAGS[-2:],
    "shown": modality_tag(oli, "rgb"),
    "recognised": recognise(FileMetadata("oli-7_x.tif", ("blue", "green", "red", "nir", "SWIR"), {}, None)).bands,
    "true": ["RED", "GREEN", "BLUE"] in [list(names) for names in TRUE_COLOURS],
    "false": oli.false_colour,
}))
"""


@pytest.mark.slow
def test_one_entry_and_its_lines_in_params_yaml_are_a_sensor_from_its_scenes_to_its_questions(tmp_path: Path) -> None:
    for folder in ("tasks", "models", "samples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    table = tmp_path / "tasks/earth/sensors.toml"
    table.write_text(table.read_text() + ENTRY)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["sensors"] |= {"enabled": ["oli"], "oli": values["sensors"]["landsat"]}
    values["catalogs"]["sample"]["collections"]["oli"] = ["landsat-8-l1"]
    values["mixture"]["stage1"]["weights"]["rgb"]["oli"] = 1
    # By way of JSON: lists that two sensors share would be written as aliases, which are not read.
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(values))))
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    bands = ["BLUE", "GREEN", "RED", "NIR", "SWIR"]
    assert seen["chips"] > 0 and seen["asked"] > 0 and seen["derived"] > 0
    assert seen["bands"] == seen["measured"] == bands
    assert seen["tagged"] and seen["last"] == ["[oli_ms_30]", "[oli_rgb_30]"] and seen["shown"] == "[oli_rgb_30]"
    assert seen["recognised"] == ["BLUE", "GREEN", "RED", "NIR", "SWIR"]
    assert seen["true"] and seen["false"] == ["SWIR", "NIR", "RED"]
