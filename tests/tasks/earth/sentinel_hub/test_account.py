"""An account at Sentinel Hub: credentials that go nowhere else, limits that are kept, refusals that are named."""

import logging
from pathlib import Path

import pystac
import pytest

from tasks.core.errors import CatalogError, UnreachableError
from tasks.earth.raster import TargetGrid
from tasks.earth.sentinel_hub.account import Account, open_account
from tasks.earth.sentinel_hub.pixels import read
from tests.fixtures.sentinel_hub_scenes import EPSG, LEFT, TOP, search
from tests.fixtures.sentinel_hub_server import CLIENT_ID, CLIENT_SECRET, TOKEN, Fault, Service

BLOCK = TargetGrid(EPSG, LEFT, TOP, 30, 64, 64)
BUSY = Fault(429, {"Retry-After": "50"}, {"error": {"message": "Too Many Requests"}})


@pytest.fixture
def item(account: Account) -> pystac.Item:
    return search(account, "landsat-ot-l2")[0]


@pytest.mark.parametrize("missing", [["SH_CLIENT_ID"], ["SH_CLIENT_SECRET"], ["SH_CLIENT_ID", "SH_CLIENT_SECRET"]])
def test_without_credentials_an_error_names_the_variables_and_nothing_is_asked(
    missing: list[str], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in missing:
        monkeypatch.delenv(name)
    with pytest.raises(CatalogError, match=f"{' and '.join(missing)} (is|are) not set"):
        open_account(service.url, f"{service.url}/token", {})
    assert service.seen == []


@pytest.mark.parametrize("address", ["http://example.org", "ftp://example.org"])
def test_credentials_are_not_sent_where_others_could_read_them(address: str, service: Service) -> None:
    with pytest.raises(CatalogError, match="only https keeps the credentials"):
        open_account(service.url, f"{address}/token", {})
    with pytest.raises(CatalogError, match="only https keeps the credentials"):
        open_account(service.url, f"{service.url}/token", {"landsat-ot-l2": address})


def test_wrong_credentials_are_named_and_not_shown(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SH_CLIENT_SECRET", "another-secret")
    account = open_account(service.url, f"{service.url}/token", {})
    with pytest.raises(
        CatalogError, match="does not accept the credentials of SH_CLIENT_ID and SH_CLIENT_SECRET"
    ) as error:
        search(account, "landsat-ot-l2")[0]
    assert "another-secret" not in str(error.value) and service.asked("search") == []


def test_one_token_serves_all_requests(item: pystac.Item, account: Account, service: Service) -> None:
    read(item, ["red"], BLOCK, account)
    assert len(service.asked("token")) == 1


def test_at_the_limit_of_requests_the_service_is_waited_for(
    item: pystac.Item, account: Account, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.faults["process"].extend([BUSY, BUSY])
    _, valid = read(item, ["red"], BLOCK, account)["red"]
    assert valid.any() and len(service.asked("process")) == 3
    assert caplog.text.count("waiting 0.1 s") == 2


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([BUSY] * 3, "Maximum number of download attempts reached"),
        ([Fault(429, {"Retry-After": "3600000"})], "bids to wait 3600 s, and 2 s are waited at most"),
        ([Fault(429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})], "bids to wait 30 s"),
        (
            [Fault(403, body={"error": {"message": "Insufficient processing units"}})],
            "403 Insufficient processing units",
        ),
        ([Fault(500)] * 3, "500 no"),
        ([Fault(503)] * 3, "cannot be reached"),
        ([Fault(cut=True)] * 3, "cannot be reached"),
        ([Fault(damaged=True)] * 2, "answers twice with something else than the image asked for"),
        ([Fault(grow=1)] * 2, r"are \(2, 65, 65, 'uint16'\) for \(2, 64, 64, 'uint16'\)"),
    ],
)
def test_a_service_that_does_not_give_the_pixels_is_unreachable_so_that_no_hole_is_kept(
    faults: list[Fault], told: str, item: pystac.Item, account: Account, service: Service
) -> None:
    service.faults["process"].extend(faults)
    with pytest.raises(UnreachableError, match=told):
        read(item, ["red"], BLOCK, account)
    assert not service.faults["process"]


@pytest.mark.parametrize("fault", [Fault(500), Fault(502), Fault(cut=True), Fault(damaged=True), Fault(grow=3)])
def test_one_bad_answer_is_asked_for_again(fault: Fault, item: pystac.Item, account: Account, service: Service) -> None:
    good, _ = read(item, ["red"], BLOCK, account)["red"]
    service.faults["process"].append(fault)
    again, _ = read(item, ["red"], BLOCK, account)["red"]
    assert (good == again).all() and len(service.asked("process")) == 3


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(400, body={"error": {"message": "Invalid request"}}), "answers 400: 400 Invalid request"),
        (Fault(404, body={"error": "Dataset not found"}), "answers 404"),
        (Fault(302, {"Location": "http://127.0.0.1:9/elsewhere"}), "sends elsewhere, which is not followed"),
    ],
)
def test_a_request_that_is_refused_for_good_is_an_error_that_says_why(
    fault: Fault, told: str, item: pystac.Item, account: Account, service: Service
) -> None:
    service.faults["process"].append(fault)
    with pytest.raises(CatalogError, match=told):
        read(item, ["red"], BLOCK, account)


def test_an_answer_that_is_larger_than_the_image_asked_for_is_not_taken_into_memory(
    item: pystac.Item, account: Account, service: Service
) -> None:
    service.faults["process"].append(Fault(201, body="x" * 3_000_000))
    with pytest.raises(CatalogError, match="answers with more than the"):
        read(item, ["red"], BLOCK, account)


def test_neither_secret_nor_token_is_in_any_error_or_log_whatever_the_service_echoes(
    item: pystac.Item, account: Account, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"error": {"message": f"client {CLIENT_ID} with {CLIENT_SECRET} and Bearer {TOKEN} may not"}}
    for status in (400, 401, 403, 500):
        service.faults["process"].extend([Fault(status, body=echo)] * (3 if status == 500 else 1))
        with pytest.raises(CatalogError) as error:
            read(item, ["red"], BLOCK, account)
        assert "may not" in str(error.value)
        assert error.value.__cause__ is None and error.value.__suppress_context__
        assert not {CLIENT_ID, CLIENT_SECRET, TOKEN} & set(str(error.value).split())
    fresh = open_account(service.url, f"{service.url}/token", {})
    search(fresh, "landsat-ot-l2")[0]
    for secret in (CLIENT_SECRET, TOKEN):
        assert secret not in caplog.text and secret not in repr(account) and secret not in repr(item.to_dict())


def test_no_profile_file_is_read_or_written(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    profile = tmp_path / "sentinelhub/config.toml"
    profile.parent.mkdir()
    profile.write_text('[default-profile]\nsh_base_url = "http://127.0.0.1:9"\nsh_client_id = "of a profile"\n')
    account = open_account(service.url, f"{service.url}/token", {})
    assert search(account, "landsat-ot-l2")[0]
    assert [path.name for path in tmp_path.rglob("*")] == ["sentinelhub", "config.toml"]
    assert "of a profile" not in str(service.seen)


def test_a_collection_of_another_deployment_is_asked_for_there_with_the_same_token(
    service: Service, item: pystac.Item
) -> None:
    account = open_account("http://127.0.0.1:9", f"{service.url}/token", {"landsat-ot-l2": service.url})
    assert read(item, ["red"], BLOCK, account)["red"][1].any()
