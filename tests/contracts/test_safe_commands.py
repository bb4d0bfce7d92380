"""No parameter reaches a shell before it has been checked, by either engine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.recording import graph
from tasks.check import validate
from tasks.core.errors import FlowError, ParamsError
from tests.fixtures import checkout
from tests.flows import toy

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
EVIL = "b; touch stolen"


def test_commands_take_nothing_but_the_values_of_their_matrix() -> None:
    taken = {name: re.findall(r"\$\{([^}]*)\}", str(stage.get("do", stage)["cmd"])) for name, stage in STAGES.items()}
    assert {value for values in taken.values() for value in values} <= {"item.sensor", "item.part", "item.stage", "key"}


def test_every_stage_with_a_matrix_over_parameters_comes_after_the_check() -> None:
    with_parameters = {name for name, stage in STAGES.items() if "${" in str(stage.get("matrix", ""))}
    checked = {"check"}
    for _ in STAGES:
        made = [str(out) for name in checked for out in STAGES[name].get("outs", [])]
        checked |= {
            name
            for name, stage in STAGES.items()
            if any(str(dep).startswith(out.split("$")[0]) for dep in stage.get("deps", []) for out in made)
        }
    assert with_parameters and with_parameters <= checked


@pytest.mark.parametrize("part", [EVIL, "$(id)", "../a", "a b", "-a", "a/b", "", "a\nb", "ä"])
def test_a_part_that_a_shell_would_read_is_refused_by_name(part: str, tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["grid"]["parts"] = ["a", part]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ParamsError, match=r"'grid\.parts\.1' is .*stands in commands and paths"):
        validate(path)


def test_a_part_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("parts: [a, b]", "parts: [a, a]"))
    with pytest.raises(ParamsError, match="part 'a' is named twice"):
        validate(tmp_path / "params.yaml")


def test_a_graph_with_a_command_that_a_parameter_made_is_not_walked(tmp_path: Path) -> None:
    root = toy.make(tmp_path / "project")
    toy.touch(root, "parts: [a, b, c]", f'parts: [a, "{EVIL}"]')
    with pytest.raises(FlowError, match=r"makes an instance named 'chips@blue-b; touch stolen'"):
        graph.read(root)


def test_repro_stops_at_the_check(tmp_path: Path) -> None:
    root = checkout.make(tmp_path / "root")
    toy.touch(root, "parts: [a, b]", f'parts: [a, "{EVIL}"]')
    repro = [sys.executable, "-m", "dvc", "repro"]
    done = subprocess.run(repro, cwd=root, env=toy.ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "'grid.parts.1' is 'b; touch stolen'" in done.stdout + done.stderr
    assert not list(root.rglob("stolen*"))
