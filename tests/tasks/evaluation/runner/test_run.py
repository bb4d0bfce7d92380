"""`earthloom evaluate` as a user runs it: killed, resumed, shared by processes."""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from earthloom import app
from tasks.core.errors import EarthloomError
from tests.tasks.evaluation.runner.runs import command, environment, evaluated, predictions, record_of, rsvqa

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FILES = ("predictions.parquet", "rejects.parquet", "run.json")
ASK = ("--benchmarks", "rsvqa-lr", "--controls", "other-image")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of 150 questions, which are three chunks."""
    folder = tmp_path_factory.mktemp("benchmarks")
    rsvqa(folder, images=6, each=25)
    return folder


@pytest.fixture(scope="module")
def done(root: Path, pictures_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of it, from beginning to end, one question at a time."""
    out = tmp_path_factory.mktemp("whole")
    finished = evaluated(root, out, str(pictures_model), *ASK, "--slots", "1")
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "rsvqa-lr" in finished.stdout and "majority" in finished.stdout and "other_image" in finished.stdout
    return out


def assert_same(out: Path, done: Path) -> None:
    for name in FILES:
        assert (out / "tiny/rsvqa-lr" / name).read_bytes() == (done / "tiny/rsvqa-lr" / name).read_bytes(), name


def test_answers_and_what_they_were_made_of_stand_in_the_run(done: Path) -> None:
    table = predictions(done, "tiny", "rsvqa-lr")
    assert len(table) == 150 and table["answer"].n_unique() > 1
    assert table["id"].to_list() == [str(number) for number in range(150)]
    assert table["prompt"][0].startswith("<|system|>") and "<image>" in table["prompt"][0]
    assert set(table["stop"]) <= {"end", "length"} and table["prompt_tokens"].min() > 16
    record = record_of(done, "tiny", "rsvqa-lr")
    assert record["n"] == 150 and record["rejected"] == {} and record["controls"]["other-image"]["n"] == 150
    assert len(record["asked"]["checkpoint"]) == 32 and record["code"]["hash"]


def test_a_run_that_is_killed_goes_on_and_ends_in_the_same_bytes(
    root: Path, pictures_model: Path, done: Path, tmp_path: Path
) -> None:
    line = [sys.executable, "-m", *command(root, tmp_path, str(pictures_model), *ASK, "--slots", "5")]
    first = tmp_path / "tiny/rsvqa-lr/.answers/answer/chunk-00000.parquet"
    with subprocess.Popen(line, env=environment(), stderr=subprocess.DEVNULL) as run:
        while not first.exists():
            assert run.poll() is None, "the run ended before it was killed"
            time.sleep(0.005)
        run.kill()
    assert not (tmp_path / "tiny/rsvqa-lr/predictions.parquet").exists()
    kept = first.stat().st_mtime_ns
    again = evaluated(root, tmp_path, str(pictures_model), *ASK, "--slots", "7")
    assert again.returncode == 0, again.stderr[-3000:]
    assert first.stat().st_mtime_ns == kept
    assert_same(tmp_path, done)


def test_two_processes_share_the_questions_and_leave_the_bytes_of_one(
    root: Path, pictures_model: Path, done: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    words = command(root, tmp_path, str(pictures_model), *ASK)
    line = [sys.executable, *torchrun, "--master-port", str(port), "-m", *words]
    run = subprocess.Popen(line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        shown, _ = run.communicate(timeout=280)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [*psutil.Process(run.pid).children(recursive=True), psutil.Process(run.pid)]:
                process.kill()
    assert run.returncode == 0, shown[-3000:]
    assert shown.count("majority_by_type") == 1
    assert_same(tmp_path, done)


def test_other_parameters_begin_a_run_anew_and_more_controls_go_on_with_it(
    root: Path, pictures_model: Path, done: Path, tmp_path: Path
) -> None:
    ask = [str(pictures_model), "--benchmarks", "rsvqa-lr"]
    first = tmp_path / "tiny/rsvqa-lr/.answers/answer/chunk-00000.parquet"
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    kept = first.stat().st_mtime_ns
    more = evaluated(root, tmp_path, *ask, "--controls", "greyed")
    assert more.returncode == 0 and first.stat().st_mtime_ns == kept
    assert "greyed_answer" in predictions(tmp_path, "tiny", "rsvqa-lr").columns
    other = evaluated(root, tmp_path, *ask, "--max-tiles", "1")
    assert "made anew" in other.stderr and first.stat().st_mtime_ns != kept
    assert "greyed_answer" not in predictions(tmp_path, "tiny", "rsvqa-lr").columns


def test_what_cannot_be_run_is_said_before_any_work(root: Path, pictures_model: Path, tmp_path: Path) -> None:
    for words, expected in (
        (("--benchmarks", "rsvqa-lr"), "one thing only"),
        ((str(pictures_model), "--benchmarks", "aid"), "earthloom bench import aid"),
        ((str(pictures_model), "--benchmarks", "aidd"), "did you mean aid"),
        ((str(tmp_path / "nothing"), "--benchmarks", "rsvqa-lr"), "is not a folder with a model"),
        ((str(pictures_model), "--benchmarks", "rsvqa-lr", "--name", "../x"), "cannot name a folder"),
    ):
        with pytest.raises(EarthloomError, match=re.escape(expected)):
            app(command(root, tmp_path / "out", *words)[1:])
    assert not (tmp_path / "out").exists()
    refused = evaluated(root, tmp_path / "out", "--benchmarks", "rsvqa-lr")
    assert refused.returncode != 0 and "one thing only" in " ".join(refused.stderr.split()), refused.stderr[-2000:]
