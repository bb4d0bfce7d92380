"""`earthloom export push` against a stand-in of the hub's API on loopback, with the hub's own client."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.exchange.exports.options import Options
from tasks.exchange.exports.run import export
from tests.conftest import ROOT
from tests.fixtures import exportable_dataset
from tests.fixtures.hub_uploads import LARGE, TOKEN, serve_uploads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("push")
    data = exportable_dataset.write(place, chips=8, sensors=("sentinel-2",))
    export("huggingface", data, place / "out", Options())
    return place / "out"


def push(folder: Path, endpoint: str, token: str | None, *more: str) -> subprocess.CompletedProcess[str]:
    own = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "COLUMNS": "300"}
    environment = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
    environment |= {**own, "PYTHONPATH": str(ROOT), **({"HF_TOKEN": token} if token else {})}
    command = [sys.executable, "-m", "earthloom", "export", "push", str(folder), "someone/chips", *more]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_an_export_arrives_whole_in_one_commit_small_files_inside_it_and_large_ones_over_lfs(folder: Path) -> None:
    with serve_uploads() as hub:
        for _ in range(2):  # the second time the repository is there
            done = push(folder, hub.endpoint, TOKEN, "--private")
            assert done.returncode == 0, done.stdout + done.stderr
            assert f"{hub.endpoint}/datasets/someone/chips/commit/" in done.stderr
    sent = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert hub.files == sent
    assert hub.repos["someone/chips"]["type"] == "dataset" and hub.repos["someone/chips"]["visibility"] == "private"
    assert hub.commits[0] == "Earthloom export as huggingface"
    large = {content for content in sent.values() if len(content) >= LARGE}
    assert large and set(hub.objects.values()) == large


def test_without_a_token_of_the_environment_nothing_is_sent(folder: Path, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    stored.write_text(TOKEN)
    with serve_uploads() as hub:
        done = push(folder, hub.endpoint, None)
    assert done.returncode == 1 and "HF_TOKEN is not set" in done.stdout + done.stderr
    assert not hub.repos


@pytest.mark.parametrize(("token", "said"), [("hf_wrong", "401"), (TOKEN, "403")])
def test_a_hub_that_refuses_is_named_with_what_to_look_at_and_the_token_is_not_shown(
    folder: Path, token: str, said: str
) -> None:
    with serve_uploads() as hub:
        hub.refuse_commits = True
        done = push(folder, hub.endpoint, token)
    assert done.returncode == 1
    shown = done.stdout + done.stderr
    assert f"the hub refused someone/chips ({said}" in shown and "HF_TOKEN" in shown
    assert token not in shown and "Traceback" not in shown


def test_a_hub_that_is_not_there_and_a_folder_that_is_no_export_are_refused(folder: Path, tmp_path: Path) -> None:
    with serve_uploads() as hub:
        gone = hub.endpoint
    done = push(folder, gone, TOKEN)
    assert done.returncode == 1 and "the hub does not answer" in done.stdout + done.stderr
    done = push(tmp_path, gone, TOKEN)
    assert done.returncode == 1 and "is no finished export" in done.stdout + done.stderr
