"""Where a catalog's files may lie, and how they are reached: by address, by signature, in an object store."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rasterio
import rasterio.errors

from tasks.core.errors import SceneError, UnreachableError
from tasks.core.redaction import redacted
from tasks.earth.assets import Asset
from tasks.earth.catalog import Catalog, Query
from tasks.earth.faults import fault
from tasks.earth.hosts import Hosts, resolved
from tasks.earth.items import to_item
from tasks.earth.raster import open_asset
from tasks.earth.stores import Store, store_of
from tests.conftest import ROOT
from tests.fixtures.stac_server import Answer, Asked, document, item, serve

QUERY = Query("s2", None, None, None)
BAND = ROOT / "samples/assets/sentinel-2-l2a"
SLOW = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def asset(href: str, requester_pays: bool = False) -> Asset:
    return Asset("I0", "red", href, requester_pays=requester_pays)


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd", "/etc/passwd", "/vsicurl/http://127.0.0.1/x", "/vsizip/x.zip/y.tif", "C:/x.tif",
        "http://169.254.169.254/latest/meta-data", "https://evil.example/x.tif", "s3://someone/x.tif",
        "http://127.0.0.1:1@evil.example/x.tif", "ftp://127.0.0.1/x", "http://127.0.0.1\\@evil.example/",
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com.evil.example/x.tif", "gs://bucket/x.tif",
        "vrt://x", "<VRTDataset>",
        "http://127.0.0.1:1/\r\nHost: x",
    ],
)  # fmt: skip
def test_a_remote_catalog_names_remote_files_of_allowed_hosts_only(href: str) -> None:
    hosts = Hosts(("127.0.0.1:1", "sentinel-cogs.s3.us-west-2.amazonaws.com", "s3://usgs-landsat"), "catalogs.x.hosts")
    with pytest.raises(SceneError) as caught:
        hosts.check(href)
    assert caught.value.reason == "foreign-host"


def test_hosts_are_allowed_by_name_by_pattern_by_port_and_by_bucket() -> None:
    hosts = Hosts(("127.0.0.1:81", "*.blob.core.windows.net", "s3://usgs-landsat"), "catalogs.x.hosts")
    for good in ("http://127.0.0.1:81/x", "https://a.blob.core.windows.net/c/x.tif?sig=1", "s3://usgs-landsat/x.TIF"):
        assert hosts.check(good) == good
    with pytest.raises(SceneError, match=r"127\.0\.0\.1:82 is none of the hosts.*catalogs\.x\.hosts"):
        hosts.check("http://127.0.0.1:82/x")


@pytest.mark.parametrize(
    ("href", "base", "found"),
    [
        ("../../assets/a.tif", "http://h:1/collections/s2/I0.json", "http://h:1/assets/a.tif"),
        ("a.tif", "https://h/x/y.json", "https://h/x/a.tif"),
        ("./a.tif", "s3://bucket/x/y.json", "s3://bucket/x/a.tif"),
        ("../../../../a.tif", "s3://bucket/x/y.json", "s3://bucket/a.tif"),
        ("https://other/a.tif", "http://h:1/I0.json", "https://other/a.tif"),
        ("/etc/passwd", "http://h:1/I0.json", "/etc/passwd"),
        ("file:///etc/passwd", "http://h:1/I0.json", "file:///etc/passwd"),
    ],
)
def test_a_relative_href_starts_at_its_item(href: str, base: str, found: str) -> None:
    assert resolved(href, base) == found


@pytest.mark.parametrize("href", ["embedded:assets/x.tif", "folder:x.tif", "folder:../../etc/passwd"])
def test_an_item_that_names_what_only_we_write_is_refused(href: str) -> None:
    named = item() | {"assets": {"red": {"href": href}}}
    with serve([named, item("fine")]) as served:
        catalog = served.catalog()
        found = catalog.find(QUERY, 5)
        assert [one.id for one in found.items] == ["fine"] and found.refused[0].reason == "foreign-host"
        if href.startswith("folder:"):
            with pytest.raises(SceneError):
                catalog.href(href)


def test_relative_hrefs_are_frozen_against_the_self_link_and_without_one_against_the_page() -> None:
    with serve() as served:
        link = {"rel": "self", "href": f"{served.url}/collections/s2/I1.json"}
        linked = item("I1") | {"links": [link], "assets": {"red": {"href": "../../assets/red.tif"}}}
    with serve([item("I0"), linked]) as other:
        found = other.catalog().search(QUERY, 5)
    assert found[0].assets["red"].href == f"{other.url}/assets/I0/red.tif"
    assert found[1].assets["red"].href == f"{served.url}/assets/red.tif"


def test_a_file_that_redirects_elsewhere_is_refused_before_gdal_follows_it() -> None:
    def away(asked: Asked) -> Answer | None:
        return Answer(302, headers={"Location": "http://169.254.169.254/x.tif"}) if asked.path == "/a.tif" else None

    with serve([], away) as served, pytest.raises(SceneError, match=r"169\.254\.169\.254 is none of the hosts"):
        served.catalog().href(f"{served.url}/a.tif")


def test_the_version_of_a_file_is_what_its_server_says_and_changes_with_it() -> None:
    with serve(files={"a.tif": b"x" * 100}) as served:
        catalog = served.catalog()
        assert catalog.version(f"{served.url}/a.tif") == '"1" bytes 0-0/100'
        assert catalog.version(f"{served.url}/gone.tif") is None
        assert catalog.version("file:///etc/passwd") is None


@dataclass
class Service:
    """A signing service, and what it was asked."""

    life: timedelta = timedelta(hours=1)
    status: int = 200
    asked: int = 0

    def __call__(self, asked: Asked) -> Answer | None:
        self.asked += 1
        if self.status != 200:
            return Answer(self.status, b"{}", {"Retry-After": "3600"})
        expiry = (datetime.now(UTC) + self.life).isoformat()
        return document({"token": f"se=x&sig=secret{self.asked}", "msft:expiry": expiry})


PAYS = {"storage:requester_pays": True, "storage:region": "eu-central-1"}
BLOB = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/a.tif"


def test_a_token_is_asked_for_once_a_container_and_again_when_it_is_about_to_expire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Service()
    with serve([], service) as served:
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{served.url}/sas")
        catalog = served.catalog(sign="planetary-computer")
        assert catalog.address(BLOB) == catalog.address(BLOB) == f"{BLOB}?se=x&sig=secret1"
        service.life = timedelta(seconds=20)
        catalog = served.catalog(sign="planetary-computer")
        assert catalog.address(BLOB) == f"{BLOB}?se=x&sig=secret2"
        assert catalog.address(BLOB) == f"{BLOB}?se=x&sig=secret3"
    assert service.asked == 3


@pytest.mark.parametrize("status", [429, 500, 401])
def test_a_signing_service_that_refuses_is_unreachable_within_the_time_allowed(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve([], Service(status=status)) as served:
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{served.url}/sas")
        with pytest.raises(UnreachableError, match=rf"signing service gives no token.*{status}.*run the same command"):
            served.catalog(max_wait=0.2, sign="planetary-computer").href(BLOB)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """No credentials but those a test sets, and stores without TLS."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_S3_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_HTTPS", "NO")
    yield monkeypatch


def band() -> bytes:
    return next(BAND.rglob("*.tif")).read_bytes()


def store_catalog(served: object, **changes: object) -> Catalog:
    return served.catalog(s3_endpoint=served.url.removeprefix("http://"), **changes)  # type: ignore[attr-defined]


def test_a_public_bucket_is_read_without_credentials_and_without_a_signature(aws: pytest.MonkeyPatch) -> None:
    with serve(files={"bucket/public.tif": band()}) as served:
        catalog = store_catalog(served)
        with open_asset(asset("s3://bucket/public.tif"), catalog) as opened:
            assert opened.dataset.width > 0
        assert catalog.version("s3://bucket/public.tif", Store(catalog.params.s3_endpoint))
        assert not [asked for asked in served.asked if "Authorization" in asked.headers]


def test_a_bucket_whose_reader_pays_is_paid_when_the_item_says_so(aws: pytest.MonkeyPatch) -> None:
    def payer(asked: Asked) -> Answer | None:
        return None if "requester" in str(asked.headers.get("X-Amz-Request-Payer")) else Answer(403, DENIED)

    aws.setenv("AWS_ACCESS_KEY_ID", "test")
    aws.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with serve([], payer, files={"bucket/paid.tif": band()}) as served:
        catalog = store_catalog(served)
        with open_asset(asset("s3://bucket/paid.tif", requester_pays=True), catalog) as opened:
            assert opened.dataset.width > 0
        with (
            pytest.raises(UnreachableError, match="cannot be reached"),
            open_asset(asset("s3://bucket/paid2.tif"), catalog),
        ):
            pass


def test_credentials_of_a_profile_serve_reads_and_questions_alike(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[own]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = x\n")
    aws.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    aws.setenv("AWS_PROFILE", "own")

    def signed(asked: Asked) -> Answer | None:
        return None if "FROMPROFILE" in asked.headers.get("Authorization", "") else Answer(403, DENIED)

    with serve([], signed, files={"bucket/own.tif": band()}) as served:
        catalog = store_catalog(served)
        assert catalog.version("s3://bucket/own.tif")
        with open_asset(asset("s3://bucket/own.tif"), catalog) as opened:
            assert opened.dataset.width > 0


def test_a_small_file_of_a_store_that_refuses_is_unreachable_and_one_that_is_gone_is_its_scene_s(
    aws: pytest.MonkeyPatch,
) -> None:
    with serve(files={"bucket/a.xml": b"<a/>"}) as served:
        assert store_catalog(served).content(asset("s3://bucket/a.xml"), 100) == b"<a/>"
        with pytest.raises(SceneError):
            store_catalog(served).content(asset("s3://bucket/b.xml"), 100)
        with pytest.raises(SceneError, match="more than 2 bytes"):
            store_catalog(served).content(asset("s3://bucket/a.xml"), 2)
    with serve([], lambda asked: Answer(403, DENIED)) as served, pytest.raises(UnreachableError, match="403"):
        store_catalog(served).content(asset("s3://bucket/a.xml"), 100)


def test_paying_without_credentials_is_an_error_that_names_the_variables(aws: pytest.MonkeyPatch) -> None:
    with serve() as served, pytest.raises(UnreachableError, match=r"bills.*AWS_ACCESS_KEY_ID.*AWS_SECRET_ACCESS_KEY"):
        store_catalog(served).gdal_options(asset("s3://bucket/x.tif", requester_pays=True))


@pytest.mark.parametrize(
    ("status", "body", "kind"), [(503, SLOW, UnreachableError), (403, DENIED, UnreachableError), (404, b"", SceneError)]
)
def test_a_store_that_refuses_is_told_from_a_file_that_is_gone_as_over_http(
    status: int, body: bytes, kind: type[Exception], aws: pytest.MonkeyPatch
) -> None:
    with serve([], lambda asked: Answer(status, body)) as served:
        catalog = store_catalog(served)
        with rasterio.Env(**catalog.gdal_options(asset("s3://bucket/x.tif"))):  # without the retries of a stage
            with pytest.raises(rasterio.errors.RasterioIOError) as failed:
                rasterio.open(url := catalog.href(f"s3://bucket/{status}.tif"))
            meant = fault(failed.value, "scene I0", url)
    assert isinstance(meant, kind) and "127.0.0.1:" not in str(meant)


def test_a_file_cut_in_a_store_is_damaged_and_its_message_has_no_port(aws: pytest.MonkeyPatch) -> None:
    content = band()
    with serve(files={"bucket/cut.tif": content[: len(content) // 2]}) as served:
        catalog = store_catalog(served)
        with pytest.raises(SceneError) as caught, open_asset(asset("s3://bucket/cut.tif"), catalog) as opened:
            opened.dataset.read(1)
    assert caught.value.reason == "unreadable" and "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        (PAYS, "asset"),
        (PAYS, "properties"),
        ({"alternate": {"s3": {"href": "s3://b/x", **PAYS}}}, "asset"),
    ],
)  # fmt: skip
def test_who_pays_and_where_a_bucket_lies_is_read_wherever_the_item_says_it(fields: dict, where: str) -> None:
    described = item()
    described["assets"]["red"]["href"] = "s3://b/x"
    target = described["properties"] if where == "properties" else described["assets"]["red"]
    target |= fields
    found = to_item(described)
    assert store_of(found, found.assets["red"]) == Store(None, True, "eu-central-1")


def test_schemes_of_the_storage_extension_s_second_version_are_followed() -> None:
    described = item(**{"storage:schemes": {"aws": {"type": "aws-s3", "region": "us-west-2", "requester_pays": True}}})
    described["assets"]["red"] |= {"href": "s3://b/x", "storage:refs": ["aws"]}
    found = to_item(described)
    assert store_of(found, found.assets["red"]) == Store(None, True, "us-west-2")


def test_what_is_secret_or_true_of_one_run_only_is_taken_out_of_a_message(tmp_path: Path) -> None:
    text = (
        f"/vsicurl/https://a.blob.core.windows.net/c/x.tif?se=1&sig=SECRET: 'http://127.0.0.1:4711/x.tif?token=T' "
        f"{tmp_path}/x.tif <object at 0x7f00> sig=SECRET"
    )
    shown = redacted(text)
    assert not [bad for bad in ("SECRET", "4711", "token=T", str(tmp_path), "0x7f00") if bad in shown]
    assert "https://a.blob.core.windows.net/c/x.tif" in shown


def test_without_credentials_nothing_is_signed_and_so_no_metadata_address_is_asked(aws: pytest.MonkeyPatch) -> None:
    assert Store().gdal_options() == {"AWS_NO_SIGN_REQUEST": "YES"}
