"""What is wrong with an entry of the table of sensors is said by the sensor's and the field's name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import ParamsError
from tasks.earth.sensors import SENSORS, read_table
from tests.conftest import ROOT, Run

ENTRY = """
[own]
gsd = 3
unit = "reflectance"
tag = "[own_3]"
rgb_tag = "[own_rgb_3]"
bands = [
  { name = "B1", common_name = "blue", wavelength = 0.49, gsd = 3 },
  { name = "B2", common_name = "green", wavelength = 0.565, gsd = 3 },
  { name = "B3", common_name = "red", wavelength = 0.665, gsd = 3 },
]
"""


def test_a_whole_entry_is_a_sensor(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(ENTRY)
    assert read_table(path)["own"].rgb == ("B3", "B2", "B1")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gsd = 3\nunit", "gds = 3\nunit", "sensor 'own': gsd: "),
        ("gsd = 3\nunit", "gsd = 3\ncolour = 1\nunit", "colour: "),
        ("gsd = 3\nunit", "gsd = 0\nunit", "gsd: "),
        ("gsd = 3\nunit", "gsd = 3\nwindow_cells = 0.3\nunit", "window_cells: a whole number of cells"),
        ("reflectance", "radiance", "unit: 'radiance' is none of reflectance, dB, dn8"),
        ('"[own_3]"', '"own_3"', "tag: "),
        ('"[own_3]"', '"[own_3]"\nplatforms = "own("', "platforms: 'own(' is not a regular expression"),
        ('"B2"', '"B1"', "bands: name: b1 stands for two bands"),
        ('"green"', '"blue"', "bands: common_name: blue stands for two bands"),
        ("gsd = 3 },\n]", 'gsd = 3, other_names = ["B2"] },\n]', "bands: other_names: b2 stands for two bands"),
        ("0.665", "665", "bands.2.wavelength: 665 is no wavelength in micrometres"),
        ('"red"', '"nir"', "rgb_tag: no bands have the common names red, green and blue"),
        ("bands =", 'cube = ["image"]\nbands =', "bands: they are listed here, or read from each `cube`"),
        ("bands =", 'mask = "udm2"\nbands =', "mask_aliases: the asset keys of the mask 'udm2' are needed"),
        ("bands =", 'mask_aliases = ["qa"]\nbands =', "mask: the layout of qa is needed"),
        ("bands =", 'mask = "fmask"\nmask_aliases = ["qa"]\nbands =', "mask: "),
        ("bands =", 'mask = "luminance"\nbands =', "mask: luminance is that of red, green and blue of unit dn8"),
        ("bands =", "generations = [{ platforms = 'x', names = { B9 = [] } }]\nbands =", "B9 is none of the bands"),
        ("[own]", "[Own Sensor]", "is not valid TOML"),
        ("[own]", '["Own/Sensor"]', "sensor 'Own/Sensor': its name is in paths"),
        ("]\n", ENTRY.replace("[own]", "]\n[other]"), "sensor 'other': tag [own_3] is that of own already"),
    ],
)
def test_a_slip_in_an_entry_is_named(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    text = ENTRY.rstrip()
    path.write_text(text[: -len("]")] + new if old == "]\n" else ENTRY.replace(old, new, 1))
    with pytest.raises(ParamsError) as error:
        read_table(path)
    assert "sensors.toml" in str(error.value) and said in str(error.value)


def test_check_names_a_slip_in_the_table_in_one_sentence(tmp_path: Path) -> None:
    for folder in ("tasks", "flows", "models"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("earthloom.py", "params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / file, tmp_path)
    table = tmp_path / "tasks/earth/sensors.toml"
    table.write_text(table.read_text().replace("wavelength = 0.665", "wavelength = 665", 1))
    for command in (["-m", "earthloom", "check"], ["-m", "tasks.check"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        said = done.stderr + done.stdout
        assert done.returncode != 0
        assert "sensors.toml: sensor 'sentinel-2': bands.3.wavelength: 665 is no wavelength in micrometres" in said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("enabled: [sentinel-2, sentinel-1, landsat]", "enabled: [sentinel-3]", "there is no such sensor"),
        ("  landsat: { datetime", "  landsad: { datetime", "sensors.landsad"),
        ("enabled: [sentinel-2, sentinel-1, landsat]", "enabled: [sentinel-2]", None),
        ("cell: 640", "cell: 80000", "sentinel-2: a window of 80000 m has 8000 x 8000 pixels of 10 m"),
    ],
)
def test_check_refuses_what_params_say_of_sensors_that_are_not_in_the_table(
    old: str, new: str, said: str | None, edit_params: object, run_stage: Run
) -> None:
    edit_params(old, new)  # type: ignore[operator]
    done = run_stage("check")
    assert (done.returncode == 0) == (said is None), done.stderr
    assert said is None or said in done.stderr, done.stderr


def test_a_sensor_that_is_not_worked_needs_no_section_and_one_that_is_does(edit_params: object, run_stage: Run) -> None:
    line = '  landsat: { datetime: "2013-03-01/2030-01-01", max_scene_cloud: 90 }\n'
    edit_params(line, "")  # type: ignore[operator]
    assert "'sensors.landsat' is missing" in run_stage("check").stderr
    edit_params("enabled: [sentinel-2, sentinel-1, landsat]", "enabled: [sentinel-2, sentinel-1]")  # type: ignore[operator]
    done = run_stage("check")
    assert done.returncode == 0 and "landsat" in SENSORS
