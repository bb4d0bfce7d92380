"""The manifests of Kubernetes: by the schemas of its versions, and by what keeps one pod from another."""

import copy
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect_kubernetes.settings import KubernetesSettings

from flows.walking.limits import COMMAND_GRACE as GRACE
from tests.infra import checks

FOLDER = checks.INFRA / "kubernetes"
TRAINER = ("trainjob.yaml", "training-runtime.yaml")
FILES = sorted(p.name for p in FOLDER.glob("*.yaml") if p.name not in (*TRAINER, "kustomization.yaml"))
MANIFESTS = [(name, manifest) for name in FILES for manifest in checks.documents(FOLDER / name)]
KUSTOMIZATION = checks.documents(FOLDER / "kustomization.yaml")[0]


def find(kind: str, name: str) -> dict[str, Any]:
    return next(m for _, m in MANIFESTS if m["kind"] == kind and m["metadata"]["name"] == name)


def label(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


@pytest.mark.parametrize("manifest", [m for _, m in MANIFESTS], ids=label)
def test_a_manifest_is_valid_and_restricted_and_pinned(manifest: dict[str, Any]) -> None:
    checks.kubernetes(manifest)
    assert checks.lax(manifest) == [] and checks.literal_secrets(manifest) == []
    assert all(checks.IMAGE.fullmatch(image) for image in checks.images(manifest))
    assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "earthloom"


PLANTED = [
    ("Deployment", "server", ["spec", "template", "spec", "containers", 0, "readinessProbe", "httpGett"], {"port": 1}),
    ("StatefulSet", "database", ["spec", "volumeClaimTemplates", 0, "spec", "accessModes"], "ReadWriteOnce"),
    ("Role", "earthloom-worker", ["rules", 0, "verb"], ["get"]),
    ("NetworkPolicy", "store", ["spec", "ingress", 0, "ports", 0, "port"], {"number": 8333}),
    ("Service", "model-internvl", ["spec", "ports", 0, "port"], "http"),
]


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"), PLANTED, ids=[f"{kind}-{name}" for kind, name, *_ in PLANTED]
)
def test_an_error_that_is_planted_is_found(kind: str, name: str, path: list[Any], value: Any) -> None:
    wrong = copy.deepcopy(find(kind, name))
    node = wrong
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        checks.kubernetes(wrong)


def test_a_lax_pod_and_a_literal_secret_that_are_planted_are_found() -> None:
    wrong = copy.deepcopy(find("Deployment", "server"))
    pod = wrong["spec"]["template"]["spec"]
    pod["securityContext"]["runAsNonRoot"] = False
    pod["containers"][0]["securityContext"]["privileged"] = True
    pod["containers"][0]["env"].append({"name": "AWS_SECRET_ACCESS_KEY", "value": "hunter2"})
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    assert len(checks.lax(wrong)) == 3 and len(checks.literal_secrets(wrong)) == 1


def test_the_namespace_itself_refuses_pods_that_are_not_restricted() -> None:
    assert find("Namespace", "earthloom")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_everything_that_is_applied_together_is_listed() -> None:
    assert set(KUSTOMIZATION["resources"]) == set(FILES) - {"model-servers.yaml"}
    assert KUSTOMIZATION["namespace"] == "earthloom" and KUSTOMIZATION["images"][0]["name"] == "earthloom"


def test_images_of_the_project_have_its_version() -> None:
    version = re.search(r'(?m)^version = "(.+)"$', (checks.ROOT / "pyproject.toml").read_text())
    named = {image for path in FOLDER.glob("*.yaml") for d in checks.documents(path) for image in checks.images(d)}
    ours = {image.rpartition("/")[2] for image in named if re.search(r"(^|/)earthloom:", image)}
    assert version is not None and ours == {f"earthloom:{version[1]}-cpu", f"earthloom:{version[1]}-cuda"}


def test_one_version_of_each_foreign_image_is_named_everywhere() -> None:
    compose = yaml.safe_load((checks.INFRA / "compose.yaml").read_text())
    here = {image for _, m in MANIFESTS for image in checks.images(m) if image.startswith("docker.io/")}
    there = {image for image in checks.images(compose) if image.startswith("docker.io/")}
    assert here == there and len(here) == 3


def test_jobs_name_the_secret_of_the_api_and_do_not_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("cpu", "gpu"):
        container = find("Deployment", f"worker-{kind}")["spec"]["template"]["spec"]["containers"][0]
        for one in container["env"]:
            if "value" in one:
                monkeypatch.setenv(one["name"], one["value"])
        settings = KubernetesSettings()
        key = next(one["valueFrom"] for one in container["env"] if one["name"] == "PREFECT_API_AUTH_STRING")
        named = (settings.worker.api_auth_string_secret_name, settings.worker.api_auth_string_secret_key)
        assert key == {"secretKeyRef": dict(zip(("name", "key"), named, strict=True))}
        assert settings.observer.namespaces == {"earthloom"}
        assert {"--base-job-template", f"/etc/earthloom/{kind}.json"} <= set(container["args"])


def test_a_worker_may_touch_jobs_of_its_namespace_and_nothing_else() -> None:
    assert not any(m["kind"].startswith("Cluster") for _, m in MANIFESTS)
    rules = find("Role", "earthloom-worker")["rules"]
    changes = {(tuple(rule["resources"])) for rule in rules if {"create", "patch", "delete", "*"} & set(rule["verbs"])}
    assert changes == {("jobs",)}
    assert find("ServiceAccount", "earthloom-job")["automountServiceAccountToken"] is False


def test_every_pod_is_reached_by_those_only_whom_a_policy_names() -> None:
    policies = {m["metadata"]["name"]: m["spec"] for _, m in MANIFESTS if m["kind"] == "NetworkPolicy"}
    assert policies.pop("nobody") == {"podSelector": {}, "policyTypes": ["Ingress"]}
    selected = {p["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for p in policies.values()}
    serving = {m["spec"]["selector"]["app.kubernetes.io/component"] for _, m in MANIFESTS if m["kind"] == "Service"}
    assert serving <= selected
    s3, behind = policies["store"]["ingress"]
    assert s3["ports"] == [{"port": 8333}] and "ports" not in behind


def test_pods_have_longer_to_end_than_what_they_run() -> None:
    for _, manifest in MANIFESTS:
        for _, pod in checks.pods(manifest):
            if manifest["kind"] == "Deployment" and manifest["metadata"]["name"].startswith("worker"):
                assert pod["terminationGracePeriodSeconds"] > GRACE + 30
