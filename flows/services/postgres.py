"""PostgreSQL, of the distribution's packages, for the Prefect server alone: on loopback, with a password."""

import asyncio
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

import asyncpg
import psutil

from flows.services.daemon import Daemon, end
from flows.services.secrets import Secrets
from flows.services.settings import Settings
from tasks.core.errors import ServiceError

NAME = "database"
DATABASE = "prefect"
USER = "earthloom"
START_TIMEOUT = 120.0
"""Seconds; after a crash it reads its journal first."""
GRACE = 60.0
"""Seconds from the request to end, which rolls back what is open, to the kill."""
INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian keeps its versions, side by side and not on the path."""


def url(settings: Settings, secrets: Secrets) -> str:
    """The database as SQLAlchemy names it. It holds the password: for an environment, never for a command line."""
    return f"postgresql+asyncpg://{USER}:{secrets.database}@127.0.0.1:{settings.database_port}/{DATABASE}"


def start(services: Path, settings: Settings, secrets: Secrets) -> None:
    """Start it, with its data made the first time, and wait until it answers.

    Raises:
        ServiceError: it is not installed, its folder is of another version or closed to its user, or it does not start.
    """
    data = services / NAME
    user = _step_down(services, settings)
    programs = _programs(data)
    if not (data / "PG_VERSION").is_file():
        _make(programs, data, user, secrets)
    _end_leftovers(data)
    daemon = Daemon(services, NAME)
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(settings.database_port),
        "unix_socket_directories": "",
    }
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    process = daemon.start(
        [str(programs / "postgres"), "-D", str(data), *words],
        {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        user=user,
        folder=data if user is None else Path("/"),
    )
    daemon.wait(process, lambda: asyncio.run(_is_ready(settings, secrets)), START_TIMEOUT)


def stop(services: Path) -> bool:
    """End it: what is open is rolled back, what is written is on the disk. Whether it ran."""
    ran = Daemon(services, NAME).stop(GRACE, signal.SIGINT)
    _end_leftovers(services / NAME)
    return ran


async def _is_ready(settings: Settings, secrets: Secrets) -> bool:
    """Whether it takes connections; the server's database is made if there is none."""
    try:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=settings.database_port, user=USER, password=secrets.database, database="postgres",
            timeout=5, ssl=False,
        )  # fmt: skip
    except asyncpg.InvalidPasswordError as error:
        raise ServiceError(
            "the database was made with another password than secrets.json holds: restore that file"
        ) from error
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
    return True


def _programs(data: Path) -> Path:
    """The folder of PostgreSQL's programs; of the version that made the data, if there are data."""
    version_file = data / "PG_VERSION"
    made_by = version_file.read_text(encoding="utf-8").strip() if version_file.is_file() else ""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(INSTALLED.glob("*/bin"), key=lambda path: _major(path.parent.name), reverse=True)
    found = {
        version: folder
        for folder in reversed(folders)
        if (folder / "initdb").is_file() and (version := _version(folder))
    }
    if not found:
        raise ServiceError(
            "PostgreSQL is not installed: its programs postgres and initdb are neither on the path nor under "
            f"{INSTALLED}. Debian and Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server "
            "postgresql-contrib"
        )
    if made_by and made_by not in found:
        raise ServiceError(
            f"{data} was made by PostgreSQL {made_by}; installed: {', '.join(sorted(found))}. Install "
            f"postgresql-{made_by}, or carry the data over with pg_upgrade."
        )
    return found[made_by] if made_by else next(reversed(found.values()))


def _version(programs: Path) -> str:
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)(?:\.\d+)*", said)
    return found[1] if found else ""


def _major(name: str) -> int:
    return int(name) if name.isdigit() else 0


def _step_down(services: Path, settings: Settings) -> str | None:
    """The user that it runs as: root's stand-in, or nobody else than who calls."""
    if os.geteuid() != 0:
        return None
    user = settings.database_user
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise ServiceError(
            f"PostgreSQL does not run as root, and there is no user {user}: name one by --database-user"
        ) from error
    if entry.pw_uid == 0:
        raise ServiceError(f"--database-user {user}: PostgreSQL does not run as root")
    groups = {entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if user in group.gr_mem)}
    for folder in reversed([services, *services.parents]):
        status = folder.stat()
        shift = 6 if status.st_uid == entry.pw_uid else 3 if status.st_gid in groups else 0
        if not status.st_mode >> shift & 1:
            raise ServiceError(
                f"PostgreSQL does not run as root, and its user {user} may not enter {folder}. Set EARTHLOOM_HOME to a "
                "folder that others may enter, as /var/lib/earthloom; its data there are open to nobody else."
            )
    return user


def _make(programs: Path, data: Path, user: str | None, secrets: Secrets) -> None:
    """A new cluster, whose only user has a password."""
    partial = data.with_name(f".{data.name}.partial")
    if partial.exists():  # of a run that was killed here
        shutil.rmtree(partial)
    partial.mkdir(mode=0o700)
    if user:
        shutil.chown(partial, user, pwd.getpwnam(user).pw_gid)
    words = ["-U", USER, "--auth=scram-sha-256", "--pwfile=/dev/stdin", "-E", "UTF8", "--locale=C", "--no-instructions"]
    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as password:
        os.write(writable, f"{secrets.database}\n".encode())
        os.close(writable)
        if user:
            os.fchown(readable, pwd.getpwnam(user).pw_uid, -1)  # it opens the pipe anew, as itself
        done = subprocess.run(
            [programs / "initdb", "-D", partial, *words],
            stdin=password,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=user,
            group=user and pwd.getpwnam(user).pw_gid,
            extra_groups=[] if user else None,
        )
    if done.returncode:
        raise ServiceError(f"initdb cannot make {data}: {done.stderr.strip().splitlines()[-1:]}")
    partial.rename(data)


def _end_leftovers(data: Path) -> None:
    """End what a killed server left behind, and its note of itself: with either there, no new one starts."""
    end(_workers(data), lambda: _workers(data), GRACE)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _workers(data: Path) -> list[psutil.Process]:
    """PostgreSQL's processes over these data. They write over their environment, but work in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(data) and process.name() == "postgres":
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
