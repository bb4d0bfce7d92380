"""Training over several nodes: by the pydantic models that Kubeflow Trainer publishes of its resources."""

import copy
from typing import Any

import pytest
from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob
from kubeflow_trainer_api.models.trainer_v1alpha1_training_runtime import TrainerV1alpha1TrainingRuntime
from pydantic import ValidationError

from flows.walking.limits import COMMAND_GRACE as GRACE
from tests.infra import checks

JOB = checks.documents(checks.INFRA / "kubernetes/trainjob.yaml")[0]
RUNTIME = checks.documents(checks.INFRA / "kubernetes/training-runtime.yaml")[0]
STEPS = {step["name"]: step for step in RUNTIME["spec"]["template"]["spec"]["replicatedJobs"]}


def lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """Paths of what was given and is not in what the models took over: they pass over fields that they do not know."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [p for key, value in given.items() for p in lost(value, kept.get(key), f"{path}/{key}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [p for i, (a, b) in enumerate(zip(given, kept, strict=True)) for p in lost(a, b, f"{path}/{i}")]
    return [] if given == kept else [path]


def by_models(manifest: dict[str, Any]) -> None:
    """Raise if the models do not take the manifest, whole."""
    model = TrainerV1alpha1TrainJob if manifest["kind"] == "TrainJob" else TrainerV1alpha1TrainingRuntime
    read = model.from_dict(manifest)
    assert read is not None
    gone = lost(manifest, read.to_dict())
    if gone:
        raise ValueError(f"unknown: {', '.join(gone)}")


@pytest.mark.parametrize("manifest", [JOB, RUNTIME], ids=lambda m: m["kind"])
def test_the_models_of_trainer_take_it_whole(manifest: dict[str, Any]) -> None:
    by_models(manifest)


def misspelt(job: dict[str, Any]) -> None:
    job["spec"]["trainer"]["numNode"] = 2


def removed(job: dict[str, Any]) -> None:
    job["spec"]["podTemplateOverrides"] = []


def text(job: dict[str, Any]) -> None:
    job["spec"]["trainer"]["numNodes"] = "two"


def nameless(job: dict[str, Any]) -> None:
    del job["spec"]["runtimeRef"]["name"]


@pytest.mark.parametrize("plant", [misspelt, removed, text, nameless])
def test_an_error_that_is_planted_is_found(plant: Any) -> None:
    wrong = copy.deepcopy(JOB)
    plant(wrong)
    with pytest.raises((ValidationError, ValueError)):
        by_models(wrong)


def test_every_step_is_a_valid_job_of_kubernetes() -> None:
    for name, step in STEPS.items():
        metadata = {"name": name, "labels": step["template"].get("metadata", {}).get("labels", {})}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": step["template"]["spec"]}
        checks.kubernetes(job)
        assert checks.lax(job) == [] and checks.literal_secrets(job) == []


def test_the_steps_follow_each_other_and_torchrun_runs_on_every_node() -> None:
    assert list(STEPS) == ["prepare", "node", "record"]
    assert [STEPS[name]["dependsOn"] for name in ("node", "record")] == [
        [{"name": "prepare", "status": "Complete"}],
        [{"name": "node", "status": "Complete"}],
    ]
    assert STEPS["node"]["template"]["metadata"]["labels"]["trainer.kubeflow.org/trainjob-ancestor-step"] == "trainer"
    container = STEPS["node"]["template"]["spec"]["template"]["spec"]["containers"][0]
    assert container["name"] == "node" and 'torchrun -m tasks.train --stage "$STAGE"' in container["args"][0]
    assert "secretRef" not in str(container), "training needs no key"


def test_training_has_shared_memory_and_time_for_a_last_checkpoint() -> None:
    pod = STEPS["node"]["template"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > GRACE
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}} in pod["volumes"]


def test_the_job_names_the_runtime_and_says_to_every_step_what_to_train() -> None:
    assert JOB["spec"]["runtimeRef"]["name"] == RUNTIME["metadata"]["name"]
    assert JOB["metadata"]["namespace"] == RUNTIME["metadata"]["namespace"]
    patches = JOB["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    given = {p["name"]: p["template"]["spec"]["template"]["spec"]["containers"][0]["env"] for p in patches}
    assert given == {"prepare": JOB["spec"]["trainer"]["env"], "record": JOB["spec"]["trainer"]["env"]}
    assert [one["name"] for one in JOB["spec"]["trainer"]["env"]] == ["REPOSITORY", "REVISION", "STAGE", "WORKSPACE"]
