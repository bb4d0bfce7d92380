"""What a module reaches: its imports, its data files and the versions it uses; nothing else changes the hash."""

import os
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.code import ROOT, closure, code, data_files
from tasks.core.errors import CodeError

FILES = {
    "requirements.lock": "numpy==2.4.6\npyyaml==6.0.3\n",
    "tasks/__init__.py": '"""Tasks."""\n',
    "tasks/chips.py": """
        \"\"\"Stage.\"\"\"
        from tasks.core import raster

        def run(sensor: str) -> float:
            \"\"\"Make chips.\"\"\"
            from models import net  # heavy
            return raster.calibrate(2.0) + net.WIDTH
        """,
    "tasks/split.py": "import json\n\nSIZE = 4\n",
    "tasks/core/__init__.py": "",
    "tasks/core/raster.py": """
        import numpy as np
        from tasks.core.tables import read

        SCALE = 2

        def calibrate(value):
            return np.float32(value) * SCALE
        """,
    "tasks/core/tables.py": """
        from pathlib import Path
        ROWS = Path(__file__).parent / "rows"

        def read():
            return (ROWS / "bands.toml").read_text()
        """,
    "tasks/core/rows/bands.toml": "red = 1\n",
    "models/__init__.py": "",
    "models/net.py": "WIDTH = 8\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


@pytest.fixture
def edit(tree: Path) -> Callable[[str, str, str], None]:
    def edited(name: str, old: str, new: str) -> None:
        path = tree / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edited


def test_a_module_reaches_what_it_imports_anywhere_and_what_that_reads_and_uses(tree: Path) -> None:
    found = closure("tasks.chips", tree)
    assert set(found.modules) == {
        "tasks", "tasks.chips", "tasks.core", "tasks.core.raster", "tasks.core.tables", "models", "models.net",
    }  # fmt: skip
    assert set(found.data) == {"tasks/core/rows/bands.toml"}
    assert set(found.packages) == {"numpy"}
    assert set(closure("tasks.split", tree).modules) == {"tasks", "tasks.split"}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tasks/core/raster.py", "SCALE = 2", "SCALE = 1"),
        ("tasks/core/rows/bands.toml", "red = 1", "red = 2"),
        ("models/net.py", "8", "16"),
        ("requirements.lock", "numpy==2.4.6", "numpy==2.4.7"),
        ("tasks/core/__init__.py", "", "import json\n"),
    ],
)
def test_a_change_of_what_is_reached_changes_the_hash_and_leaves_other_modules_alone(
    tree: Path, edit: Callable, name: str, old: str, new: str
) -> None:
    before, other = code("tasks.chips", tree), code("tasks.split", tree)
    edit(name, old, new)
    assert code("tasks.chips", tree) != before
    assert code("tasks.split", tree) == other


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tasks/core/raster.py", "SCALE = 2", "# what a step is worth\n\nSCALE = 2  # of 1"),
        ("tasks/chips.py", '"""Make chips."""', '"""Make the chips of a sensor."""'),
        ("tasks/core/rows/bands.toml", "red = 1", "# of Sentinel-2\nred = 1"),
        ("tasks/chips.py", "def run", "if TYPE_CHECKING:\n    from tasks import split\n\ndef run"),
        ("requirements.lock", "pyyaml==6.0.3", "pyyaml==6.0.4"),
        ("tasks/split.py", "SIZE = 4", "SIZE = 5"),
    ],
)
def test_comments_docstrings_types_and_what_is_not_reached_change_nothing(
    tree: Path, edit: Callable, name: str, old: str, new: str
) -> None:
    before = code("tasks.chips", tree)
    edit(name, old, new)
    assert code("tasks.chips", tree) == before


def test_a_program_that_is_started_by_its_name_is_reached(tree: Path, edit: Callable) -> None:
    edit("tasks/split.py", "SIZE = 4", 'COMMAND = ["python", "-m", "tasks.core.raster"]')
    assert "tasks.core.tables" in closure("tasks.split", tree).modules


@pytest.mark.parametrize("asked", ['find_spec("numpy")', 'files("numpy")', 'import_module("numpy.linalg")'])
def test_a_package_that_is_found_by_its_name_is_reached(tree: Path, edit: Callable, asked: str) -> None:
    edit("tasks/split.py", "SIZE = 4", f"SIZE = {asked}")
    assert set(closure("tasks.split", tree).packages) == {"numpy"}


def test_an_import_whose_name_only_the_run_would_tell_is_refused_by_its_line(tree: Path, edit: Callable) -> None:
    edit("tasks/core/raster.py", "SCALE = 2", "import importlib\nSCALE = importlib.import_module(NAME).SCALE")
    with pytest.raises(CodeError, match=r"raster\.py, line \d: `importlib\.import_module\(NAME\)`"):
        code("tasks.chips", tree)


def test_a_package_that_the_lock_does_not_name_is_refused(tree: Path, edit: Callable) -> None:
    edit("tasks/core/raster.py", "import numpy as np", "import numpy as np\nimport rasterio")
    with pytest.raises(CodeError, match=r"tasks\.core\.raster imports rasterio, which .*requirements\.lock"):
        code("tasks.chips", tree)


def test_a_module_that_is_not_there_and_one_that_does_not_parse_are_named(tree: Path, edit: Callable) -> None:
    with pytest.raises(CodeError, match=r"no module tasks\.chip"):
        code("tasks.chip", tree)
    edit("tasks/split.py", "SIZE = 4", "SIZE = (")
    with pytest.raises(CodeError, match=r"split\.py, line 3"):
        code("tasks.split", tree)


def test_what_files_say_is_kept_by_their_content_and_found_out_again_where_that_is_damaged(
    tree: Path, edit: Callable
) -> None:
    first = code("tasks.chips", tree)
    kept = tree / ".earthloom/syntax.json"
    assert code("tasks.chips", tree) == first and "tasks.core.tables.read" in kept.read_text()
    times = (tree / "tasks/core/raster.py").stat()
    edit("tasks/core/raster.py", "SCALE = 2", "SCALE = 3")
    os.utime(tree / "tasks/core/raster.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = code("tasks.chips", tree)
    assert changed != first
    for damage in (kept.read_text()[:-20], "[]", kept.read_text().replace(": [", ": [1, "), '{"reader": 1}'):
        kept.write_text(damage)
        assert code("tasks.chips", tree) == changed


def test_every_data_file_of_ours_is_reached_by_a_module_beside_or_above_it() -> None:
    modules = [path for top in ("tasks", "models") for path in (ROOT / top).rglob("*.py")]
    packages = {path.parent for path in modules}
    for folder in packages:
        files = list(data_files(folder))
        asking = [path for path in folder.glob("*.py") if "__file__" in path.read_text()]
        assert not files or asking, f"{folder} holds {files[0].name}, but no module there asks for its place"


@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_every_supported_python_gives_the_same_hash(version: str) -> None:
    script = "from tasks.core.code import closure; print(closure('tasks.core.code').hash)"
    other = shutil.which(f"python{version}")
    # A shim of a version manager may be there without the version.
    if other is None or subprocess.run([other, "--version"], capture_output=True).returncode:
        pytest.skip(f"no Python {version} on this machine")
    done = subprocess.run([other, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == closure("tasks.core.code").hash
