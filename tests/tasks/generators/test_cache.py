"""Answers are kept whole or not at all, by several processes at once, whatever ends them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import StorageError
from tasks.generators.asks import Answer, Ask, Picture
from tasks.generators.cache import AnswerCache

ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from pathlib import Path
from tasks.generators.asks import Answer
from tasks.generators.cache import AnswerCache
cache = AnswerCache(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    cache.put(f"{number:08d}", Answer("x" * 2000, prompt_tokens=number))
    print(number, flush=True)
"""


def writer(folder: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(last)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def test_what_was_put_is_there_again_and_the_first_answer_stays(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "new" / "folder")
    answer = Answer("Zürich 東京 \ud83d", "length", "", 12, 3)
    assert cache.get("a") is None
    assert cache.put("a", answer) == answer
    assert cache.put("a", Answer("another")) == answer
    cache.close()
    assert AnswerCache(tmp_path / "new" / "folder").get("a") == answer


def test_several_processes_write_at_once_and_none_loses_an_answer(tmp_path: Path) -> None:
    processes = [writer(tmp_path, first, first + 150) for first in (0, 100, 200)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    cache = AnswerCache(tmp_path)
    found = [cache.get(f"{number:08d}") for number in range(350)]
    assert [one.prompt_tokens for one in found if one] == list(range(350))


def test_a_process_that_is_killed_leaves_what_it_had_put_and_no_half_of_anything(tmp_path: Path) -> None:
    process = writer(tmp_path, 0, 10**6)
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    cache = AnswerCache(tmp_path)
    assert all(cache.get(f"{number:08d}") == Answer("x" * 2000, prompt_tokens=number) for number in said)


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(StorageError, match=r"answers\.sqlite cannot be used .* delete it"):
        AnswerCache(tmp_path)


def test_a_key_is_of_all_that_an_answer_depends_on_and_of_nothing_else() -> None:
    picture = Picture(bytes(12), 2, 2, 8, "true colour")
    ask = Ask("system", "user", (picture,), 1, 0.5, 0.9, 100, 1)
    before = ask.key("m", "r")
    assert picture.url.startswith("data:image/png;base64,") and ask.key("m", "r") == before
    others = [
        Ask("other", "user", (picture,), 1, 0.5, 0.9, 100, 1),
        Ask("system", "other", (picture,), 1, 0.5, 0.9, 100, 1),
        Ask("system", "user", (), 1, 0.5, 0.9, 100, 1),
        Ask("system", "user", (Picture(bytes(11) + b"x", 2, 2, 8, "true colour"),), 1, 0.5, 0.9, 100, 1),
        Ask("system", "user", (picture,), 2, 0.5, 0.9, 100, 1),
        Ask("system", "user", (picture,), 1, 0.6, 0.9, 100, 1),
        Ask("system", "user", (picture,), 1, 0.5, 0.8, 100, 1),
        Ask("system", "user", (picture,), 1, 0.5, 0.9, 200, 1),
        Ask("system", "user", (picture,), 1, 0.5, 0.9, 100, 2),
    ]
    others.append(Ask("system", "user", (Picture(bytes(12), 2, 2, 9, "true colour"),), 1, 0.5, 0.9, 100, 1))
    keys = {ask.key("m", "r"), ask.key("n", "r"), ask.key("m", "s"), *(other.key("m", "r") for other in others)}
    assert len(keys) == 3 + len(others)
