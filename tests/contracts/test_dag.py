"""What holds dvc.yaml, the code and params.yaml together."""

import subprocess
import sys
from pathlib import Path

import yaml

from tasks import code

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def _body(stage: str) -> dict:
    return STAGES[stage].get("do", STAGES[stage])


def test_every_stage_is_a_module_and_depends_on_the_file_with_its_code() -> None:
    for stage in STAGES:
        assert _body(stage)["cmd"].split()[:3] == ["python", "-m", f"tasks.{stage}"]
        if stage != code.FIRST:
            assert f"data/code/{stage}.json" in _body(stage)["deps"]
    assert set(STAGES) - {code.FIRST} == set(code.stages()), "`ls tasks/*.py` is `dvc stage list`"


def test_no_code_is_listed_by_hand_but_the_folders_that_the_stage_code_reads() -> None:
    for stage in STAGES:
        ours = {dep for dep in _body(stage)["deps"] if dep.split("/")[0] in ("tasks", "models", "flows")}
        assert ours == ({"tasks", "models"} if stage == code.FIRST else set()), stage


def test_touching_the_parameters_of_a_section_leaves_stages_that_do_not_use_it_alone() -> None:
    for stage, section in {"qa": "qa", "split": "split", "select": "select", "chips": "chips"}.items():
        others = [name for name in STAGES if name not in (stage, "report") and section in _body(name).get("params", [])]
        assert others == []


def test_what_reads_files_of_ones_own_depends_on_their_folder() -> None:
    assert {stage for stage in STAGES if "inputs/areas" in _body(stage)["deps"]} == {"scenes", "scan", "report"}
    assert {stage for stage in STAGES if "inputs/labels" in _body(stage)["deps"]} == {"labels"}
    assert all("areas" in _body(stage)["params"] for stage in ("scenes", "scan"))


def test_importing_the_parameters_loads_neither_torch_nor_prefect() -> None:
    code = "import sys, tasks.check; sys.exit(bool({'torch', 'transformers', 'prefect', 'dvc'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_no_installed_package_claims_our_names() -> None:
    from importlib.metadata import packages_distributions

    owners = packages_distributions()
    for name in ("tasks", "flows", "models"):
        assert set(owners.get(name, [])) <= {"earthloom"}
