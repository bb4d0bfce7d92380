"""What is new in a version of the dataset, counted from the files of both."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.exchange.changes import Read, changes, distance, scores


def version(root: Path, scenes: list[str], labels: list[str], chips: dict[str, int], pairs: int) -> Read:
    """A version of one sensor and two parts, as the stages write it."""
    folder = root / "data/scenes/landsat"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"id": scenes, "item": ["{}"] * len(scenes)}), folder / "items.parquet")
    folder = root / "data/labels/landsat/a"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"chip_id": ["x"] * len(labels), "label": labels}), folder / "labels.parquet")
    (root / "data/summary").mkdir()
    for part, count in chips.items():
        (root / f"data/summary/chips@landsat-{part}.json").write_text(json.dumps({"chips": count}))
        (root / f"data/summary/qa@landsat-{part}.json").write_text(json.dumps({"pairs": pairs}))

    def read(path: str) -> bytes | None:
        return (root / path).read_bytes() if (root / path).is_file() else None

    return read


def test_scenes_that_came_and_went_are_named_and_chips_pairs_and_labels_compared(tmp_path: Path) -> None:
    before = version(tmp_path / "1", ["A", "B"], ["forest", "forest", "water", "water"], {"a": 10, "b": 5}, 20)
    now = version(tmp_path / "2", ["B", "C", "D"], ["forest", "forest", "forest", "water"], {"a": 12, "b": 5}, 30)
    found = changes(["landsat"], ["a", "b"], now, before)
    assert found.headline() == "3 scenes (+2 -1), 17 chips (+2), 60 pairs (+20)"
    assert found.sensors[0].drift == pytest.approx(0.25)
    assert found.text().splitlines() == [
        "landsat: 3 scenes (+2 -1), 17 chips (+2), 60 pairs (+20), labels moved by 0.250",
        "",
        "Scenes added:",
        "  C",
        "  D",
        "",
        "Scenes gone:",
        "  A",
    ]


def test_a_first_version_is_all_new_and_has_no_drift(tmp_path: Path) -> None:
    now = version(tmp_path, ["A"], ["forest"], {"a": 3}, 4)
    found = changes(["landsat"], ["a"], now, lambda _path: None)
    assert found.headline() == "1 scenes (+1 -0), 3 chips (+3), 4 pairs (+4)"
    assert "moved" not in found.text()


def test_the_distance_of_labels_is_that_of_their_shares() -> None:
    assert distance({"a": 1}, {"a": 7}) == 0
    assert distance({"a": 1}, {"b": 7}) == 1
    assert distance({"a": 1, "b": 1}, {"a": 3, "b": 1}) == pytest.approx(0.25)


def test_a_model_is_described_by_its_scores_beside_their_controls() -> None:
    overall = {"accuracy": 0.36, "chips": 79, "ci95": [0.29, 0.43], "majority": 0.2, "n": 1347, "no_image": 0.25}
    content = json.dumps({"overall": overall, "by_modality": {"sar": overall | {"n": 47}}}).encode()
    assert scores({"data/evaluate/earthdial/scores.json": content}.get) == [
        "all: accuracy 0.360 of 1,347 questions; majority 0.200, no_image 0.250",
        "sar: accuracy 0.360 of 47 questions; majority 0.200, no_image 0.250",
    ]
    assert scores(lambda _path: None) == []
