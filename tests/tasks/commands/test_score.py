"""`earthloom score` at the prompt: what is piped is whole, and a missing file is said at once."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "earthloom", "score", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_table_that_is_piped_is_whole_and_nothing_else_is_said(tmp_path: Path) -> None:
    name = "a class with a long name, which no window of eighty columns would show to its very end, but a pipe does"
    path = tmp_path / "answers.jsonl"
    path.write_text(
        json.dumps({"answer": "x", "a very long name of a field that is not known here": 1, "annotation": name})
    )
    done = _run(str(path), "--task", "vqa", "--bootstrap", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout
    assert "…" not in done.stdout


def test_a_missing_file_of_any_flag_is_said(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"answer": "yes", "annotation": "yes"}\n')
    done = _run(str(path), "--task", "vqa", "--truth", str(tmp_path / "gone.json"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "gone.json is not there" in done.stderr
