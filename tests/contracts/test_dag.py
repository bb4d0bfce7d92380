"""What holds dvc.yaml, the code and params.yaml together."""

import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
import yaml

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def _body(stage: str) -> dict:
    return STAGES[stage].get("do", STAGES[stage])


def _module(stage: str) -> str:
    name = re.match(r"python -m (\S+)", _body(stage)["cmd"]).group(1)
    return f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("tasks", "models")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_it_imports(stage: str, graph: grimp.ImportGraph) -> None:
    module = _module(stage)
    needed = set()
    for name in graph.find_upstream_modules(module) | {module}:
        path = Path(*name.split("."))
        file = path.with_suffix(".py") if (ROOT / path.with_suffix(".py")).is_file() else path / "__init__.py"
        # A package's __init__ that imports nothing changes nothing.
        if file.name != "__init__.py" or "import " in (ROOT / file).read_text():
            needed.add(str(file))
    declared = {dep for dep in _body(stage)["deps"] if dep.endswith(".py")}
    assert declared == needed, "deps of code should be:\n" + "\n".join(f"      - {file}" for file in sorted(needed))


def test_touching_the_parameters_of_a_section_leaves_stages_that_do_not_use_it_alone() -> None:
    for stage, section in {"qa": "qa", "split": "split", "select": "select", "chips": "chips"}.items():
        others = [name for name in STAGES if name not in (stage, "report") and section in _body(name).get("params", [])]
        assert others == []


def test_importing_the_parameters_loads_neither_torch_nor_prefect() -> None:
    code = "import sys, tasks.params; sys.exit(bool({'torch', 'transformers', 'prefect', 'dvc'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_no_installed_package_claims_our_names() -> None:
    from importlib.metadata import packages_distributions

    owners = packages_distributions()
    for name in ("tasks", "flows", "models"):
        assert set(owners.get(name, [])) <= {"earthloom"}
