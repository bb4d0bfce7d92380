"""The manifests of the Dask cluster: pods by the schemas of Kubernetes, within the bounds of all others."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.core.fan_out import DASK
from tasks.core.results import VARIABLE
from tests.infra import checks

MANIFESTS = checks.documents(checks.INFRA / "dask/cluster.yaml")
(CLUSTER,) = [manifest for manifest in MANIFESTS if manifest["kind"] == "DaskCluster"]


def pod(part: str) -> dict[str, Any]:
    """What the operator makes of a part of the cluster."""
    meta = {"name": part, "namespace": CLUSTER["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": CLUSTER["spec"][part]["spec"]}


PLAIN = [manifest for manifest in MANIFESTS if manifest is not CLUSTER]


def label(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


@pytest.mark.parametrize("manifest", [*PLAIN, pod("worker"), pod("scheduler")], ids=label)
def test_a_manifest_is_valid_and_restricted_and_pinned(manifest: dict[str, Any]) -> None:
    checks.kubernetes(manifest)
    assert checks.lax(manifest) == [] and checks.literal_secrets(manifest) == []
    assert all(checks.IMAGE.fullmatch(image) for image in checks.images(manifest))


def test_the_service_leads_to_the_scheduler_and_the_page_names_its_address_and_the_cache() -> None:
    scheduler = CLUSTER["spec"]["scheduler"]
    (container,) = scheduler["spec"]["containers"]
    assert scheduler["service"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    page = (checks.ROOT / "docs/how-to/dask.md").read_text()
    (worker,) = CLUSTER["spec"]["worker"]["spec"]["containers"]
    cache = next(one["value"] for one in worker["env"] if one["name"] == VARIABLE)
    assert f"{DASK}=tcp://{CLUSTER['metadata']['name']}-scheduler:8786" in page and f"{VARIABLE}={cache}" in page
    assert cache in [mount["mountPath"] for mount in worker["volumeMounts"]]


@pytest.mark.parametrize("part", ["worker", "scheduler"])
def test_what_the_manifests_start_is_installed_and_knows_its_flags(part: str) -> None:
    (container,) = CLUSTER["spec"][part]["spec"]["containers"]
    program, *words = container["args"]
    command = [Path(sys.executable).with_name(program), words[0], "--help"]
    known = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert words[0] == part and all(word in known for word in words if word.startswith("--"))
