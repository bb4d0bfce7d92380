"""`earthloom import llava|sharegpt|messages`: what becomes of good rows, and of every kind of bad one."""

import base64
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from tasks import mixture
from tasks.core import paths, tables
from tasks.core.errors import ParamsError
from tasks.published.arrow_files import SourceError
from tasks.published.own.conversations import import_conversations
from tasks.published.samples import samples_of
from tasks.vlm.chip_reader import ChipReader
from tasks.vlm.image_file import DeclaredMetadata
from tasks.vlm.images import Normalisation
from tasks.vlm.samples import read_samples
from tests.conftest import ROOT
from tests.fixtures.own_conversations import (
    ASK,
    SAY,
    conversations,
    images_in,
    llava,
    picture,
    rejects,
    take,
    write,
)
from tests.fixtures.small_dataset import write_dataset, write_params

CASE = ROOT.parent / "shared/field-cases/answers/llava_json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images."""
    return images_in(tmp_path)


@pytest.mark.skipif(not CASE.is_dir(), reason="the field's cases are not beside the checkout")
def test_the_field_s_geochat_folder_is_imported_by_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "earthloom", "import", "llava", CASE, "--sensor", "hr-rgb8", "--out", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [row] = samples_of(tmp_path / "llava-json")
    assert json.loads(row["conversations"])[0]["value"] == "[hr_rgb_0.5] <image>\nWhat is it?"
    summary = json.loads((tmp_path / "llava-json/summary.json").read_text())
    assert (summary["kept"], summary["repaired"], summary["modality"]) == (1, {}, "rgb")


def test_llava_s_images_and_placeholders_come_out_with_the_sensor_s_head(folder: Path) -> None:
    two = {"from": "human", "value": "Compare <image> with <image>."}
    later = [{"from": "human", "value": "Hello"}, SAY, ASK, SAY]
    bracket = {"from": "human", "value": "<image>\n[vqa] Is <p>it</p> [1] field?"}
    rows = [
        llava(),
        llava(["b.jpg", "images/c.webp"], two, SAY),
        llava("palette.png", *later),
        llava("a.png", bracket, SAY),
    ]
    path = write(folder, rows)
    outcome = take(path)
    talks = conversations(outcome, path)
    assert not rejects(outcome, path) and outcome.counts.repaired == {"image-slot-moved": 1, "mode-converted": 1}
    heads = [json.loads(talk["conversations"])[0]["value"] for talk in talks]
    assert heads[1] == "[hr_rgb_0.5]\nCompare <image> with <image>."
    assert heads[2] == "[hr_rgb_0.5] <image>\nHello"
    assert heads[3] == "[hr_rgb_0.5] <image>\n[vqa] Is <p>it</p> [1] field?"
    assert [len(talk["chips"]) for talk in talks] == [1, 2, 1, 1]
    # The same image twice is one chip.
    assert talks[0]["chips"] == talks[3]["chips"] and outcome.counts.chips == 4


def test_sharegpt_s_forms_are_read(folder: Path) -> None:
    named = [{"from": "user", "value": "<image>What?"}, {"from": "assistant", "value": "A field."}]
    roles = [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A lake."}]
    alpaca = {"instruction": "<image>What?", "input": "Be brief.", "output": "A road.", "history": [["Hi", "Hello"]]}
    rows = [
        {"conversations": named, "images": ["a.png"]},
        {"messages": roles, "images": ["a.png"]},
        {**alpaca, "images": ["b.jpg"]},
        {"conversations": [{"from": "system", "value": "Be kind."}, ASK, SAY], "images": ["a.png"]},
        {"conversations": [ASK, SAY], "images": ["a.png"], "chosen": "x"},
    ]  # fmt: skip
    path = write(folder, rows, "talks.jsonl")
    outcome = take(path, "sharegpt")
    assert rejects(outcome, path) == [(4, "unsupported")]
    assert outcome.counts.repaired == {"image-slot-moved": 1, "system-dropped": 1}
    assert [talk["turns"][-1]["answer"] for talk in conversations(outcome, path)] == [
        "A field.",
        "A lake.",
        "A road.",
        "Farmland.",
    ]
    assert take(path, "sharegpt", strict=True).counts.kept == 2


def test_messages_take_data_urls_and_paths_and_refuse_addresses_by_name(folder: Path) -> None:
    def ask(*parts: Any) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": list(parts)}, {"role": "assistant", "content": "Yes."}]}

    text = {"type": "text", "text": "Is it green?"}
    url = "data:image/png;base64," + base64.b64encode(picture(9)).decode()
    plain = [{"role": "user", "content": "<image>Is it?"}, {"role": "assistant", "content": "No."}]
    rows = [
        ask({"type": "image_url", "image_url": {"url": url}}, text),
        ask(text, {"type": "image", "image": "a.png"}),
        {"messages": plain, "images": ["a.png"]},
        ask({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, text),
        ask({"type": "image_url", "image_url": {"url": "data:text/html;base64,aGk="}}, text),
        ask({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}, text),
        ask({"type": "input_audio", "input_audio": {}}, text),
        ask(text),
        {"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}], "images": ["a.png"]},
    ]  # fmt: skip
    path = write(folder, rows, "talks.jsonl")
    outcome = take(path, "messages")
    assert outcome.counts.kept == 3
    reasons = [reason for _, reason in rejects(outcome, path)]
    assert reasons == ["remote-image", "undecodable", "undecodable", "unsupported", "text-only", "unsupported"]


def test_a_geotiff_is_read_by_the_sensor_s_bands_and_a_picture_for_it_is_refused(folder: Path) -> None:
    bands = ["B02", "B03", "B04", "B08"]
    pixels = np.random.default_rng(1).integers(300, 3000, (4, 32, 32)).astype(np.uint16)
    with rasterio.open(
        folder / "images/s.tif", "w", driver="GTiff", dtype="uint16", count=4, height=32, width=32, crs="EPSG:32631",
        transform=rasterio.transform.from_origin(500000, 5000000, 10, 10),
    ) as out:  # fmt: skip
        out.write(pixels)
        out.descriptions = bands
        out.update_tags(acquisition_date="2020-06-01")
    path = write(folder, [llava("s.tif"), llava("a.png")])
    outcome = take(path, sensor="sentinel-2", scale=0.0001)
    assert outcome.counts.kept == 1 and rejects(outcome, path) == [(1, "wrong-bands")]
    [chip, *_] = tables.read_shards(folder.parent / "out/talks/chips").to_pylist()
    assert chip["bands"] == ["B04", "B03", "B02", "B08"] and chip["datetime"].year == 2020
    first = next(samples_of(folder.parent / "out/talks"))
    assert (first["modality"], first["images"][0]["bands"]) == ("ms", ["B04", "B03", "B02", "B08"])
    assert first["conversations"].count("[s2_ms_10]") == 1
    rgb = take(path, sensor="sentinel-2", scale=0.0001, modality="rgb", name="rgb")
    assert rgb.counts.kept == 2 and next(samples_of(folder.parent / "out/rgb"))["images"][0]["bands"] == bands[2::-1]
    assert [reason for _, reason in rejects(take(path, sensor="sentinel-2", name="bare"), path)] == [
        "out-of-range",
        "wrong-type",
    ]


def test_a_grey_picture_is_three_equal_bands_and_a_turned_one_is_flagged(folder: Path) -> None:
    (folder / "images/grey.png").write_bytes(picture(5, mode="L"))
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / "images/turned.jpg").write_bytes(picture(6, "JPEG", exif=exif.tobytes()))
    outcome = take(write(folder, [llava("grey.png"), llava("turned.jpg")]))
    assert (outcome.counts.repaired, outcome.counts.flagged) == ({"grey-to-rgb": 1}, {"exif-orientation": 1})


def test_the_same_import_again_makes_nothing_until_an_image_changes(folder: Path) -> None:
    path = write(folder, [llava("a.png"), llava("gone.png")])
    first, second = take(path), take(path, jobs=2)
    assert (first.made, second.made) == (2, 0) and first.counts == second.counts
    (folder / "images/gone.png").write_bytes(picture(8))
    third = take(path)
    assert third.made == 2 and third.counts.kept == 2


def test_another_import_s_folder_is_not_overwritten(folder: Path) -> None:
    path = write(folder, [llava("a.png")])
    take(path)
    with pytest.raises(SourceError, match="give another --name"):
        take(path, "sharegpt")
    for name in ("..", "a/b"):
        with pytest.raises(ParamsError, match="--name"):
            take(path, name=name)
    with pytest.raises(ParamsError, match="--sensor hr-rgb9"):
        take(path, sensor="hr-rgb9")


@pytest.mark.parametrize("form", ["llava", "sharegpt", "messages"])
def test_every_form_joins_a_mixture_and_is_read_as_training_reads_it(tmp_path: Path, folder: Path, form: str) -> None:
    talk = {"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A field."}
    row = llava() if form == "llava" else {"messages": list(talk), "images": ["a.png"]}
    path = write(folder, [row])
    write_dataset(tmp_path, 8, ("sentinel-1",))
    with contextlib.chdir(tmp_path):
        import_conversations(form, path, DeclaredMetadata("hr-rgb8"), name="mine", out=paths.imported(""))
        write_params(tmp_path, ["sentinel-1"], mixture={"stage3": {"imported": {"mine": 2}}})
        mixture.run("3")
        samples = [s for s in read_samples(paths.mixture("3") / "train.parquet") if s.sensor == "hr-rgb8"]
        assert [sample.repeats for sample in samples] == [2]
        normalise = Normalisation.from_stats({"hr-rgb8": paths.imported_stats("3", "hr-rgb8")})
        [image] = ChipReader(normalise, 28, 4).images(samples[0])
        assert bool(image.pixels.isfinite().all())
