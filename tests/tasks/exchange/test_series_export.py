"""Conversations about several images leave in every layout that can hold them, and are counted where it cannot."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core import tables
from tasks.exchange.exports.options import Options
from tasks.exchange.exports.run import export
from tests.fixtures import exportable_dataset

datasets = pytest.importorskip("datasets")
SIDES = ("train", "val", "test")
Talks = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datasets.disable_progress_bars()
    return exportable_dataset.write_with_series(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def written(data: Path) -> dict[str, Talks]:
    """Side -> conversation about a series -> its turns without tags."""
    talks = tables.read_frame(data / "series/conversations.parquet")
    series = tables.read_frame(data / "series/series.parquet").select("split", chip_id="series_id")
    found: dict[str, Talks] = {side: {} for side in SIDES}
    for row in talks.join(series, on="chip_id").to_dicts():
        turns = [(turn["question"], turn["answer"]) for turn in row["turns"]]
        found[row["split"]][row["conversation_id"]] = turns
    assert all(found.values())
    return found


def read(rows: Any, identity: str, turns: str, names: tuple[str, str] = ("from", "value")) -> Talks:
    """Turns of rows that each show two images."""
    found: Talks = {}
    for row in rows:
        said = [turn[names[1]] for turn in row[turns]]
        assert said[0].startswith("<image> <image>\n") and sum(text.count("<image>") for text in said) == 2
        said[0] = said[0].removeprefix("<image> <image>\n")
        found[row[identity]] = list(zip(said[::2], said[1::2], strict=True))
    return found


def test_datasets_reads_them_as_a_configuration_with_a_list_of_pictures_beside_that_of_single_images(
    data: Path, written: dict[str, Talks], tmp_path: Path
) -> None:
    done = export("huggingface", data, tmp_path / "out", Options(pixels=True))
    found = datasets.load_dataset(str(tmp_path / "out"), "series", cache_dir=str(tmp_path / "cache"))
    for side, name in zip(SIDES, ("train", "validation", "test"), strict=True):
        rows = found[name]
        assert read(rows, "conversation_id", "conversations") == written[side]
        assert [picture.size for picture in rows[0]["images"]] == [(64, 64)] * 2 == [(64, 64)] * len(rows[0]["pixels"])
        assert {"sentinel-1"} <= {sensor for row in rows for sensor in row["sensors"]}
    single = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert "image" in single["train"].features and "images" not in single["train"].features
    assert sum(done.tally.series.values()) == tables.read(data / "series/series.parquet").num_rows
    card = (tmp_path / "out/README.md").read_text()
    assert "- config_name: series" in card and "18 series of such chips" in card


def test_llava_sharegpt_and_messages_have_lists_of_files_that_are_there(
    data: Path, written: dict[str, Talks], tmp_path: Path
) -> None:
    export("llava", data, tmp_path / "llava", Options(tags=True))
    export("sharegpt", data, tmp_path / "sharegpt", Options())
    info = json.loads((tmp_path / "sharegpt/dataset_info.json").read_text())
    for side in SIDES:
        rows = json.loads((tmp_path / f"llava/series-{side}.json").read_text())
        heads = {row["conversations"][0]["value"].partition("\n")[0].removeprefix("[changedet] ") for row in rows}
        assert heads <= {"[s1_vh_temp_10] <image> <image>", "[s1_vh_10] [s2_rgb_10] <image> <image>"}
        assert {row["id"] for row in rows} == set(written[side])
        assert all((tmp_path / "llava" / path).is_file() for row in rows for path in row["image"])
        assert all(isinstance(row["image"], str) for row in json.loads((tmp_path / f"llava/{side}.json").read_text()))
        for form, column, names in (
            ("sharegpt", "conversations", ("from", "value")),
            ("messages", "messages", ("role", "content")),
        ):
            path = tmp_path / "sharegpt" / info[f"earthloom_{form}_series-{side}"]["file_name"]
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            assert read(lines, "id", column, names) == written[side]
            assert all((tmp_path / "sharegpt" / name).is_file() for line in lines for name in line["images"])


def test_webdataset_has_a_sample_a_series_with_its_pictures_by_number(
    data: Path, written: dict[str, Talks], tmp_path: Path
) -> None:
    webdataset = pytest.importorskip("webdataset")
    export("webdataset", data, tmp_path / "out", Options(pixels=True))
    found: Talks = {}
    for sample in webdataset.WebDataset(
        str(tmp_path / "out/series-train-000000.tar"), shardshuffle=False, empty_check=False
    ):
        assert {"0.png", "1.png", "0.tif", "1.tif", "json"} <= set(sample)
        found |= read(json.loads(sample["json"])["talks"], "conversation_id", "conversations")
    assert found == written["train"]


def test_what_a_layout_of_one_picture_a_row_or_a_sensor_alone_cannot_hold_has_a_row_each_and_is_counted(
    data: Path, written: dict[str, Talks], tmp_path: Path
) -> None:
    done = export("earthdial", data, tmp_path / "earthdial", Options())
    rows = tables.read_frame(tmp_path / "earthdial/left_out.parquet").filter(reason="several-images")
    assert done.left_out["several-images"] == rows.height == sum(map(len, written.values()))
    assert "a row of the layout 'earthdial' has one" in rows["detail"][0]
    alone = export("llava", data, tmp_path / "llava", Options(), ["sentinel-1"], ["train"])
    left = tables.read_frame(tmp_path / "llava/left_out.parquet")
    kept = json.loads((tmp_path / "llava/series-train.json").read_text())
    assert {row["sensor"] for row in kept} == {"sentinel-1"}
    both = left.filter(reason="sensor")
    assert both.height == alone.left_out["sensor"] == len(written["train"]) - len(kept) > 0
    assert "which --sensor does not name" in both["detail"][0]
    sides = left.filter(pl.col("conversation_id").is_in([*written["val"], *written["test"]]))
    assert set(sides["reason"]) == {"val", "test"} and sides.height == len(written["val"]) + len(written["test"])
