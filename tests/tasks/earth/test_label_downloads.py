"""Label features behind a real server: what is right, what is damaged, and what would lead elsewhere."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pystac
import pytest
import shapely

from tasks.core.errors import SceneError, UnreachableError
from tasks.earth.catalog import Catalog
from tasks.earth.catalog_params import CatalogParams
from tasks.earth.label_files import Downloads
from tasks.earth.label_licences import Origin
from tasks.earth.label_params import LabelsParams
from tasks.earth.label_sources import open_libraries, windows_of
from tests.fixtures.label_files import block, frame, layer, square

VRT = b"<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>secret.gpkg</SrcDataSource></OGRVRTLayer>"


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if "/busy/" in self.path:
            self.send_error(503)
        elif "/huge/" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", str(10**12))
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server of the folder `served`."""
    (tmp_path / "served").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(tmp_path / "served"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def measured(address: str, *names: str, attribute: str = "class"):
    """Rows and lost items of label items whose files are at the server under these names."""
    footprint = shapely.geometry.mapping(shapely.box(14.5, 52, 15.5, 53))
    items = [
        pystac.Item.from_dict(
            {
                "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "osm", "geometry": footprint,
                "bbox": [14.5, 52, 15.5, 53], "links": [], "properties": {"datetime": "2020-06-01T00:00:00Z"},
                "assets": {"labels": {"href": name if "://" in name else f"{address}/{name}"}},
            }
        )
        for name in names
    ]  # fmt: skip
    source = {"kind": "polygon", "asset": "labels", "attribute": attribute, "complete": True}
    params = LabelsParams(min_fraction=0.01, spectral="never", sources={"osm": source})
    catalog = Catalog(
        "test",
        CatalogParams(url=address, collections={}, labels=["osm"], sign="none", requests_per_second=1000),
        None,
        max_wait=0.01,
    )
    some, ids = block(2)
    downloads = Downloads(catalog)
    try:
        libraries, _ = open_libraries(params, items, catalog, downloads, {"osm": Origin("ODbL-1.0", None, None)})
        found = libraries[0].for_scene(windows_of(frame(some, ids)), None)
        assert found is not None
        return found.measure(some, ids, 20, 0.01), found.failed
    finally:
        downloads.close()


def test_a_projected_layer_of_the_catalog_labels_the_windows_under_it(tmp_path: Path, address: str) -> None:
    layer(tmp_path / "served/labels.gpkg", [square(0, 0, 640)], ["forest"], epsg=3857)
    found, failed = measured(address, "labels.gpkg")
    assert [(row["label"], round(row["fraction"], 3), row["date"]) for row in found.rows] == [
        ("forest", 1.0, "2020-06-01")
    ]
    assert not failed
    assert len(found.complete) == 2, "the item says where it looked"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.gpkg", None, "unreadable"),
        ("vrt.gpkg", VRT, "format"),
        ("cut.geojson", b'{"type": "FeatureCollection", "features": [', "unreadable"),
        (
            "gdalg.geojson",
            b'{"type": "gdal_streamed_alg", "command_line": "gdal vector read x"}',
            "unreadable",
        ),
        ("huge/x.gpkg", None, "unreadable"),
    ],
)
def test_a_label_file_that_cannot_be_used_costs_itself_and_says_so(tmp_path, address, name, content, reason) -> None:
    layer(tmp_path / "served/good.gpkg", [square(0, 0, 640)], ["forest"])
    layer(tmp_path / "secret.gpkg", [square(0, 0, 640)], ["secret"])
    if content is not None:
        (tmp_path / "served" / name).write_bytes(content)
    found, failed = measured(address, "good.gpkg", name)
    assert [row["label"] for row in found.rows] == ["forest"]
    assert failed[name].reason == reason
    text = str(failed[name])
    assert name in text
    assert address.rpartition(":")[2] not in text, "no port of this run"
    assert "/tmp" not in text


def test_an_attribute_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, address: str) -> None:
    layer(tmp_path / "served/labels.gpkg", [square(0, 0, 640)], ["forest"], column="landuse")
    _, failed = measured(address, "labels.gpkg")
    assert failed["labels.gpkg"].reason == "missing-attribute"
    assert "it has: landuse" in str(failed["labels.gpkg"])


def test_a_server_that_is_busy_stops_the_stage(address: str) -> None:
    with pytest.raises(UnreachableError, match=r"label item busy/x\.gpkg.*503.*again later"):
        measured(address, "busy/x.gpkg")


@pytest.mark.parametrize("href", ["file:///etc/hosts", "http://example.com/x.gpkg", "/vsicurl/http://example.com/x"])
def test_a_file_elsewhere_is_never_asked_for(address: str, href: str) -> None:
    _, failed = measured(address, href)
    assert isinstance(failed[href], SceneError)


def test_a_box_alone_says_where_a_label_item_lies(tmp_path: Path, address: str) -> None:
    layer(tmp_path / "served/labels.geojson", [square(0, 0, 640)], ["forest"], epsg=4326)
    assert json.loads((tmp_path / "served/labels.geojson").read_text())["features"]
    assert measured(address, "labels.geojson")[0].rows
