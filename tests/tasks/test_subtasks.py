"""Stage `subtasks`: the mixture unchanged, and beside every turn what each expert learns of it."""

import contextlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from models.rsmoe.prompt import EXPERTS, SENTENCE
from tasks import mixture, subtasks
from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, SubtaskError
from tasks.dialogue import conversations
from tests.fixtures.small_dataset import write_dataset, write_params
from tests.tasks.dialogue.paragraphs import PARAGRAPHS

DETAILED = " ".join(sentence for sentence, _ in PARAGRAPHS[0])


def row(name: str, *turns: tuple[str, str, str]) -> dict[str, Any]:
    """A row of a mixture: (question, answer, type) turns about one image."""
    return {
        "sample_id": name, "chip_id": "a", "sensor": "s", "modality": "rgb", "images": [], "repeats": 2,
        "conversations": conversations.dump([(question, answer) for question, answer, _ in turns], ["[caption]"]),
        "question_types": [kind for _, _, kind in turns],
    }  # fmt: skip


def write_mixture(*rows: dict[str, Any]) -> None:
    """The last mixture in the current folder, nothing held out."""
    for split, some in (("train", rows), ("val", ()), ("test", ())):
        tables.write_rows(some, mixture.SCHEMA, paths.mixture("3") / f"{split}.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_params(tmp_path, ["sentinel-2"])
    return tmp_path


def test_rows_of_the_mixture_stay_as_they_are_and_every_turn_has_its_targets(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-2", "sentinel-1"))
    with contextlib.chdir(tmp_path):
        mixture.run("3")
        summary = subtasks.run()
        for split in mixture.SPLITS:
            before = tables.read(paths.mixture("3") / f"{split}.parquet")
            after = tables.read(paths.subtasks() / f"{split}.parquet")
            assert after.drop_columns("targets").equals(before)
            for one in after.to_pylist():
                assert [len(turn) for turn in one["targets"]] == [1] * len(one["question_types"])
            assert summary[split]["turns"] == sum(map(len, after["question_types"].to_pylist())) > 0
            assert sum(summary[split]["turns_by_expert"].values()) == summary[split]["turns"]
        first = (paths.subtasks() / "train.parquet").read_bytes()
        subtasks.run()
        assert (paths.subtasks() / "train.parquet").read_bytes() == first


def test_a_dialogue_has_one_list_of_targets_a_turn_and_the_summary_says_who_learns_what(folder: Path) -> None:
    turns = (
        ("Describe the image.", DETAILED, "detailed-caption"),
        ("Where are the sheds?", "east", "position"),
        ("Is it a rural place?", "no", "vqa"),
    )
    with contextlib.chdir(folder):
        write_mixture(row("one", *turns), row("two", ("Caption it.", "A marina.", "caption")))
        summary = subtasks.run()["train"]
        one, two = pq.read_table(paths.subtasks() / "train.parquet").to_pylist()
    caption, position, vqa = one["targets"]
    assert [target["expert"] for target in caption] == list(EXPERTS)
    assert sorted(s for t in caption for s in SENTENCE.split(t["text"])) == sorted(SENTENCE.split(DETAILED))
    assert position == [{"expert": "relation", "text": "east"}] and vqa == [{"expert": "theme", "text": "no"}]
    assert two["targets"] == [[{"expert": "theme", "text": "A marina."}]]
    assert summary["turns"] == 4 and summary["captions"] == 2 and summary["caption_sentences"] == 7
    assert summary["turns_without_expert"] == {"theme": 1, "object": 3, "relation": 2}
    assert summary["turns_by_words_of_the_question"] == {"vqa": 1}
    assert summary["share_of_sentences"] == {
        "object: rest": 0.2857, "relation: words": 0.2857, "theme: opening": 0.2857, "theme: words": 0.1429,
    }  # fmt: skip


def test_what_no_expert_is_known_for_stops_the_stage_and_leaves_nothing(folder: Path) -> None:
    with contextlib.chdir(folder):
        write_mixture(row("one", ("Is it wet?", "yes", "wetness")))
        with pytest.raises(SubtaskError, match="type 'wetness'"):
            subtasks.run()
        assert list(paths.subtasks().glob("*")) == []
        write_params(folder, ["sentinel-2"], subtasks={"types": {"wetness": "object"}})
        assert subtasks.run()["train"]["turns_by_expert"] == {"theme": 0, "object": 1, "relation": 0}


def test_a_mixture_without_a_training_sample_is_an_error(folder: Path) -> None:
    with contextlib.chdir(folder):
        write_mixture()
        with pytest.raises(EmptyStageError, match="mixture 3 has no training sample"):
            subtasks.run()
