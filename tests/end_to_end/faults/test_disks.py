"""A full disk, a flipped bit and a scene that cannot be read."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.faults import books
from tests.end_to_end.faults.by_hand import Checkout
from tests.end_to_end.faults.drill import Hosts, rebuild, whole
from tests.end_to_end.faults.record import Row
from tests.end_to_end.faults.server import Server
from tests.end_to_end.faults.template import Template, git
from tests.fixtures import checkout

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
SIZE = "400m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "drill", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte of it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1))
    return filler


@pytest.mark.parametrize("when", ["before it starts", "while a command runs"])
def test_a_full_disk_fails_a_run_by_name_and_with_room_the_same_run_goes_through(
    when: str, row: Row, server: Server, mine: Template, host: Hosts, disk: Path
) -> None:
    row.fault, row.done = f"disk full {when}", "the file system of EARTHLOOM_HOME is filled, later there is room again"
    one = host("one", EARTHLOOM_HOME=str(disk))
    one.home = disk
    one.order("split")
    if when == "before it starts":
        filler = fill(disk)
    one.work("cpu")
    run = rebuild(server, mine)
    if when == "while a command runs":
        one.waiting("split")
        filler = fill(disk)
        one.release("split")
    ended = server.wait(run)
    row.states.append(" > ".join(server.states(run)))
    assert ended["state_name"] == "Failed", ended["state"]
    assert "no space left on device" in ended["state"]["message"].lower(), ended["state"]["message"]
    assert "Traceback" not in ended["state"]["message"]
    assert not books.versions(mine.origin, "split") and not books.damaged(disk / "cache")
    assert not server.untruths(run)
    filler.unlink()
    (one.orders / "split").unlink(missing_ok=True)
    row.happened = "fails, and says that no space is left; with room, the same run releases"
    whole(row, server, mine, server.wait(rebuild(server, mine)), one)


def test_a_flipped_bit_in_the_cache_is_found_and_the_object_is_fetched_or_made_again(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault = "a flipped bit in the cache"
    git(mine.origin, "branch", "again", "split")
    one = host("one")
    one.work("cpu")
    assert server.wait(rebuild(server, mine))["state_name"] == "Released"
    cache, flipped = one.home / "cache", 0
    for path in sorted((cache / "files/md5").glob("*/*")):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.unlink()
        path.write_bytes(content)
        path.chmod(0o444)
        flipped += 1
    row.done = (
        f"a bit of each of the {flipped} objects of the host's cache, by hand; the same commit is built once more"
    )
    run = rebuild(server, mine, "again")
    ended = server.wait(run)
    assert ended["state_name"] == "Released", f"{ended['state']}\n{one.log()}"
    row.happened = "hashed before use: damaged objects are thrown out, and fetched or made again"
    assert git(mine.origin, "show", "again:dvc.lock") == git(mine.origin, "show", "split:dvc.lock")
    left = books.damaged(cache)
    # What no step of the run has asked for lies there as it was.
    row.happened += f"; {len(left)} that nobody asked for stay"
    row.rows = books.rows(mine, "split", mine.store)
    assert row.rows[0] > 0 and row.rows[1:] == (0, 0)
    assert not books.damaged(mine.store)
    row.states.append(" > ".join(server.states(run)))
    row.left = one.left()
    assert not row.left and not server.untruths(run)


def test_a_scene_that_cannot_be_read_is_a_row_with_its_reason_and_no_row_of_another_is_lost(
    row: Row, tmp_path: Path
) -> None:
    row.fault, row.done = "a poisoned scene", "the file of one of Sentinel-1's scenes is cut short; it is scanned again"
    made = Checkout(checkout.make(tmp_path / "checkout", "sentinel-1"), tmp_path / "host")
    made.earthloom("flow", "rebuild", "--targets", "scan")
    before = windows(made.root)
    path = sorted((made.root / "samples/assets").rglob("S1A_IW_GRDH*/vv.tif"))[0]
    content = path.read_bytes()
    path.unlink()  # a link into the repository
    path.write_bytes(content[: len(content) // 3])
    scene = path.parent.name
    made.earthloom("flow", "rebuild", "--targets", "scan", "--force", "scan")
    rows = [row for part in "ab" for row in read(made.root, part, "quarantine")]
    assert {row["item_id"] for row in rows} == {scene} and all(row["detail"] for row in rows)
    after = windows(made.root)
    kept = [window for window in before if window["item_id"] != scene]
    row.happened = f"quarantined as `{rows[0]['reason']}`; the windows of the other scenes are there as before"
    assert len(kept) < len(before)
    row.rows = (len(after), sum(w not in after for w in kept), len(after) - len(kept))
    assert row.rows[1:] == (0, 0)
    row.left = made.left()
    assert not row.left


def read(root: Path, part: str, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(root / f"data/scan/sentinel-1/{part}/{name}.parquet").to_pylist()
    return rows


def windows(root: Path) -> list[dict[str, object]]:
    return [row for part in "ab" for row in read(root, part, "windows")]
