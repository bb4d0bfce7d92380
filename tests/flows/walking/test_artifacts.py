"""The tables that a walk leaves behind."""

import json
from pathlib import Path

from prefect.client.orchestration import get_client

from flows.recording.graph import InstanceOutcome
from flows.walking import artifacts
from tests.flows.toy import Walker

pytest_plugins = ["tests.flows.fixtures"]


def test_the_funnel_adds_up_over_the_sensors(tmp_path: Path) -> None:
    (tmp_path / "data/summary").mkdir(parents=True)
    for sensor, summary in {
        "landsat": {"candidates": 10, "kept": 6, "dropped": {"cloud": 3, "land": 1}},
        "sentinel-2": {"candidates": 20, "kept": 15, "dropped": {"cloud": 0, "labels": 5}},
    }.items():
        (tmp_path / f"data/summary/select@{sensor}.json").write_text(json.dumps(summary))
    rows = artifacts.funnel(tmp_path)
    assert rows[-1] == {
        "sensor": "all", "candidates": "30", "- cloud": "3", "- land": "1", "- labels": "5", "kept": "21",
    }  # fmt: skip
    assert rows[1]["- land"] == "0"


def test_scores_stand_beside_their_baselines(tmp_path: Path) -> None:
    (tmp_path / "data/evaluate/earthdial").mkdir(parents=True)
    scores = {
        "overall": {"n": 9, "accuracy": 0.75, "no_image": 0.5, "majority": 0.4},
        "by_type": {"presence": {"n": 9, "accuracy": 0.75, "majority": 0.4, "note": "x"}},
    }
    (tmp_path / "data/evaluate/earthdial/scores.json").write_text(json.dumps(scores))
    rows = artifacts.scores(tmp_path)
    assert rows[0] == {
        "model": "EarthDial, demo",
        "questions": "overall",
        "n": "9",
        "accuracy": "0.750",
        "no_image": "0.500",
        "majority": "0.400",
    }
    assert rows[1]["no_image"] == ""


def test_what_has_not_been_made_yet_is_left_out(tmp_path: Path) -> None:
    assert artifacts.funnel(tmp_path) == artifacts.scores(tmp_path) == []
    page = artifacts.markdown(
        "1 instances", {"Stages": artifacts.stages([InstanceOutcome("a", "failed", 1, "x|y\nz")]), "Scores": []}
    )
    assert "## Stages" in page and "Scores" not in page
    assert "| a | failed | 1.0 | x\\|y<br>z |" in page


def test_a_walk_leaves_its_artifacts_on_the_server(project: Path, walker: Walker) -> None:
    walker(project, "chips@red-b")
    with get_client(sync_client=True) as client:
        run = client.read_flow_runs(limit=1, sort="START_TIME_DESC")[0]
        found = client.request("POST", "/artifacts/filter", json={}).json()
    kept = {artifact["key"]: artifact for artifact in found if artifact["flow_run_id"] == str(run.id)}
    assert set(kept) == {"toy-stages", "toy-summary"}
    assert "| chips@red-b | ran |" in kept["toy-summary"]["data"]
