"""What holds the table of controls together with its readers, its names and its pages."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tasks.evaluation.metrics.guesses import BESIDE, GUESSES, Guess
from tasks.evaluation.metrics.predictions import CONTROL_COLUMNS, KNOWN
from tasks.vlm.controls import CONTROLS, Control, ControlName

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tasks/vlm/controls.py"
PRODUCT = [
    path
    for folder in ("tasks", "flows", "models", "benchmarks", "infra")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".j2", ".css", ".js", ".toml", ".yaml")
] + [ROOT / "earthloom.py"]


def test_every_name_has_an_entry_and_every_entry_a_name_of_its_own() -> None:
    assert list(CONTROLS) == list(get_args(ControlName))
    columns = [column for names in CONTROL_COLUMNS.values() for column in names]
    assert len(columns) == len(set(columns)) and set(columns) <= KNOWN
    assert len({control.mark for control in BESIDE.values()}) == len({*BESIDE}) == len(CONTROLS) + len(GUESSES)


@pytest.mark.parametrize("control", CONTROLS.values(), ids=lambda control: control.name)
def test_no_other_file_of_the_product_spells_a_control(control: Control) -> None:
    spellings = {control.name, *control.columns, control.mark_column, control.title, control.short}
    spelled = re.compile("|".join(rf"(?<![\w-]){re.escape(text)}(?![\w-])" for text in spellings))
    found = [path for path in PRODUCT if path != TABLE and spelled.search(path.read_text(encoding="utf-8"))]
    assert len(PRODUCT) > 200 and found == []


@pytest.mark.parametrize("control", CONTROLS.values(), ids=lambda control: control.name)
def test_the_pages_for_people_name_every_control(control: Control) -> None:
    rows = (ROOT / "docs/how-to/run-benchmarks.md").read_text().splitlines()
    assert [row for row in rows if row.startswith(f"| `{control.name}` | `{control.column}` |")]
    metrics = (ROOT / "docs/reference/metrics.md").read_text()
    assert all(f"`{column}`" in metrics for column in control.columns)
    colours = (ROOT / "tasks/pages/style.css").read_text()
    assert f"--{control.colour}:" in colours


@pytest.mark.parametrize("guess", GUESSES.values(), ids=lambda guess: guess.key)
def test_what_needs_no_model_is_guessed_named_and_spelled_in_one_place(guess: Guess) -> None:
    spelled = re.compile("|".join(map(re.escape, (guess.title, guess.short))))
    table = ROOT / "tasks/evaluation/metrics/guesses.py"
    assert [path for path in PRODUCT if path != table and spelled.search(path.read_text(encoding="utf-8"))] == []
    metrics = (ROOT / "docs/reference/metrics.md").read_text()
    assert f"`{guess.score_name}`" in metrics and f"`{guess.column}`" in metrics
    assert f"--{guess.colour}:" in (ROOT / "tasks/pages/style.css").read_text()


def test_the_table_is_read_without_torch() -> None:
    code = "import sys, tasks.vlm.controls, tasks.evaluation.metrics.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
