"""What the options of `earthloom up` come to, before anything is started."""

import os
import stat
from pathlib import Path

import pytest

from flows.services import secrets
from flows.services.settings import Settings, chosen, is_loopback, read, write
from tasks.core.errors import ServiceError


def test_nothing_said_is_loopback_without_a_password() -> None:
    settings = chosen(None, {"host": None, "port": None})
    assert settings == Settings() and settings.is_loopback and not settings.auth


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_beyond_loopback_a_password_is_asked_for_and_cannot_be_left_out(host: str) -> None:
    assert chosen(None, {"host": host}).auth
    with pytest.raises(ServiceError, match="--no-auth"):
        chosen(None, {"host": host, "auth": False})


def test_a_name_is_loopback_only_if_all_it_stands_for_is() -> None:
    assert is_loopback("localhost") and is_loopback("127.0.0.9") and is_loopback("::1")
    assert not is_loopback("no-such-host.invalid") and not is_loopback("0.0.0.0")


def test_what_was_chosen_last_holds_until_something_else_is(tmp_path: Path) -> None:
    write(tmp_path, chosen(None, {"port": 4300, "store": False}))
    again = chosen(read(tmp_path), {"port": None, "database_port": 5500})
    assert (again.port, again.database_port, again.store) == (4300, 5500, False)


def test_a_damaged_file_of_settings_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ServiceError, match=r"settings\.json is damaged"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"port": 70000}, "--port"),
        ({"port": 8335}, "--store-port and --port both want port 8335"),
        ({"host": "no such host"}, "--host"),
        ({"url": "https://somebody:secret@prefect.example.org"}, "--url"),
        ({"url": "prefect.example.org"}, "--url"),
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(ServiceError, match=named):
        chosen(None, options)


def test_a_browser_elsewhere_is_sent_to_a_name_and_not_to_every_address() -> None:
    assert "0.0.0.0" not in Settings(host="0.0.0.0").public_url
    assert Settings(host="0.0.0.0").local_url == "http://127.0.0.1:4200"
    assert Settings(url="https://prefect.example.org/").public_url == "https://prefect.example.org"


def test_secrets_are_made_once_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    made = secrets.load(tmp_path)
    path = tmp_path / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secrets.load(tmp_path) == made
    assert made.api not in repr(made) and made.database not in str(made)
    os.chmod(path, 0o644)
    with pytest.raises(ServiceError, match="others can read it"):
        secrets.load(tmp_path)
