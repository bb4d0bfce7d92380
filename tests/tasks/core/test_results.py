"""The cache of results: whole entries or none, checked when they are used."""

import os
import time
from pathlib import Path

import pytest

from tasks.core.results import Results
from tasks.core.stage import fingerprint

KEY = fingerprint("a scene")


def put(store: Results, key: str = KEY, text: str = "pixels") -> Path:
    with store.made(key) as draft:
        (draft.folder / "chips").write_text(text)
    return store.path(key)


def test_a_result_is_there_for_whoever_asks_by_the_same_key(tmp_path: Path) -> None:
    put(Results(tmp_path))
    found = Results(tmp_path).find(KEY)
    assert found is not None and (found / "chips").read_text() == "pixels"
    assert Results(tmp_path).find(fingerprint("another")) is None


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "no index"])
def test_a_damaged_result_is_named_and_made_again(tmp_path: Path, damage: str, caplog) -> None:
    store = Results(tmp_path)
    place = put(store)
    file = place / ("entry.json" if damage == "no index" else "chips")
    if damage in ("missing", "no index"):
        file.unlink()
    else:
        file.write_text("pix" if damage == "cut" else "pixelz")
    assert store.find(KEY) is None
    assert str(place) in caplog.text and "made again" in caplog.text
    assert (put(store) / "chips").read_text() == "pixels" and store.find(KEY) is not None


def test_what_fails_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    store = Results(tmp_path)
    with pytest.raises(OSError, match="disk"), store.made(KEY) as draft:
        (draft.folder / "chips").write_text("half")
        raise OSError("disk")
    assert store.find(KEY) is None and not list(tmp_path.iterdir())


def test_pruning_takes_what_was_used_longest_ago_until_the_rest_fits(tmp_path: Path) -> None:
    store = Results(tmp_path)
    keys = [fingerprint(number) for number in range(4)]
    now = time.time()
    for age, key in enumerate(keys):
        index = put(store, key, "x" * 1000) / "entry.json"
        os.utime(index, (now - 100 * age, now - 100 * age))
    pruned = store.prune(older_than=250)
    assert (pruned.removed, pruned.kept) == (1, 3) and store.path(keys[3]).exists() is False
    pruned = store.prune(most=pruned.held * 2 // 3)
    assert (pruned.removed, pruned.kept) == (1, 2) and pruned.freed > 1000
    assert [store.find(key) is not None for key in keys] == [True, True, False, False]
