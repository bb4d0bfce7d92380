"""The tutorial notebook runs as it stands and says what it was committed with."""

from pathlib import Path

import nbformat
import pytest

from infra.site.notebook import TUTORIAL, executed


def shown(notebook: nbformat.NotebookNode) -> list[str]:
    """Texts of the outputs; of a picture that there is one."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return ["picture" if "image/png" in output.get("data", {}) else _text(output) for output in outputs]


def _text(output: nbformat.NotebookNode) -> str:
    return str(output.get("text") or output["data"]["text/plain"])


@pytest.mark.slow
def test_the_tutorial_runs_and_its_outputs_are_those_of_the_repository() -> None:
    (path,) = TUTORIAL.glob("*.ipynb")
    committed = nbformat.read(path, as_version=4)
    again = executed(path)
    assert shown(again) == shown(committed), "renew them: make tutorial"
    assert shown(again).count("picture") == 2
    text = "".join(shown(again))
    for said in ("kept", "contradicted", '"Polygon"', "sentinel-2", "after extraction"):
        assert said in text
    assert not Path("boxes.geojson").exists()
