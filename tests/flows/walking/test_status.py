"""What `earthloom status` says."""

import shutil
from pathlib import Path

from rich.console import Console

from flows.walking.status import is_fresh, status, table
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]


def test_a_project_that_has_run_is_up_to_date(done: Path) -> None:
    count, changed = status(done)
    assert count > 1 and not changed and is_fresh(done)


def test_whatever_changed_a_project_is_not_up_to_date(done: Path) -> None:
    shard = done / "data/chips/red/b/shard.txt"
    content = shard.read_bytes()
    for path, changed in ((done / "work.py", b"import os\n"), (shard, b"x"), (done / "params.yaml", b"")):
        whole = path.read_bytes()
        path.unlink()  # never through a link into the cache
        path.write_bytes(whole.replace(b"width: 8", b"width: 9") + changed)
        assert not is_fresh(done), path
        path.write_bytes(whole)
        assert is_fresh(done), path
    assert shard.read_bytes() == content
    shard.unlink()
    assert not is_fresh(done)


def test_an_instance_that_would_run_is_named_with_what_changed(done: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(done, tmp_path / "changed", symlinks=True))
    toy.touch(root, "red: 2", "red: 20")
    count, changed = status(root)
    assert changed["scenes@red"] == ["scenes.red (modified)"]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table(count, changed))
    assert "scenes@red" in captured.get() and f"{count - len(changed)} of {count}" in captured.get()
