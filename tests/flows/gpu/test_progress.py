"""Progress of a stage as artifacts of a real server's run, while the stage writes its lines."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.gpu.progress import relayed
from flows.walking.artifacts import slug

pytest_plugins = ["tests.flows.fixtures"]


def step(work: Path, number: int, loss: float, **more: Any) -> None:
    """A line as training writes it."""
    work.mkdir(parents=True, exist_ok=True)
    line = {"step": number, "steps": 8, "loss": loss, "lr": 1e-4, "seconds": 60.0, "tokens_per_second": 5321.5, **more}
    with (work / "progress.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def artifacts(run: str) -> dict[str, Any]:
    """Of a flow run, by key; a doubled key is an error."""
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run)]))
        found = client.read_artifacts(artifact_filter=wanted)
    assert len({one.key for one in found}) == len(found)
    return {str(one.key): one for one in found}


def shown(work: Path, write: Callable[[Callable[[], dict[str, Any]]], None]) -> dict[str, Any]:
    """The artifacts of a flow that relays `work` while `write` runs; that can ask what there is meanwhile."""
    runs = []

    @flow(name="relay")
    def relay() -> None:
        run = str(flow_run.id)
        runs.append(run)
        with relayed(work, "train@1", every=0.01):
            write(lambda: artifacts(run))

    relay()
    return artifacts(runs[0])


def wait(condition: Callable[[], bool]) -> None:
    """Until it holds; the test's own time limit ends it."""
    while not condition():
        time.sleep(0.01)


def test_percent_and_loss_are_shown_while_it_runs_and_at_its_end(server: str, tmp_path: Path) -> None:
    def write(now: Callable[[], dict[str, Any]]) -> None:
        step(tmp_path, 1, 4.5)
        step(tmp_path, 2, 3.5)
        wait(lambda: len(now()) == 2)
        assert now()["progress-train-1"].data == 25
        assert "step 2 of 8, loss 3.5, 5,322 tokens/s, 6 min left" in now()["training-train-1"].description
        step(tmp_path, 3, 2.5)
        wait(lambda: now()["progress-train-1"].data == 37.5)
        step(tmp_path, 8, 1.5)

    found = shown(tmp_path, write)
    assert found["progress-train-1"].data == 100
    page = found["training-train-1"].data
    assert "step 8 of 8, loss 1.5" in page
    assert "| 3 | 2.5 | 0.0001 | 5,322 |" in page
    assert "`█▆▃▁` from 4.500 to 1.500, lowest 1.500" in page


def test_a_run_that_went_on_counts_each_step_once_and_half_a_line_waits(server: str, tmp_path: Path) -> None:
    for number, loss in ((1, 4.0), (2, 3.0), (3, 9.0), (2, 2.0)):
        step(tmp_path, number, loss)
    with (tmp_path / "progress.jsonl").open("a") as file:
        file.write('{"step": 3, "st')
    found = shown(tmp_path, lambda now: None)
    assert found["progress-train-1"].data == 25
    assert "from 4.000 to 2.000, lowest 2.000" in found["training-train-1"].data


def test_answers_are_shown_as_they_are_whatever_they_hold(server: str, tmp_path: Path) -> None:
    step(tmp_path, 8, 1.0)
    answers = [
        {"step": 4, "question": "old", "expected": "old", "answer": "old"},
        {"step": 8, "question": "What | is `it`?", "expected": "water", "answer": "<img src=x>\n# [a](b)" + "x" * 500},
    ]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    page = shown(tmp_path, lambda now: None)["training-train-1"].data
    assert "## Answers after step 8" in page
    assert "| `What \\| is 'it'?` | `water` | `<img src=x> # [a](b)xxx" in page
    assert "old" not in page
    assert len(page) < 2000


def test_a_stage_that_says_nothing_has_no_artifacts(server: str, tmp_path: Path) -> None:
    assert shown(tmp_path / "absent", lambda now: None) == {}


@pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow:FutureWarning")
def test_without_a_server_it_is_said_once_and_the_stage_goes_on(tmp_path: Path) -> None:
    step(tmp_path, 1, 1.0)
    said: list[str] = []
    logger = logging.Logger("relay")
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    # Outside of a flow: within one, Prefect would use the client that the flow has.
    away = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"})  # nothing listens there
    with away, relayed(tmp_path, "train@1", logger, every=0.01):
        wait(lambda: bool(said))
        step(tmp_path, 2, 1.0)
    assert len(said) == 1
    assert "progress cannot be shown just now (ConnectError" in said[0]


@pytest.mark.parametrize(("address", "key"), [("train@1", "train-1"), ("chips@Sentinel_2-a", "chips-sentinel-2-a")])
def test_a_key_has_lower_case_letters_digits_and_dashes_alone(address: str, key: str) -> None:
    assert slug(address) == key
