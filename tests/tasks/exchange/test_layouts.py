"""Every layout is read back with the library that others read it with, and holds what the data set holds."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.core import tables
from tasks.dialogue.conversations import load
from tasks.earth import geotiff
from tasks.exchange.exports.options import Options
from tasks.exchange.exports.run import LAYOUTS, Exported, export
from tasks.published.importer import import_all
from tests.conftest import ROOT
from tests.fixtures import exportable_dataset

datasets = pytest.importorskip("datasets")
Talks = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datasets.disable_progress_bars()
    return exportable_dataset.write(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Exported]]:
    folder = tmp_path_factory.mktemp("exports")
    options = Options(pixels=True, shard_bytes=600_000)
    return {form: (folder / form, export(form, data, folder / form, options)) for form in LAYOUTS}


@pytest.fixture(scope="module")
def written(data: Path) -> dict[str, Talks]:
    """What leaves, by split: conversation -> its turns without tags."""
    side = {row["chip_id"]: row["split"] for row in tables.read(data / "split/assignment.parquet").to_pylist()}
    found: dict[str, Talks] = {"train": {}, "val": {}, "test": {}}
    for path in sorted(data.glob("qa/*/*/conversations.parquet")):
        for row in tables.read(path).to_pylist():
            if side[row["chip_id"]] in found:
                turns = [(turn["question"], turn["answer"]) for turn in row["turns"]]
                found[side[row["chip_id"]]][row["conversation_id"]] = turns
    return found


def talks(rows: Any, identity: str, turns: str, names: tuple[str, str], speakers: tuple[str, str]) -> Talks:
    found: Talks = {}
    for row in rows:
        said = [(turn[names[0]], turn[names[1]]) for turn in row[turns]]
        assert [speaker for speaker, _ in said] == list(speakers) * (len(said) // 2)
        assert said[0][1].startswith("<image>\n") and sum(text.count("<image>") for _, text in said) == 1
        texts = [said[0][1].removeprefix("<image>\n"), *(text for _, text in said[1:])]
        found[row[identity]] = list(zip(texts[::2], texts[1::2], strict=True))
    return found


def shown(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_datasets_reads_the_parquet_with_decoded_pictures_and_every_split(
    exported: dict[str, tuple[Path, Exported]], written: dict[str, Talks], tmp_path: Path
) -> None:
    folder, _ = exported["huggingface"]
    found = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert set(found) == {"train", "validation", "test"}
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        rows = found[name]
        assert talks(rows, "conversation_id", "conversations", ("from", "value"), ("human", "gpt")) == written[split]
        assert isinstance(rows.features["image"], datasets.Image)
        assert rows[0]["image"].size == (64, 64) and rows[0]["image"].mode == "RGB"
        assert set(rows[0]["verdicts"]) == {"supported"}
        assert geotiff.decode(rows[0]["pixels"], what="chip").bands == tuple(rows[0]["bands"])
    assert len(list((folder / "data").glob("train-*-of-*.parquet"))) > 1, "the shards have a size"


def test_a_picture_is_stored_once_for_all_conversations_about_its_chip(
    exported: dict[str, tuple[Path, Exported]],
) -> None:
    pictures, stored, rows = {}, 0, 0
    for path in (exported["huggingface"][0] / "data").glob("*.parquet"):
        with pq.ParquetFile(path) as file:
            rows += file.metadata.num_rows
            for image, chip in zip(*(file.read()[name].to_pylist() for name in ("image", "chip_id")), strict=True):
                pictures[chip] = len(image["bytes"])
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            columns = [group.column(index) for group in groups for index in range(group.num_columns)]
            stored += sum(one.total_compressed_size for one in columns if one.path_in_schema == "image.bytes")
    assert rows == 3 * len(pictures)
    assert stored < 1.2 * sum(pictures.values())


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib's of its own code
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")  # mlcroissant's call of pandas
def test_croissant_is_valid_and_mlcroissant_reads_the_records_by_it(
    exported: dict[str, tuple[Path, Exported]], written: dict[str, Talks]
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    found = mlcroissant.Dataset(str(exported["huggingface"][0] / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    assert {one.uuid for one in found.metadata.record_sets} == set(written)
    records = list(found.records("val"))
    assert {record["val/conversation_id"].decode() for record in records} == set(written["val"])
    assert records[0]["val/image"].size == (64, 64)


def test_llava_s_json_is_one_list_a_split_and_its_pictures_are_there(
    exported: dict[str, tuple[Path, Exported]], written: dict[str, Talks], tmp_path: Path
) -> None:
    folder, _ = exported["llava"]
    for split, expected in written.items():
        rows = json.loads((folder / f"{split}.json").read_text())
        assert talks(rows, "id", "conversations", ("from", "value"), ("human", "gpt")) == expected
        assert all((folder / row["image"]).is_file() and (folder / row["pixels"]).is_file() for row in rows)
    files = {"train": str(folder / "train.json")}
    read = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path))["train"]
    pictures = read.map(lambda row: {"image": str(folder / row["image"])}).cast_column("image", datasets.Image())
    assert pictures[0]["image"].size == (64, 64)


@pytest.mark.parametrize(
    ("form", "column", "names", "speakers"),
    [
        ("sharegpt", "conversations", ("from", "value"), ("human", "gpt")),
        ("messages", "messages", ("role", "content"), ("user", "assistant")),
    ],
)
def test_sharegpt_and_messages_are_lines_that_dataset_info_describes(
    exported: dict[str, tuple[Path, Exported]], written: dict[str, Talks], tmp_path: Path,
    form: str, column: str, names: tuple[str, str], speakers: tuple[str, str],
) -> None:  # fmt: skip
    folder, _ = exported["sharegpt"]
    info = json.loads((folder / "dataset_info.json").read_text())
    for split, expected in written.items():
        entry = info[f"earthloom_{form}_{split}"]
        assert entry["columns"] == {"messages": column, "images": "images"}
        files = {split: str(folder / entry["file_name"])}
        rows = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path))[split]
        assert talks(rows, "id", column, names, speakers) == expected
        assert all(len(row["images"]) == 1 and (folder / row["images"][0]).is_file() for row in rows)


def test_earthdial_s_folders_load_with_datasets_and_come_back_through_our_own_importer(
    exported: dict[str, tuple[Path, Exported]], written: dict[str, Talks], tmp_path: Path
) -> None:
    folder, _ = exported["earthdial"]
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert len(names) == 6
    rows: Counter[str] = Counter()
    for name in names:
        read = datasets.load_from_disk(str(folder / name))
        rows[name.rpartition("_")[2]] += len(read)
        assert isinstance(read.features["png"], datasets.Image) and read[0]["png"].size == (64, 64)
    assert rows == {split: len(found) for split, found in written.items()}
    outcomes = import_all(folder, tmp_path / "in", [])
    assert sum(outcome.counts.kept for outcome in outcomes) == rows.total()
    for outcome in outcomes:
        split = outcome.name.rpartition("-")[2]
        assert not outcome.unreadable and not outcome.counts.rejected and not outcome.counts.repaired, outcome
        assert outcome.counts.kept == outcome.counts.rows
        for table in (tmp_path / "in" / outcome.name / "conversations").glob("part-*.parquet"):
            for row in tables.read(table).to_pylist():
                turns = load(row["conversations"])
                question = turns[0][0].partition("<image>\n")[2]
                assert [(question, turns[0][1]), *turns[1:]] in written[split].values()


def test_webdataset_reads_the_tars_chip_by_chip(
    exported: dict[str, tuple[Path, Exported]], written: dict[str, Talks], data: Path
) -> None:
    webdataset = pytest.importorskip("webdataset")
    folder, _ = exported["webdataset"]
    chips = {row["chip_id"]: row["pixels"] for path in data.glob("chips/*/*/shard*") for row in _rows(path)}
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        shards = sorted(str(path) for path in folder.glob(f"{name}-*.tar"))
        found: Talks = {}
        for sample in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode(
            webdataset.imagehandler("rgb8", extensions=["png"])
        ):
            chip = sample["json"]
            assert sample["png"].shape == (64, 64, 3)
            assert sample["tif"] == chips[chip["chip_id"]]
            found |= talks(chip["talks"], "conversation_id", "conversations", ("from", "value"), ("human", "gpt"))
        assert found == written[split]


def _rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tables.read(path, ["chip_id", "pixels"]).to_pylist()
    return found


def test_rustac_reads_the_stac_items_and_pystac_finds_each_of_them_valid(
    exported: dict[str, tuple[Path, Exported]], data: Path
) -> None:
    import pystac
    import rustac

    folder, done = exported["stac-geoparquet"]

    async def read() -> Any:
        return await rustac.read(str(folder / "items-00000.parquet"))

    items = asyncio.run(read())["features"]
    assert len(items) == sum(done.tally.chips.values())
    for found in items:
        # Schemas of extensions are fetched from the internet; STAC's own are part of pystac.
        assert pystac.Item.from_dict({**found, "stac_extensions": []}).validate()
        assert (data / found["properties"]["earthloom:shard"]).is_file()
        assets = {name: asset["href"] for name, asset in found["assets"].items()}
        assert shown((folder / assets["rendering"]).read_bytes()).shape == (64, 64, 3)
        pixels = geotiff.decode((folder / assets["pixels"]).read_bytes(), what="asset")
        assert list(pixels.bands) == found["properties"]["earthloom:bands"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", LAYOUTS)
def test_the_same_data_set_gives_the_same_bytes_in_another_process_and_names_no_place_of_this_machine(
    form: str, data: Path, exported: dict[str, tuple[Path, Exported]], tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from tasks.exchange.exports.run import Options, export; "
        "export(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Options(pixels=True, shard_bytes=600_000))"
    )
    command = [sys.executable, "-c", code, form, str(data), str(tmp_path / "again")]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True)
    first = contents(exported[form][0])
    assert contents(tmp_path / "again") == first
    places = (str(data).encode(), str(exported[form][0]).encode(), str(ROOT).encode())
    assert not any(place in content for place in places for content in first.values())
