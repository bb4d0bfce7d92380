"""Secrets that a worker and the server hold are found nowhere else: not in git, logs, artifacts, database or remote."""

import base64
import subprocess
from pathlib import Path

import pytest

from flows.services import postgres, secrets
from flows.services.settings import read
from tests.end_to_end.faults.drill import Hosts, rebuild, whole
from tests.end_to_end.faults.record import Row
from tests.end_to_end.faults.server import Server
from tests.end_to_end.faults.template import Template

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
KEY, PASSWORD, CLIENT = "planted-key-5d0c77", "planted:password-91ab3e", "planted-client-04c2d8"


def test_planted_secrets_are_found_nowhere(
    row: Row, server: Server, mine: Template, host: Hosts, tmp_path: Path
) -> None:
    row.fault = "secrets planted in the worker's environment and in a block"
    kind = server.ask("GET", "/block_types/slug/secret")
    schema = server.ask("POST", "/block_schemas/filter", block_schemas={"block_type_id": {"any_": [kind["id"]]}})[0]
    block = {"name": "sentinel-hub", "block_type_id": kind["id"], "block_schema_id": schema["id"]}
    made = server.ask(
        "POST", "/block_documents/", **block, data={"value": {"client_id": "team", "client_secret": CLIENT}}
    )
    try:
        one = host("one", AWS_SECRET_ACCESS_KEY=KEY, PREFECT_API_AUTH_STRING=PASSWORD, SH_CLIENT_SECRET=CLIENT)
        one.work("cpu")
        ended = server.wait(rebuild(server, mine))
        whole(row, server, mine, ended, one)
        one.kill()
        places = {
            "git": history(mine.origin),
            "database": dump(server.stack.services),
            "logs of the server": b"".join(p.read_bytes() for p in (server.stack.services / "log").iterdir()),
            "artifacts": repr(server.ask("POST", "/artifacts/filter")).encode(),
        }
        for name, folder in {"remote": mine.store, "host": one.folder}.items():
            for path in folder.rglob("*"):
                if path.is_file():
                    places[f"{name}: {path.relative_to(folder)}"] = path.read_bytes()
        row.done = f"a rebuild; {len(places)} files, git's history, a dump of the database and the logs are searched"
        wanted = [form for secret in (KEY, PASSWORD, CLIENT) for form in (secret.encode(), encoded(secret))]
        found = {where for where, content in places.items() for form in wanted if form in content}
        assert not found
        assert b"Released" in places["database"] and b"split" in places["database"], "the dump is not of this database"
        row.happened = "found nowhere; the block's value is encrypted in the database"
    finally:
        server.ask("DELETE", f"/block_documents/{made['id']}")


def history(origin: Path) -> bytes:
    """All that was ever committed, pictures and tables among it, which are no text."""
    done = subprocess.run(["git", "log", "-p", "--all", "--text"], cwd=origin, capture_output=True, check=True)
    return done.stdout


def encoded(secret: str) -> bytes:
    return base64.b64encode(secret.encode()).rstrip(b"=")


def dump(services: Path) -> bytes:
    settings = read(services)
    assert settings is not None
    programs = sorted(postgres.INSTALLED.glob("*/bin/pg_dump"))
    words = ["-h", "127.0.0.1", "-p", str(settings.database_port), "-U", postgres.USER, postgres.DATABASE]
    done = subprocess.run(
        [str(programs[-1]), *words], env={"PGPASSWORD": secrets.load(services).database}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
