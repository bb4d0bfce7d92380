"""Stage `code`: for every stage one small file with the hashes of the code it reaches; `tasks.core.code` says how.

Every other stage depends on its file and so runs again when its code has changed, and only then. The files are not
cached: a clone makes its own within a second.
"""

from pathlib import Path

from tasks.core import paths
from tasks.core.code import ROOT, Code, closures
from tasks.core.stage import Summary, main, write_json

FIRST = "code"
"""This stage, which has no file of its own: it depends on all code there is."""


def stages(root: Path = ROOT) -> list[str]:
    """Names of the stages: the modules right under `tasks`."""
    return sorted({path.stem for path in (root / "tasks").glob("[!_]*.py")} - {FIRST})


def reached(root: Path = ROOT) -> dict[str, Code]:
    """The code of every stage."""
    found = closures((f"tasks.{stage}" for stage in stages(root)), root)
    return {module.removeprefix("tasks."): code for module, code in found.items()}


def run() -> Summary:
    """Write the files."""
    found = reached()
    for stage, code in found.items():
        write_json(paths.code(stage), code.as_json())
    modules = {name for code in found.values() for name in code.modules}
    return {"stages": len(found), "modules": len(modules)}


if __name__ == "__main__":
    main(FIRST, run)
