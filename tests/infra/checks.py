"""What the tests of `infra/` ask of every manifest, whoever rendered it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
VERSIONS = ("1.31", kubernetes_validate.latest_version())
"""Of Kubernetes: the oldest whose schemas know all that is used here, and the newest."""

USER = 10001
SECRET = re.compile(r"(?i)(password|passwd|secret|token|auth_string|access_key|api_key|credential|connection_url)")
NAME_OF_ONE = re.compile(r"PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_\w+_SECRET_(NAME|KEY)")
IMAGE = re.compile(r"[\w./:-]+(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})")


def documents(path: Path) -> list[dict[str, Any]]:
    """The YAML documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def kubernetes(manifest: dict[str, Any]) -> None:
    """Raise if a version of Kubernetes would not take the manifest, or would drop a field that it does not know."""
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def walk(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every mapping below a node, with its path."""
    if isinstance(node, dict):
        yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from walk(value, f"{path}/{key}")


def pods(manifest: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The pod specifications within a manifest."""
    return [(path, node) for path, node in walk(manifest) if isinstance(node.get("containers"), list)]


def lax(manifest: dict[str, Any]) -> list[str]:
    """What keeps pods from the `restricted` level of pod security, or leaves a container without bounds."""
    found = []
    for path, pod in pods(manifest):
        context = pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            found.append(f"{path}: may run as root")
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            found.append(f"{path}: no seccomp profile")
        if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
            found.append(f"{path}: shares the host's namespaces")
        found += [f"{path}: mounts the host's disk" for volume in pod.get("volumes", []) if "hostPath" in volume]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities") != {"drop": ["ALL"]}:
                found.append(f"{path}/{container['name']}: may gain rights")
            if own.get("privileged") or own.get("runAsUser") == 0:
                found.append(f"{path}/{container['name']}: runs as root")
            if "memory" not in container.get("resources", {}).get("limits", {}):
                found.append(f"{path}/{container['name']}: no limit of memory")
    return found


def literal_secrets(node: Any) -> list[str]:
    """Paths of values that stand where a secret should be asked for: by reference, or from the environment."""
    found = []
    for path, mapping in walk(node):
        name = str(mapping.get("name", ""))
        if SECRET.search(name) and not NAME_OF_ONE.fullmatch(name) and mapping.get("value"):
            found.append(f"{path}/{name}")
        for key, value in mapping.items():
            names_one = re.fullmatch(r"[A-Z0-9_]+", str(key)) and SECRET.search(str(key))
            if names_one and isinstance(value, str) and _is_literal(value):
                found.append(f"{path}/{key}")
    return found


def _is_literal(value: str) -> bool:
    """Whether anything but references is left: of a URL its password alone matters."""
    left = re.sub(r"\$\{[^}]*\}|\{\{[^}]*\}\}", "", value)
    return bool(re.search(r"://[^/]*:[^/@]+@", left) if "://" in left else left)


def images(node: Any) -> list[str]:
    """Every image that is named."""
    return [mapping["image"] for _, mapping in walk(node) if isinstance(mapping.get("image"), str)]
