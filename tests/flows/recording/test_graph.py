"""The graph read from dvc.yaml."""

from pathlib import Path

import pytest

from flows.recording import graph
from tasks.core.errors import FlowError
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]


def test_instances_stand_in_the_order_of_dvc_yaml_with_their_edges(template: Path) -> None:
    found = graph.read(template)
    assert [i.address for i in found.instances][:6] == [
        "check", "scenes@radar", "scenes@red", "scenes@blue", "chips@radar-a", "chips@radar-b",
    ]  # fmt: skip
    assert found.by_address["chips@red-a"].upstream == ("scenes@red",)
    assert len(found.by_address["split"].upstream) == 9
    assert found.by_address["chips@red-a"].cmd.startswith("python work.py chips data/chips/red/a/")
    assert "data/chips/red/a" in found.by_address["chips@red-a"].outs


def test_tags_say_where_an_instance_runs_and_which_catalog_it_reads(template: Path) -> None:
    found = graph.read(template).by_address
    assert found["train@1"].pool == "gpu" and found["train@1"].tags == ("gpu",)
    assert found["chips@red-a"].tags == ("cpu", "stac:toy")
    assert found["split"].tags == ("cpu",)


def test_a_plan_holds_the_targets_and_what_they_need(template: Path) -> None:
    found = graph.read(template)
    assert [i.address for i in found.plan(["chips@red-b"]).instances] == ["scenes@red", "chips@red-b"]
    assert [i.address for i in found.plan(["scenes"]).instances] == [
        "scenes@radar",
        "scenes@red",
        "scenes@blue",
    ]
    assert found.plan() == found
    assert found.downstream("scenes@blue") == (
        "chips@blue-a",
        "chips@blue-b",
        "chips@blue-c",
        "split",
        "train@1",
        "train@2",
    )


def test_an_unknown_target_is_answered_with_the_nearest_one(template: Path) -> None:
    with pytest.raises(FlowError, match=r"'chip' is neither a stage nor an instance.*did you mean 'chips'"):
        graph.read(template).plan(["chip"])


def test_a_graph_prints_itself_a_line_an_instance(template: Path) -> None:
    text = str(graph.read(template))
    assert "chips@red-b [cpu, stac:toy]  <- scenes@red" in text.splitlines()


def test_a_broken_dvc_yaml_is_an_error_for_people(project: Path) -> None:
    (project / "dvc.yaml").write_text(toy.PIPELINE.replace("${sensors.enabled}", "${censors}"))
    with pytest.raises(FlowError, match="censors"):
        graph.read(project)
