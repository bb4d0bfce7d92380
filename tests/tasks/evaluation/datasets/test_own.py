"""Benchmarks of one's own: a TOML row and files in a folder outside the package."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets import importer, own_rows, registry
from tasks.evaluation.datasets.samples import read_samples
from tasks.evaluation.datasets.status import folder_of, statuses

ROW = '[[benchmark]]\nname = "my-fields"\ntask = "vqa"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a row, two questions and a picture; the registry is as before afterwards."""
    monkeypatch.setenv(own_rows.VARIABLE, "")
    own = tmp_path / "mine"
    own.mkdir()
    (own / "fields.toml").write_text(ROW)
    Image.fromarray(np.full((8, 8, 3), 90, dtype=np.uint8)).save(own / "a.png")
    rows = [
        {"id": "1", "image": "a.png", "question": "Is it a field?", "answer": "yes", "type": "presence"},
        {"id": "2", "image": "../../secret.png", "question": "?", "answer": "no"},
    ]
    (own / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    registry.include(own)
    yield own
    monkeypatch.undo()
    for known in (registry.datasets, registry.benchmarks, registry._own_names):
        known.cache_clear()


def test_a_row_outside_the_package_is_listed_and_imported_as_the_built_in_ones(folder: Path, tmp_path: Path) -> None:
    row = registry.get("my-fields")
    status = next(one for one in statuses(tmp_path / "data") if one.benchmark.name == "my-fields")
    assert (status.state, status.source, status.folder) == ("files", "own", folder)
    done = importer.run(row, folder_of(row, tmp_path), tmp_path / "out")
    sample = next(read_samples(tmp_path / "out"))
    assert (done.samples, done.rejected) == (1, {"image_outside": 1})
    assert (sample.question, sample.references, sample.answer_type, sample.vqa_type) == (
        "[hr_rgb_0.5] <image>\n Is it a field?", ("yes",), "yes_no", "presence",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ROW + '[[benchmark.sources]]\noptions = { images = "../other" }\n', r"my-fields.*options.*leads out"),
        (ROW + '[[benchmark.sources]]\nneeds = ["/etc/*"]\n', r"needs.*'/etc/\*' leads out"),
        (ROW + 'dataset = "../x"\n', r"dataset: '../x' is not small letters"),
        (ROW + "colour = 1\n", r"fields.toml, my-fields: colour"),
        (ROW.replace('"vqa"', '"quiz"'), r"fields.toml, my-fields: task"),
        (ROW.replace("my-fields", "aid"), r"fields.toml, aid: the name stands twice"),
        (ROW + "oops\n", r"fields.toml is not TOML.*line 4"),
        ("[benchmarks]\n", r"does not know the table \[benchmarks\]"),
        (ROW + '[[benchmark.sources]]\nlike = "earthdial"\n', r"there is no \[shared.earthdial\]"),
    ],
)
def test_a_wrong_row_is_named_by_file_table_and_key(text: str, said: str, folder: Path) -> None:
    (folder / "fields.toml").write_text(text)
    registry.include(folder)
    with pytest.raises(BenchmarkError, match=said):
        registry.benchmarks()


def test_a_folder_without_rows_is_refused(tmp_path: Path, folder: Path) -> None:
    registry.include(tmp_path / "nowhere")
    with pytest.raises(BenchmarkError, match="is not a folder"):
        registry.benchmarks()
