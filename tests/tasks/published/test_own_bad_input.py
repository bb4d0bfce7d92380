"""Bad rows, hostile files and images of `earthloom import llava`: refused one by one, and the others kept."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.published.own import json_records
from tasks.published.own.image_sources import MAX_DATA_URL, MAX_FILE
from tasks.published.own.json_records import MAX_RECORD
from tests.conftest import ROOT
from tests.fixtures.own_conversations import images_in, llava, picture, refused, rejects, take, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images."""
    return images_in(tmp_path)


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
    path.write_text('\ufeff{\n "rows" :\n [' + json.dumps(rows)[1:-1] + '], "info": [1]}')
    assert list(json_records.read_records(path, block, under="rows")) == whole
    path.write_text(json.dumps({"rows": [1]}) + "\n")  # a line of its own, where no such object is asked for
    assert list(json_records.read_records(path, block)) == [b'{"rows": [1]}']


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
