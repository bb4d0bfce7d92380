"""A static catalog, by its URL and by its folder."""

import json
import shutil
from pathlib import Path

import pytest

from tasks.core.errors import CatalogError, SceneError
from tasks.earth.assets import find_named
from tasks.earth.catalog import Catalog, CatalogParams, Query
from tasks.earth.raster import open_asset
from tests.conftest import ROOT
from tests.fixtures.stac_server import item, serve

BAND = next((ROOT / "samples/assets/sentinel-2-l2a").rglob("*.tif"))
AREA = [12.5, 52.5, 12.6, 52.6]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """catalog.json -> s2/collection.json -> A/A.json, whose collection is its parent; and a child that is gone."""
    root = tmp_path / "own"
    (root / "s2/A").mkdir(parents=True)
    links = [
        {"rel": "child", "href": "./s2/collection.json"},
        {"rel": "child", "href": "./gone/collection.json"},
        {"rel": "self", "href": "https://elsewhere.example/catalog.json"},
    ]
    catalog = {"type": "Catalog", "id": "own", "links": links}
    collection = {
        "type": "Collection",
        "id": "s2",
        "links": [
            {"rel": "item", "href": "A/A.json"},
            {"rel": "parent", "href": "../catalog.json"},
            {"rel": "child", "href": "../catalog.json"},
        ],
    }
    scene = item("A") | {"assets": {"red": {"href": "./red.tif", "type": "image/tiff"}}}
    del scene["collection"]
    for path, document in (("catalog", catalog), ("s2/collection", collection), ("s2/A/A", scene)):
        (root / f"{path}.json").write_text(json.dumps(document))
    shutil.copy(BAND, root / "s2/A/red.tif")
    return root


def local(url: str) -> Catalog:
    values = {"url": url, "collections": {}, "labels": [], "sign": "none", "requests_per_second": 1000}
    return Catalog("own", CatalogParams.model_validate(values))


@pytest.mark.parametrize("root", ["", "/catalog.json", "file://"])
def test_a_folder_is_searched_and_its_files_are_read_without_a_server(folder: Path, root: str) -> None:
    catalog = local(f"file://{folder}" if root == "file://" else f"{folder}{root}")
    found = catalog.find(Query("s2", AREA, "2020-06-10", 10), 5)
    assert [one.id for one in found.items] == ["A"]
    assert found.items[0].assets["red"].href == "folder:s2/A/red.tif", "not where it lies on this machine"
    asset = find_named(found.items[0], "red")
    assert asset is not None
    with open_asset(asset, catalog) as opened:
        assert opened.dataset.width > 0
    assert catalog.version(asset.href)
    assert [row.reason for row in found.refused] == ["unreadable"]


def test_a_url_is_searched_with_relative_links_and_hrefs(folder: Path) -> None:
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with serve(files=files) as served:
        catalog = served.catalog(url=f"{served.url}/catalog.json", max_wait=0.1)
        found = catalog.search(Query("s2", AREA, "2020-06", None), 5)
        assert found[0].assets["red"].href == f"{served.url}/s2/A/red.tif"
        assert catalog.collection("s2") == {"type": "Collection", "id": "s2", "links": []}
        assert catalog.search(Query("s2", [0, 0, 1, 1], None, None), 5) == []


def test_hrefs_that_lead_out_of_the_folder_are_refused(folder: Path) -> None:
    catalog = local(str(folder))
    for href in ("folder:../secret.tif", "folder:/etc/passwd", "file:///etc/passwd", "/etc/passwd"):
        with pytest.raises(SceneError) as caught:
            catalog.href(href)
        assert caught.value.reason == "foreign-host"


def test_a_folder_without_a_catalog_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"neither a STAC document nor a folder with a catalog\.json"):
        local(str(tmp_path / "nothing")).search(Query("s2", None, None, None), 5)
