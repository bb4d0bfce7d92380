"""The service on loopback with scenes of all kinds, and an account at it from the environment."""

from collections.abc import Iterator

import pytest

from tasks.earth.sentinel_hub.account import Account, Patience, open_account
from tests.fixtures import sentinel_hub_scenes as scenes
from tests.fixtures.sentinel_hub_server import CLIENT_ID, CLIENT_SECRET, Scene, Service, serve

PATIENCE = Patience(longest_wait=2.0, attempts=3, pause=0.01, timeout=30.0, per_second=100.0)


@pytest.fixture(scope="session")
def made_scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    folder = tmp_path_factory.mktemp("scenes")
    return {
        "optical": scenes.optical(folder / "new", "S2A_MSIL2A_20230605T101601_N0510_R065_T33UUP_20230605T161600"),
        "older": scenes.optical(
            folder / "old", "S2A_MSIL2A_20180607T101601_N0208_R065_T33UUP_20180607T161600", "2018-06-07T10:16:01Z", 0.0
        ),
        "radar": scenes.radar(folder / "dv", "S1A_IW_GRDH_1SDV_20230605T051000"),
        "polar": scenes.radar(folder / "dh", "S1A_EW_GRDM_1SDH_20230606T051000", "2023-06-06T05:10:00Z", "DH"),
        "landsat": scenes.landsat(folder / "lc", "LC09_L2SP_192023_20230605_20230607_02_T1"),
    }


@pytest.fixture
def service(made_scenes: dict[str, Scene], monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("SH_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("SH_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # loopback has no https
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")  # no profile of this machine
    with serve() as running:
        for scene in made_scenes.values():
            running.scenes[scene.feature["collection"]].append(scene)
        yield running


@pytest.fixture
def account(service: Service) -> Account:
    return open_account(service.url, f"{service.url}/token", {}, PATIENCE)
