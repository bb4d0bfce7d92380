"""The folder of an export: whole or not there, never outside of itself, never over what someone else put there."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import polars as pl
import pytest

from tasks.core import tables
from tasks.core.errors import DamagedFileError, EmptyStageError, ExchangeError, MissingInputError
from tasks.dialogue import conversations
from tasks.earth import chip_schema
from tasks.exchange.exports.folder import MARK, building, check_own
from tasks.exchange.exports.names import file_name, picture_path
from tasks.exchange.exports.options import Options
from tasks.exchange.exports.run import LAYOUTS, export
from tests.conftest import ROOT
from tests.fixtures import exportable_dataset


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return exportable_dataset.write(tmp_path / "built", chips=8, sensors=("sentinel-2",))


def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_was(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ExchangeError, match="is not empty and no export of ours"):
        export("llava", data, out, Options())
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ExchangeError, match="is no folder"):
        export("llava", data, tmp_path / "link", Options())
    assert not list(target.iterdir())


def test_an_export_is_replaced_by_one_of_its_layout_only_and_only_while_it_is_untouched(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export("llava", data, out, Options(pixels=True))
    export("llava", data, out, Options())
    assert not (out / "pixels").exists() and check_own(out)["options"]["pixels"] is False
    with pytest.raises(ExchangeError, match="holds an export as 'llava'"):
        export("webdataset", data, out, Options())
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ExchangeError, match=r"'notes\.txt', which no export wrote"):
        export("llava", data, out, Options())
    assert (out / "notes.txt").read_text() == "mine"


def test_a_killed_export_leaves_nothing_at_its_place_and_the_next_one_gives_the_same_bytes(
    data: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    code = (
        "import os, signal, sys; from pathlib import Path; from tasks.exchange.exports.folder import building\n"
        "with building(Path(sys.argv[1]), 'llava', {}) as folder:\n"
        "    (folder / 'train.json').write_text('[')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", code, str(out)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists() and (tmp_path / ".out.partial/train.json").is_file()
    for place in (out, whole):
        export("llava", data, place, Options())
    assert not (tmp_path / ".out.partial").exists()
    files = {path.relative_to(whole) for path in whole.rglob("*") if path.is_file()}
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} == files
    assert all((out / name).read_bytes() == (whole / name).read_bytes() for name in files)


def test_an_export_that_fails_leaves_the_earlier_one_as_it_was(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export("huggingface", data, out, Options())
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for part in ("a", "b"):
        (data / f"labels/sentinel-2/{part}/licences.json").write_text('{"labels": {}, "scenes": {}}')
    with pytest.raises(ExchangeError, match="nothing says under which licence sentinel-2-scenes, synthetic may leave"):
        export("huggingface", data, out, Options())
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_two_exports_to_one_place_at_once_are_refused(tmp_path: Path) -> None:
    partial = tmp_path / ".out.partial"
    partial.mkdir()
    with (partial / MARK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ExchangeError, match="another process exports to"), building(tmp_path / "out", "llava", {}):
            pass


def test_an_export_that_was_killed_while_it_took_its_place_is_begun_anew(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export("llava", data, out, Options())
    before = sorted(path.name for path in out.rglob("*"))
    shutil.copytree(out, tmp_path / ".out.old")
    out.rename(tmp_path / ".out.partial")  # whole, and not yet at its place
    export("llava", data, out, Options())
    assert sorted(path.name for path in out.rglob("*")) == before
    assert not (tmp_path / ".out.partial").exists() and not (tmp_path / ".out.old").exists()


@pytest.mark.parametrize("kind", ["partial", "old"])
def test_a_hidden_folder_of_someone_else_in_the_way_is_not_emptied(kind: str, tmp_path: Path) -> None:
    (tmp_path / f".out.{kind}").mkdir()
    (tmp_path / f".out.{kind}/precious").write_text("mine")
    with pytest.raises(ExchangeError, match="is in the way"), building(tmp_path / "out", "llava", {}):
        pass
    assert (tmp_path / f".out.{kind}/precious").read_text() == "mine"


@pytest.mark.parametrize("identity", ["../../etc/passwd", "/absolute", "a/b", "..", "", "x.tar", "é\n", "-rf", "C:\\x"])
def test_an_id_never_becomes_a_path_and_no_two_ids_share_a_name(identity: str) -> None:
    name = file_name(identity)
    assert not set(name) & set("/\\.\n:") and not name.startswith("-") and name.isascii()
    path = Path(picture_path(identity))
    assert not path.is_absolute() and ".." not in path.parts and len(path.parts) == 3
    assert file_name(identity) != file_name(identity + "!") and file_name("a.b") != file_name("a_b")


@pytest.mark.parametrize("form", LAYOUTS)
def test_chips_with_ids_that_lead_elsewhere_stay_inside_the_export(form: str, data: Path, tmp_path: Path) -> None:
    evil = "../../../escaped.png"
    for path in [*data.glob("chips/*/*/shard-*"), *data.glob("qa/*/*/conv*"), data / "split/assignment.parquet"]:
        rows = tables.read(path).to_pylist()
        named = [{**row, "chip_id": row["chip_id"].replace("sentinel-2-a-000", evil)} for row in rows]
        tables.write_rows(named, tables.read(path).schema, path, group=3)
    before = {path for path in tmp_path.rglob("*") if tmp_path / "out" not in path.parents}
    export(form, data, tmp_path / "out" / "deep", Options(pixels=True))
    assert {path for path in tmp_path.rglob("*") if tmp_path / "out" not in path.parents} - before == {tmp_path / "out"}
    for path in (tmp_path / "out").rglob("*.tar"):
        with tarfile.open(path) as tar:
            assert all("/" not in name and ".." not in name for name in tar.getnames())


def test_what_is_left_out_has_a_row_with_its_reason(data: Path, tmp_path: Path) -> None:
    path = data / "qa/sentinel-2/a/conversations.parquet"
    rows = tables.read(path).to_pylist()
    rows[0]["conversations"] = rows[0]["conversations"].replace("<image>", "<image> <image>")
    tables.write_rows(rows, conversations.SCHEMA, path)
    done = export("llava", data, tmp_path / "out", Options(), splits=("train", "val"))
    left = pl.read_parquet(tmp_path / "out/left_out.parquet")
    assert dict(left["reason"].value_counts().iter_rows()) == done.left_out == {
        "several-images": 1, "buffer": 6, "test": 6,
    }  # fmt: skip
    assert left.filter(pl.col("reason") == "several-images")["conversation_id"].to_list() == [
        rows[0]["conversation_id"]
    ]
    assert left.height + sum(done.tally.conversations.values()) == 48
    with pytest.raises(EmptyStageError, match="no conversation is left to export"):
        empty = [{**row, "split": "buffer"} for row in tables.read(data / "split/assignment.parquet").to_pylist()]
        schema = tables.read(data / "split/assignment.parquet").schema
        tables.write_rows(empty, schema, data / "split/assignment.parquet")
        export("llava", data, tmp_path / "other", Options())
    assert not (tmp_path / "other").exists()


def test_tables_that_do_not_fit_each_other_are_refused_by_name(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="--sensor landsat: the data set has sentinel-2"):
        export("llava", data, tmp_path / "out", Options(), sensors=("landsat",))
    with pytest.raises(MissingInputError, match="holds no conversations"):
        export("llava", tmp_path, tmp_path / "out", Options())
    path = data / "qa/sentinel-2/a/conversations.parquet"
    rows = tables.read(path).to_pylist()
    tables.write_rows([*rows[1:], rows[0]], conversations.SCHEMA, path)
    with pytest.raises(DamagedFileError, match="stands in two places"):
        export("llava", data, tmp_path / "out", Options())
    tables.write_rows([{**row, "chip_id": "nowhere"} for row in rows], conversations.SCHEMA, path)
    with pytest.raises(MissingInputError, match="chip nowhere is on no side of the split"):
        export("llava", data, tmp_path / "out", Options())
    for shard in data.glob("chips/*/*/shard-*"):
        placeless = [{**row, "geometry": None} for row in tables.read(shard).to_pylist()]
        tables.write_rows(placeless, chip_schema.SCHEMA, shard, group=3)
    tables.write_rows(rows, conversations.SCHEMA, path)
    with pytest.raises(ExchangeError, match="has no place or no time"):
        export("stac-geoparquet", data, tmp_path / "out", Options())
