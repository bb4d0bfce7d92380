"""`earthloom import llava|sharegpt|messages`: what becomes of good rows, and of every kind of bad one."""

import base64
import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import rasterio
from PIL import Image

from tasks import mixture
from tasks.core import paths, tables
from tasks.core.errors import ParamsError
from tasks.published.arrow_files import SourceError
from tasks.published.importer import ImportResult
from tasks.published.own import json_records
from tasks.published.own.conversations import import_conversations
from tasks.published.own.image_sources import MAX_DATA_URL, MAX_FILE
from tasks.published.own.json_records import MAX_RECORD
from tasks.published.samples import samples_of
from tasks.vlm.chip_reader import ChipReader
from tasks.vlm.image_file import DeclaredMetadata
from tasks.vlm.images import Normalisation
from tasks.vlm.samples import read_samples
from tests.conftest import ROOT
from tests.fixtures.small_dataset import write_dataset, write_params

CASE = ROOT.parent / "shared/field-cases/answers/llava_json"
ASK, SAY = {"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "Farmland."}


def picture(seed: int, kind: str = "PNG", mode: str = "RGB", **how: Any) -> bytes:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(20, 220, (48, 40, 3)).astype(np.uint8))
    out = io.BytesIO()
    image.convert(mode).save(out, kind, **how)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images: a.png, b.jpg, c.webp, and palette.png."""
    images = tmp_path / "in/images"
    images.mkdir(parents=True)
    (images / "a.png").write_bytes(picture(1))
    (images / "b.jpg").write_bytes(picture(2, "JPEG"))
    (images / "c.webp").write_bytes(picture(3, "WEBP"))
    (images / "palette.png").write_bytes(picture(4, mode="P"))
    return tmp_path / "in"


def write(folder: Path, rows: list[Any], name: str = "talks.json") -> Path:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)) if name.endswith("l") else json.dumps(rows))
    return path


def take(path: Path, form: str = "llava", sensor: str = "hr-rgb8", **how: Any) -> ImportResult:
    pixels = {name: how.pop(name) for name in ("scale", "offset", "unit") if name in how}
    return import_conversations(form, path, DeclaredMetadata(sensor, **pixels), out=path.parent.parent / "out", **how)


def conversations(outcome: ImportResult, path: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(path.parent.parent / "out" / outcome.name / "conversations").to_dicts()


def rejects(outcome: ImportResult, path: Path) -> list[tuple[int, str]]:
    table = tables.read(path.parent.parent / "out" / outcome.name / "rejects")
    return list(zip(table["row"].to_pylist(), table["reason"].to_pylist(), strict=True))


def refused(folder: Path, *rows: Any, form: str = "llava", **how: Any) -> list[str]:
    path = write(folder, list(rows))
    outcome = take(path, form, **how)
    assert not outcome.unreadable
    return [reason for _, reason in rejects(outcome, path)]


def llava(image: Any = "a.png", *turns: Any, **more: Any) -> dict[str, Any]:
    return {"id": "1", "image": image, "conversations": list(turns) or [ASK, SAY], **more}


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


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("gone.png", "missing-image"),
        ("../secret.png", "unsafe-path"),
        ("/etc/hostname", "unsafe-path"),
        ("C:\\a.png", "unsafe-path"),
        ("a\0.png", "unsafe-path"),
        ("link.png", "unsafe-path"),
        ("pipe.png", "missing-image"),
        ("file:///etc/hostname", "remote-image"),
        ("http://example.org/a.png", "remote-image"),
        ("x" * 5000, "missing-image"),
        (7, "wrong-type"),
        ([], "text-only"),
        (None, "text-only"),
        ("cut.png", "undecodable"),
        ("cut.webp", "undecodable"),
        ("page.html", "undecodable"),
        ("black.png", "constant-image"),
        ("bomb.png", "too-large"),
        ("both.png", "ambiguous-image"),
    ],
)
def test_an_image_that_is_not_there_or_not_allowed_refuses_its_row_alone(folder: Path, image: Any, reason: str) -> None:
    (folder.parent / "secret.png").write_bytes(picture(1))
    (folder / "images/link.png").symlink_to(folder.parent / "secret.png")
    os.mkfifo(folder / "images/pipe.png")
    (folder / "images/cut.png").write_bytes(picture(1)[:600])
    (folder / "images/cut.webp").write_bytes(picture(1, "WEBP")[:400])
    (folder / "images/page.html").write_text("<html>")
    (folder / "images/both.png").write_bytes(picture(1))
    (folder / "both.png").write_bytes(picture(2))
    Image.new("RGB", (8, 8)).save(folder / "images/black.png")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    (folder / "images/bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    path = write(folder, [llava(image), llava()])
    outcome = take(path)
    assert rejects(outcome, path) == [(0, reason)] and outcome.counts.kept == 1


def test_hostile_records_are_refused_one_by_one_and_the_others_are_kept(folder: Path) -> None:
    good = json.dumps(llava()).encode()
    bad = {
        "not-json": b'{"a": tru}',
        "not-text": good.replace(b"Farmland", b"Farm\xffland"),
        "duplicate-field": b'{"image": "a.png", "image": "b.jpg", "conversations": []}',
        "not-a-conversation": b'["no", "object"]',
        "missing-text": b'{"image": "a.png"}',
        "empty-conversation": b'{"image": "a.png", "conversations": []}',
        "unsupported": b'{"video": "a.mp4", "conversations": []}',
        "duplicate-row": good,
    }
    deep = b'{"image": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    half = good.replace(b"Farmland", b"\\ud800")
    records = [good, *bad.values(), deep, half, good.replace(b"Farmland", b"Cropland")]
    expected = [*bad, "not-json", "not-text"]
    for name, content in (("array.json", b"[" + b", ".join(records) + b"]\n"), ("lines.jsonl", b"\n".join(records))):
        path = folder / name
        path.write_bytes(content)
        outcome = take(path)
        assert [reason for _, reason in rejects(outcome, path)] == expected
        assert outcome.counts.kept == 2 and not outcome.unreadable


def test_a_raw_line_break_in_a_string_is_repaired(folder: Path) -> None:
    path = folder / "talks.json"
    path.write_text(json.dumps([llava()]).replace("\\n", "\n"))
    assert take(path).counts.repaired == {"control-character": 1}


def test_a_file_cut_short_keeps_what_came_before_and_is_named(folder: Path) -> None:
    path = write(folder, [llava("a.png"), llava("b.jpg"), llava("c.webp")])
    path.write_bytes(path.read_bytes()[:-40])
    outcome = take(path)
    assert outcome.counts.kept == 2 and "cut short" in outcome.unreadable["talks.json"]
    done = subprocess.run(
        [sys.executable, "-m", "earthloom", "import", "llava", path, "--sensor", "hr-rgb8", "--out", folder / "again"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_records_are_cut_at_the_same_places_whatever_is_read_at_a_time(tmp_path: Path, block: int) -> None:
    rows = [{"a": 'x "]},{[ \\" \\\\'}, {"b": [1, {"c": "\\"}]}, {}, {"d": "é\n"}]
    path = tmp_path / "rows.json"
    path.write_text(" [" + json.dumps(rows)[1:-1] + " ] ")
    whole = list(json_records.read_records(path))
    assert [json.loads(record or b"") for record in whole] == rows
    assert list(json_records.read_records(path, block)) == whole


def test_a_record_beyond_the_bound_is_passed_over(folder: Path) -> None:
    rows = [llava(), llava("b.jpg", note="x" * MAX_RECORD), llava("c.webp")]
    for name in ("talks.json", "talks.jsonl"):
        path = write(folder, rows, name)
        outcome = take(path)
        assert rejects(outcome, path) == [(1, "too-large")] and outcome.counts.kept == 2


def test_files_and_data_urls_beyond_their_bounds_are_refused(folder: Path) -> None:
    with (folder / "images/huge.tif").open("wb") as file:
        file.truncate(MAX_FILE + 1)  # a file of holes
    url = "data:image/png;base64," + "A" * MAX_DATA_URL
    assert refused(folder, llava("huge.tif"), llava(url)) == ["too-large", "too-large"]


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
