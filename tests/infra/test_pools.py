"""Base job templates: stored by a real Prefect server, rendered by the workers' own code, checked by the schemas of
Kubernetes and the types of Docker's client. Nothing here talks to Docker or Kubernetes.
"""

import asyncio
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
from docker.models.containers import _create_container_args
from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    PREFECT_WORKER_QUERY_SECONDS,
    temporary_settings,
)
from prefect_docker.worker import DockerWorkerJobConfiguration
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from flows.walking.limits import COMMAND_GRACE as GRACE
from tests.infra import checks

pytest_plugins = ["tests.flows.fixtures"]

RENDER = checks.INFRA / "pools/render.py"
IMAGE = "registry.example.org/earthloom:0.2.0-cpu"
CONFIGURATIONS = {"kubernetes": KubernetesWorkerJobConfiguration, "docker": DockerWorkerJobConfiguration}
SPOT = {
    "GKE": ("cloud.google.com/gke-spot", "true", True),
    "EKS": ("eks.amazonaws.com/capacityType", "SPOT", False),
    "AKS": ("kubernetes.azure.com/scalesetpriority", "spot", True),
}
"""By cloud, the label of its spot nodes, its value, and whether they bear a taint of that name."""

Rendered = Callable[..., Any]


def template(*arguments: str) -> dict[str, Any]:
    """What the command prints."""
    done = subprocess.run([sys.executable, RENDER, *arguments], capture_output=True, text=True, check=True)
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@flow(name="stage")
def stage() -> None:
    """Stands for any flow."""


@pytest.fixture
def rendered(server: str) -> Rendered:
    """Configuration of a flow run of a deployment on a pool with that template, as its worker works it out."""

    async def render(engine: str, made: dict[str, Any], variables: dict[str, Any]) -> Any:
        async with get_client() as client:
            pool = await client.create_work_pool(
                WorkPoolCreate(name=f"pool-{uuid4().hex}", type=engine, base_job_template=made)
            )
            flow_id = await client.create_flow(stage)
            deployment = await client.create_deployment(
                flow_id, name=pool.name, work_pool_name=pool.name, job_variables=variables
            )
            run = await client.create_flow_run_from_deployment(deployment)
            return await CONFIGURATIONS[engine].resolve_for_flow_run(
                run, client=client, work_pool=pool, worker_name="worker"
            )

    def call(engine: str, made: dict[str, Any], **variables: Any) -> Any:
        # A worker hands on every setting of Prefect that it has; those of the server are not a worker's.
        with temporary_settings(restore_defaults={PREFECT_SERVER_DATABASE_CONNECTION_URL}):
            return asyncio.run(render(engine, made, variables))

    return call


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_job_of_kubernetes_is_valid_and_not_root_and_holds_no_secret(rendered: Rendered, kind: str) -> None:
    job = rendered("kubernetes", template("kubernetes", kind, f"image={IMAGE}")).job_manifest
    checks.kubernetes(job)
    assert checks.lax(job) == [] and checks.literal_secrets(job) == []
    pod = pod_of(job)
    assert pod["containers"][0]["image"] == IMAGE
    assert pod["containers"][0]["args"] == ["prefect", "flow-run", "execute"]
    assert job["spec"]["backoffLimit"] == 0 and job["spec"]["ttlSecondsAfterFinished"] > 0
    assert pod["terminationGracePeriodSeconds"] > GRACE + 30, "ours, then Prefect's 30 s, then Kubernetes'"
    assert {"medium": "Memory"}.items() <= pod["volumes"][1]["emptyDir"].items()
    assert {"name": "EARTHLOOM_HOME", "value": "/var/lib/earthloom"} in pod["containers"][0]["env"]
    assert pod["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") == (1 if kind == "gpu" else None)


def test_a_preempted_job_is_rescheduled_by_prefect_and_not_repeated_by_kubernetes(rendered: Rendered) -> None:
    job = rendered("kubernetes", template("kubernetes", "gpu", f"image={IMAGE}")).job_manifest
    environment = {one["name"]: one.get("value") for one in pod_of(job)["containers"][0]["env"]}
    assert environment["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"


@pytest.mark.parametrize("cloud", SPOT)
def test_a_job_goes_to_spot_nodes_where_its_deployment_says_so(rendered: Rendered, cloud: str) -> None:
    label, value, tainted = SPOT[cloud]
    toleration = {"key": label, "operator": "Equal", "value": value, "effect": "NoSchedule"}
    spot = {"node_selector": {label: value}} | ({"tolerations": [toleration]} if tainted else {})
    made = template("kubernetes", "gpu", f"image={IMAGE}", "gpus=4", "runtime_class_name=nvidia")
    job = rendered("kubernetes", made, **spot, priority_class_name="low").job_manifest
    checks.kubernetes(job)
    pod = pod_of(job)
    assert pod["nodeSelector"] == {label: value}
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 4


def test_a_job_can_begin_with_an_empty_disk(rendered: Rendered) -> None:
    made = template("kubernetes", "cpu", f"image={IMAGE}", 'home_volume={"name": "home", "emptyDir": {}}')
    job = rendered("kubernetes", made).job_manifest
    checks.kubernetes(job)
    assert pod_of(job)["volumes"][0] == {"name": "home", "emptyDir": {}}


PLANTED = {
    "a field of the job in its pod": lambda pod: pod.update(parallelism=1),
    "a misspelt field": lambda pod: pod.update(nodeSelectors={"gpu": "yes"}),
    "a text where a number belongs": lambda pod: pod.update(terminationGracePeriodSeconds="two minutes"),
    "an impossible restart policy": lambda pod: pod.update(restartPolicy=True),
    "a volume without a name": lambda pod: pod["volumes"][1].pop("name"),
}


@pytest.mark.parametrize("error", PLANTED)
def test_an_error_that_is_planted_in_the_rendered_job_is_found(rendered: Rendered, error: str) -> None:
    job = copy.deepcopy(rendered("kubernetes", template("kubernetes", "gpu", f"image={IMAGE}")).job_manifest)
    PLANTED[error](pod_of(job))
    with pytest.raises(kubernetes_validate.ValidationError):
        checks.kubernetes(job)


def test_the_default_template_of_prefect_is_found_wanting(rendered: Rendered) -> None:
    job = rendered("kubernetes", KubernetesWorker.get_default_base_job_template(), image=IMAGE).job_manifest
    with pytest.raises(kubernetes_validate.ValidationError, match=r"completions.*parallelism.*unexpected"):
        checks.kubernetes(job)
    assert any("root" in found for found in checks.lax(job))


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_container_of_docker_is_one_that_its_client_can_ask_for(rendered: Rendered, kind: str) -> None:
    Secret(value="the-key").save("earthloom-s3-key", overwrite=True)
    Secret(value="the-secret").save("earthloom-s3-secret", overwrite=True)
    made = template("docker", kind, "image=earthloom:0.2.0-cpu")
    assert checks.literal_secrets(made) == [] and "the-secret" not in json.dumps(made)
    configuration = rendered("docker", made)
    asked = _create_container_args(
        {
            "image": configuration.image,
            "command": configuration.command,
            "environment": configuration.env,
            "network": configuration.networks[0],
            "volumes": configuration.volumes,
            "mem_limit": configuration.mem_limit,
            "privileged": configuration.privileged,
            "version": "1.47",
            **configuration.container_create_kwargs,
        }
    )
    host = asked["host_config"]
    assert asked["user"] == f"{checks.USER}:{checks.USER}" and host["CapDrop"] == ["ALL"] and not host.get("Privileged")
    assert host["ShmSize"] == (16 if kind == "gpu" else 2) * 2**30
    assert [one["Count"] for one in host.get("DeviceRequests", [])] == ([1] if kind == "gpu" else [])
    wanted = {"AWS_SECRET_ACCESS_KEY": "the-secret", "EARTHLOOM_HOME": "/var/lib/earthloom"}
    assert wanted.items() <= asked["environment"].items()


def test_an_argument_that_docker_does_not_know_is_found(rendered: Rendered) -> None:
    made = template("docker", "cpu", "image=earthloom:0.2.0-cpu")
    made["job_configuration"]["container_create_kwargs"]["gpus"] = "all"
    del made["variables"]["properties"]["env"]["default"]
    with pytest.raises(TypeError, match="gpus"):
        _create_container_args({"version": "1.47", **rendered("docker", made).container_create_kwargs})


def test_a_template_without_an_image_is_refused(rendered: Rendered) -> None:
    raw = json.loads((checks.INFRA / "pools/kubernetes.json").read_text())
    with pytest.raises(PrefectHTTPStatusError, match="image"):
        rendered("kubernetes", raw)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["podman", "cpu", f"image={IMAGE}"], "must be docker or kubernetes"),
        (["kubernetes", "tpu", f"image={IMAGE}"], "cpu or gpu"),
        (["kubernetes", "gpu", "gpus=2"], "image must be given"),
        (["kubernetes", "gpu", "image=earthloom:latest"], "not be latest"),
        (["kubernetes", "gpu", f"image={IMAGE}", "gpu=2"], "gpu is no variable of kubernetes.json"),
        (["kubernetes", "gpu", f"image={IMAGE}", "gpus"], "must be VARIABLE=VALUE"),
    ],
)
def test_what_cannot_be_rendered_is_refused_by_name(arguments: list[str], reason: str) -> None:
    done = subprocess.run([sys.executable, RENDER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and reason in done.stderr and done.stdout == ""


def test_prefect_wants_the_numbers_of_pods_on_the_job_or_in_the_pod_where_they_are_unknown(rendered: Rendered) -> None:
    made = template("kubernetes", "cpu", f"image={IMAGE}")
    job = made["job_configuration"]["job_manifest"]["spec"]
    del job["parallelism"], job["completions"]
    with pytest.raises(ValueError, match="/spec/template/spec/completions"):
        rendered("kubernetes", made)


def test_a_worker_hands_every_setting_that_it_has_to_its_jobs(rendered: Rendered) -> None:
    with temporary_settings({PREFECT_WORKER_QUERY_SECONDS: 7}):
        job = rendered("kubernetes", template("kubernetes", "cpu", f"image={IMAGE}")).job_manifest
    assert {"name": "PREFECT_WORKER_QUERY_SECONDS", "value": "7.0"} in pod_of(job)["containers"][0]["env"]


def test_a_block_is_refused_in_the_configuration_itself(rendered: Rendered) -> None:
    made = template("docker", "cpu", "image=earthloom:0.2.0-cpu")
    made["job_configuration"]["env"] = {"KEY": "{{ prefect.blocks.secret.earthloom-s3-key }}"}
    with pytest.raises(PrefectHTTPStatusError, match="undeclared"):
        rendered("docker", made)
