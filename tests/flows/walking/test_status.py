"""What `earthloom status` says."""

import shutil
from pathlib import Path

from rich.console import Console

from flows.walking.status import status, table
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]


def test_a_project_that_has_run_is_up_to_date(done: Path) -> None:
    count, changed = status(done)
    assert count > 1 and not changed


def test_an_instance_that_would_run_is_named_with_what_changed(done: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(done, tmp_path / "changed", symlinks=True))
    toy.touch(root, "red: 2", "red: 20")
    count, changed = status(root)
    assert changed["scenes@red"] == ["scenes.red (modified)"]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table(count, changed))
    assert "scenes@red" in captured.get() and f"{count - len(changed)} of {count}" in captured.get()
