"""All services of this machine together: up in the order in which they need each other, down in the reverse."""

import fcntl
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from flows.services import gate, postgres, server, store, workers
from flows.services import secrets as secret_files
from flows.services import settings as setups
from flows.services.daemon import Daemon, end, marked
from flows.services.ports import check_free
from flows.services.secrets import Secrets
from flows.services.settings import Settings
from tasks.core.errors import ServiceError


@dataclass(frozen=True)
class Service:
    """What became of one service."""

    name: str
    state: str
    """`started`, or `was running`."""
    url: str


def up(home: Path, options: dict[str, Any]) -> tuple[Settings, list[Service]]:
    """Start what does not run; a second time nothing is done.

    Args:
        home: the host's folder; services keep theirs beneath it.
        options: fields of `Settings`; None means as the last time, or the default.

    Raises:
        ServiceError: an option is wrong, services run with other ones, a port is taken, or one does not start.
    """
    services = setups.folder(home)
    services.mkdir(parents=True, exist_ok=True)
    services.chmod(0o711)  # PostgreSQL's user passes through; what lies here is closed to others one by one
    with _alone(services):
        last = setups.read(services)
        settings = setups.chosen(last, options)
        running = {name for name in _names(settings) if Daemon(services, name).tops()}
        if running and last != settings:
            raise ServiceError(_differences(last, settings))
        secrets = secret_files.load(services)
        setups.write(services, settings)
        missing = set(_names(settings)) - running
        check_free((option, host, port) for name, option, host, port in settings.ports() if name in missing)
        started = []
        for name, start in _starts(services, settings, secrets).items():
            if name not in running:
                start()
                started.append(name)
        secret_files.write_private(services / "env.sh", exports(services, settings, secrets))
    urls = _urls(settings)
    return settings, [
        Service(name, "started" if name in started else "was running", urls.get(name, "")) for name in _names(settings)
    ]


def down(home: Path) -> list[str]:
    """End all services and whatever they started; the names of those that ran. Their data stay."""
    services = setups.folder(home)
    if not services.is_dir():
        return []
    with _alone(services):
        ran = _together({name: partial(workers.stop, services, name) for name in workers.names()})
        ran += _together({one.NAME: partial(one.stop, services) for one in (server, store, gate)})
        ran += _together({postgres.NAME: partial(postgres.stop, services)})
        end(marked(services), lambda: marked(services), 0.0)
        return ran


def environment(home: Path) -> str:
    """The lines that a shell reads to work with the services that were started last; they hold secrets.

    Raises:
        ServiceError: there were none.
    """
    path = setups.folder(home) / "env.sh"
    if not path.is_file():
        raise ServiceError(f"no services were started under {home}: earthloom up")
    return path.read_text(encoding="utf-8")


def exports(services: Path, settings: Settings, secrets: Secrets) -> str:
    """`export NAME=value` for a shell, a line each."""
    values = workers.environment(services, settings, secrets)
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _starts(services: Path, settings: Settings, secrets: Secrets) -> dict[str, Callable[[], None]]:
    found: dict[str, Callable[[], None]] = {postgres.NAME: partial(postgres.start, services, settings, secrets)}
    if settings.store:
        found[store.NAME] = partial(store.start, services, settings, secrets)
        if not settings.is_loopback:
            found[gate.NAME] = partial(gate.start, services, settings)
    found[server.NAME] = partial(server.start, services, settings, secrets)
    if settings.workers:
        for name in workers.names():
            found[name] = partial(workers.start, services, settings, secrets, name)
    return found


def _names(settings: Settings) -> list[str]:
    return [
        postgres.NAME,
        *([store.NAME] if settings.store else []),
        *([gate.NAME] if settings.store and not settings.is_loopback else []),
        server.NAME,
        *(workers.names() if settings.workers else []),
    ]


def _urls(settings: Settings) -> dict[str, str]:
    return {
        postgres.NAME: f"127.0.0.1:{settings.database_port}",
        store.NAME: f"{settings.endpoint} ({store.REMOTE})",
        gate.NAME: f"{settings.host}:{settings.store_port}, to the store",
        server.NAME: settings.public_url,
        **{name: f"pool earthloom-{name.removeprefix('worker-')}" for name in workers.names()},
    }


def _differences(last: Settings | None, settings: Settings) -> str:
    if last is None:
        return "services run here, but their settings.json is gone: earthloom down first"
    changed = [
        f"--{name.replace('_', '-')} {old or '(none)'}, not {new or '(none)'}"
        for (name, old), new in zip(vars(last).items(), vars(settings).values(), strict=True)
        if old != new
    ]
    return f"services run with other options: {'; '.join(changed)}. To change them: earthloom down, then up again."


def _together(stops: dict[str, Callable[[], bool]]) -> list[str]:
    """Stop several side by side; the names of those that ran."""
    ran: list[str] = []

    def stop(name: str) -> None:
        if stops[name]():
            ran.append(name)

    threads = [Thread(target=stop, args=(name,)) for name in stops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(ran)


@contextmanager
def _alone(services: Path) -> Iterator[None]:
    """Hold the services: two that start or stop them at once would each see half of it."""
    with (services / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServiceError(f"another earthloom up or down is at work in {services}: wait for it") from error
        yield
