"""The catalog over HTTP: the real embedded STAC API."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.section import load
from tasks.earth import sample_catalog
from tasks.earth.catalog import Catalog, CatalogParams, Query, open_catalog
from tests.conftest import ROOT

QUERY = Query("sentinel-2-l1c", [-180, -90, 180, 90], "2015-06-01/2030-01-01", None)


def test_items_are_frozen_the_same_whatever_port_was_free(workspace: Path) -> None:
    found = []
    for _ in range(2):
        with open_catalog(search=True) as catalog:
            found.append([item.to_dict() for item in catalog.search(QUERY, 10)])
    assert found[0] == found[1] and len(found[0]) == 2
    hrefs = [asset["href"] for item in found[0] for asset in item["assets"].values()]
    assert all(href.startswith("embedded:assets/") for href in hrefs)


def test_cloud_is_filtered_here_where_the_server_cannot(workspace: Path) -> None:
    with open_catalog(search=True) as catalog:
        clear = catalog.search(replace(QUERY, max_cloud=5), 10)
    assert [item.id for item in clear] == ["S2A_18SVG_20160112_0_L1C"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"collection": "sentinel-9"}, "no collection 'sentinel-9'"),
        ({"bbox": [0, 0, 1, 1]}, "none within its area"),
        ({"datetime": "2000-01-01/2001-01-01"}, "none within its dates"),
        ({"datetime": "2017-01-01/2018-01-01", "max_cloud": 1}, r"the clearest has 8\.\d+ %"),
    ],
)
def test_the_condition_that_emptied_a_search_is_found(workspace: Path, change: dict, reason: str) -> None:
    query = replace(QUERY, **change)
    with open_catalog(search=True) as catalog:
        explanation = catalog.explain_nothing(query)
    import re

    assert re.search(reason, explanation), explanation


def test_requests_keep_to_the_rate_that_the_operator_tolerates(workspace: Path) -> None:
    params = load(CatalogParams, "catalogs.sample").model_copy(update={"requests_per_second": 4.0})
    with sample_catalog.serve(ROOT / "samples") as endpoints:
        catalog = Catalog("sample", params, endpoints)
        catalog.search(QUERY, 10)
        start = time.monotonic()
        for _ in range(4):
            catalog.search(QUERY, 10)
        assert time.monotonic() - start >= 0.75


def test_the_servers_end_with_the_context(workspace: Path) -> None:
    import httpx

    with sample_catalog.serve(ROOT / "samples") as endpoints:
        assert httpx.get(endpoints.api).is_success
    for url in (endpoints.api, endpoints.files):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
