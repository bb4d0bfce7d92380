"""The compose file: by the schema of the Compose specification, and by what the project promises of it."""

import copy
import re
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from flows.walking.limits import COMMAND_GRACE as GRACE
from tests.infra import checks

COMPOSE = yaml.safe_load((checks.INFRA / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = ("server", "worker-cpu", "worker-gpu")
DEFAULT = re.compile(r"\$\{\w+:-([^{}]*)\}")


def by_schema(compose: dict[str, Any]) -> None:
    schema = get_builtin_schema("vendor.compose-spec")
    jsonschema.validators.validator_for(schema)(schema).validate(compose)


def test_the_file_is_valid() -> None:
    by_schema(COMPOSE)


@pytest.mark.parametrize(
    ("service", "field", "value"),
    [
        ("server", "healthchecks", {"test": ["CMD", "true"]}),
        ("server", "ports", [{"target": 4200, "publish": 4200}]),
        ("worker-gpu", "deploy", {"resources": {"reservations": {"devices": [{"count": "all"}]}}}),
        ("store", "restart", True),
        ("worker-cpu", "depends_on", {"server": {"condition": "healthy"}}),
    ],
)
def test_an_error_that_is_planted_is_found(service: str, field: str, value: Any) -> None:
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"][service][field] = value
    with pytest.raises(jsonschema.ValidationError):
        by_schema(wrong)


def test_images_are_pinned_and_ours_have_the_version_of_the_project() -> None:
    version = re.search(r'(?m)^version = "(.+)"$', (checks.ROOT / "pyproject.toml").read_text())
    assert version is not None
    for name, service in SERVICES.items():
        image = DEFAULT.sub(r"\1", service["image"])
        assert checks.IMAGE.fullmatch(image), name
        if name in OURS:
            assert f"/earthloom:{version[1]}-" in image and service["pull_policy"] == "never", name


def test_ports_are_on_loopback_unless_one_variable_says_otherwise() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published and all(p.startswith(("${EARTHLOOM_BIND:-127.0.0.1}:", "127.0.0.1:")) for p in published)
    assert not any("network_mode" in service or "privileged" in service for service in SERVICES.values())


def test_compose_does_not_start_while_a_secret_is_missing_and_the_file_holds_none() -> None:
    assert checks.literal_secrets(COMPOSE) == []
    server, store = SERVICES["server"]["environment"], SERVICES["store"]["environment"]
    asked = (
        server["PREFECT_SERVER_API_AUTH_STRING"],
        store["AWS_ACCESS_KEY_ID"],
        store["AWS_SECRET_ACCESS_KEY"],
        SERVICES["database"]["environment"]["POSTGRES_PASSWORD"],
        SERVICES["worker-cpu"]["environment"]["EARTHLOOM_REPOSITORIES"],
    )
    assert all(re.fullmatch(r"\$\{\w+:\?.+\}", value) for value in asked)


def test_a_literal_secret_that_is_planted_is_found() -> None:
    wrong = copy.deepcopy(SERVICES)
    wrong["store"]["environment"]["AWS_SECRET_ACCESS_KEY"] = "hunter2"
    wrong["server"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = (
        "postgresql://prefect:hunter2@database/prefect"
    )
    assert len(checks.literal_secrets(wrong)) == 2


def test_nothing_runs_as_root_or_without_bounds_or_is_not_started_again() -> None:
    for name, service in SERVICES.items():
        assert name in OURS or service["user"].split(":")[0] not in ("", "0", "root"), name
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["restart"] == ("on-failure:5" if name == "bucket" else "unless-stopped"), name


def test_who_needs_another_waits_until_it_is_healthy() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            ended = how["condition"] == "service_completed_successfully"
            assert ended == (needed == "bucket") and (ended or "healthcheck" in SERVICES[needed])
    # `up --wait` takes a container that ended for a failure, unless one that always runs waits for its end.
    assert "bucket" in SERVICES["worker-cpu"]["depends_on"] and "profiles" not in SERVICES["worker-cpu"]


def test_workers_end_their_commands_before_they_are_killed_and_have_room_for_training() -> None:
    for name in ("worker-cpu", "worker-gpu"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > GRACE + 30
        assert f"--pool earthloom-{name[-3:]}" in " ".join(SERVICES[name]["command"])
    assert SERVICES["worker-gpu"]["shm_size"] == "16g" and SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    devices = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]


def test_every_volume_is_named_and_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
