"""Run the notebooks of the tutorial and keep their outputs: `make tutorial`.

The outputs are committed, so that a reader of the repository sees them without a run; the same code gives the same
ones, and a test holds them to that.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial"


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run in its own folder; progress on stderr is left out.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=300, record_timing=False, coalesce_streams=True, resources=where)
    client.execute()
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                for form in ("text/html", "image/jpeg"):  # the same again as text and PNG
                    output.get("data", {}).pop(form, None)
            cell.metadata = nbformat.NotebookNode()
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    return notebook


def main() -> int:
    """Run every notebook of the tutorial and write it back."""
    for path in sorted(TUTORIAL.glob("*.ipynb")):
        nbformat.write(executed(path), path)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
