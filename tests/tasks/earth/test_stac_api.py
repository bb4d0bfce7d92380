"""Servers with bad habits, on real sockets: what can be had is had, and what cannot is named."""

import gzip
import json
import threading
import time
from pathlib import Path

import pytest

from tasks.core.errors import CatalogError, UnreachableError
from tasks.earth.catalog import Query
from tasks.earth.http import AnswerError
from tests.fixtures.stac_server import Answer, Asked, document, item, page, serve

QUERY = Query("s2", None, None, None)
TWELVE = [item(f"I{number:02d}", **{"eo:cloud_cover": 5.0 if number % 3 == 0 else 80.0}) for number in range(12)]


def names(found: list) -> list[str]:
    return [one.id for one in found]


def test_the_limit_counts_what_meets_the_query_and_never_cuts_before() -> None:
    clear = Query("s2", None, None, 10)
    with serve(TWELVE) as served:
        catalog = served.catalog()
        assert names(catalog.search(clear, 4)) == ["I00", "I03", "I06", "I09"]
        with pytest.raises(CatalogError, match=r"more than 3 items of 's2'.*scenes\.max_items"):
            catalog.search(clear, 3)


def test_a_server_that_fails_on_large_pages_is_asked_for_smaller_ones() -> None:
    def fails_over_ten(asked: Asked) -> Answer | None:
        return Answer(502) if asked.body.get("limit", 0) > 10 else None

    with serve(TWELVE, fails_over_ten) as served:
        assert len(served.catalog().search(QUERY, 50)) == 12
        sizes = [asked.body["limit"] for asked in served.asked if asked.path == "/search"]
    assert max(sizes) == 100 and sizes[-1] <= 10


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_refusal_of_the_second_page_is_outlasted_and_the_search_goes_on_there(status: int) -> None:
    refused = []

    def once(asked: Asked) -> Answer | None:
        if asked.body.get("token") == "5" and not refused:
            refused.append(asked)
            return Answer(status)
        return None

    with serve(TWELVE, once, largest_page=5) as served:
        assert len(served.catalog().search(QUERY, 50)) == 12
        tokens = [asked.body.get("token") for asked in served.asked if asked.path == "/search"]
    assert tokens == [None, "5", "5", "10"]


def test_a_page_that_repeats_for_ever_is_left_with_a_row_and_the_items_are_kept() -> None:
    def same(asked: Asked) -> Answer | None:
        link = {"href": "/search", "method": "POST", "merge": True, "body": {"token": "0"}}
        return page(TWELVE[:3], link) if asked.path == "/search" else None

    with serve(TWELVE, same) as served:
        found = served.catalog().find(QUERY, 10)
    assert names(found.items) == ["I00", "I01", "I02"]
    assert [(row.reason, row.detail[-23:]) for row in found.refused] == [("repeated-page", "after 3 different items")]


def test_pages_that_never_bring_anything_new_are_left_too() -> None:
    def fresh_token(asked: Asked) -> Answer | None:
        token = int(asked.body.get("token", 0)) + 1
        link = {"href": "/search", "method": "POST", "merge": True, "body": {"token": token}}
        return page(TWELVE[:3], link) if asked.path == "/search" else None

    with serve(TWELVE, fresh_token) as served:
        found = served.catalog().find(QUERY, 10)
    assert len(found.items) == 3 and found.refused[0].reason == "repeated-page"


def test_pages_that_lead_back_before_all_items_came_are_an_error() -> None:
    def short(asked: Asked) -> Answer | None:
        link = {"href": "/search", "method": "POST", "merge": True, "body": {"token": "0"}}
        return page(TWELVE[:3], link, numberMatched=12) if asked.path == "/search" else None

    with serve(TWELVE, short) as served, pytest.raises(CatalogError, match="after 3 of 12 items"):
        served.catalog().search(QUERY, 50)


def test_an_empty_page_in_the_middle_does_not_end_the_search() -> None:
    def gap(asked: Asked) -> Answer | None:
        if asked.path != "/search":
            return None
        token = int(asked.body.get("token", 0))
        link = {"href": "/search", "method": "POST", "merge": True, "body": {"token": str(token + 1)}}
        return [page(TWELVE[:2], link), page([], link), page(TWELVE[2:4])][token]

    with serve(TWELVE, gap) as served:
        assert len(served.catalog().search(QUERY, 50)) == 4


def test_a_server_that_asks_for_an_hour_is_waited_for_as_long_as_the_parameter_allows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def later(asked: Asked) -> Answer | None:
        return Answer(429, headers={"Retry-After": "3600"}) if asked.path == "/search" and not asked.times else None

    begun = time.monotonic()
    with serve(TWELVE, later) as served:
        assert len(served.catalog(max_wait=0.3).search(QUERY, 50)) == 12
    assert time.monotonic() - begun < 5
    assert "asks us to wait 3600 s; trying again in 0.3 s" in caplog.text


def test_a_body_that_is_cut_is_asked_for_again() -> None:
    def cut(asked: Asked) -> Answer | None:
        body = json.dumps({"type": "FeatureCollection", "features": TWELVE}).encode()
        return Answer(200, body, close=True) if asked.path == "/search" and not asked.times else None

    with serve(TWELVE, cut) as served:
        assert len(served.catalog().search(QUERY, 50)) == 12


def test_a_gigantic_body_is_not_taken_announced_or_unfolding() -> None:
    packed = gzip.compress(b" " * 10_000_000)

    def announced(asked: Asked) -> Answer | None:
        return Answer(200, b" ", {"Content-Length": "9000000000"}) if asked.path == "/search" else None

    def unfolds(asked: Asked) -> Answer | None:
        return Answer(200, packed, {"Content-Encoding": "gzip"}) if asked.path == "/big" else None

    with serve(TWELVE, announced) as served, pytest.raises(CatalogError, match="9,000,000,000 bytes"):
        served.catalog().search(QUERY, 50)
    with serve(TWELVE, unfolds) as served, pytest.raises(AnswerError, match="longer than the 10,000 bytes"):
        served.catalog().http().content(f"{served.url}/big", largest=10_000)


def test_packed_pages_and_an_api_that_only_answers_get_are_read() -> None:
    def only_get(asked: Asked) -> Answer | None:
        if asked.path == "/":
            links = [{"rel": "search", "href": "search", "type": "application/geo+json"}]
            return document({"type": "Catalog", "id": "own", "links": links})
        if asked.path == "/search" and asked.method == "GET":
            start = int(asked.query.get("token", 0))
            link = {"href": f"search?limit=5&token={start + 5}&collections=s2"} if start + 5 < 12 else None
            packed = page(TWELVE[start : start + 5], link)
            return Answer(200, gzip.compress(packed.body), {"Content-Encoding": "gzip"})
        return Answer(405) if asked.path == "/search" else None

    with serve(TWELVE, only_get) as served:
        assert len(served.catalog().search(QUERY, 50)) == 12


def test_a_server_chooses_no_header_and_no_host() -> None:
    def greedy(asked: Asked) -> Answer | None:
        if asked.path != "/search" or asked.body.get("token"):
            return None
        link = {"href": "/search", "method": "POST", "headers": {"X-Evil": "1"}, "body": {"token": "3", "limit": 9}}
        return page(TWELVE[:3], link)

    with serve(TWELVE, greedy) as served:
        assert len(served.catalog().search(QUERY, 50)) == 12
        assert not [asked for asked in served.asked if "X-Evil" in asked.headers]

    def away(asked: Asked) -> Answer | None:
        return page(TWELVE[:3], {"href": "http://169.254.169.254/latest"}) if asked.path == "/search" else None

    def redirects(asked: Asked) -> Answer | None:
        return Answer(302, headers={"Location": "http://localhost:9/x"}) if asked.path == "/search" else None

    for habit, host in ((away, r"169\.254\.169\.254"), (redirects, "localhost")):
        with serve(TWELVE, habit) as served, pytest.raises(CatalogError, match=rf"{host}.*catalogs\.own\.hosts"):
            served.catalog().search(QUERY, 50)


def test_one_malformed_item_costs_itself_and_the_row_is_the_same_every_time() -> None:
    bad = [
        item("no-geometry") | {"geometry": None},
        item("text", **{"eo:cloud_cover": "clear"}),
        item("a/../b"),
        item("null\0"),
        item("x" * 400),
        item(".."),
        item("when", datetime="yesterday"),
        item("scale") | {"assets": {"red": {"href": "a.tif", "raster:bands": [{"scale": "one"}]}}},
        item("box") | {"bbox": ["a", 1, 2, 3]},
        item("inside-out") | {"geometry": {"type": "Polygon", "coordinates": [[[0, 0]]]}},
        item("no-assets") | {"assets": {}},
        "no item",
        None,
    ]
    with serve([*bad, *TWELVE]) as served:
        first, second = (served.catalog().find(QUERY, 50) for _ in range(2))
    assert len(first.items) == 12 and first.refused == second.refused
    assert len(first.refused) == len(bad)
    assert {row.reason for row in first.refused} == {"no-geometry", "invalid-item", "invalid-id"}
    assert all(len(row.item_id) <= 200 and row.item_id.isprintable() for row in first.refused)


def test_an_impossible_epsg_costs_nothing_since_the_file_knows_its_own() -> None:
    with serve([item("E", **{"proj:epsg": 3271}), item("F", **{"proj:epsg": 99999999})]) as served:
        assert names(served.catalog().search(QUERY, 5)) == ["E", "F"]


def test_a_catalog_that_does_not_answer_is_named_with_its_collection(tmp_path: Path) -> None:
    with serve([]) as served:
        catalog = served.catalog(max_wait=0.1)
    with pytest.raises(CatalogError, match=r"catalog 'own' at http://127.*collection 's2'.*refused"):
        catalog.search(QUERY, 5)


def test_a_server_that_hangs_is_waited_for_as_long_as_the_parameter_allows() -> None:
    released = threading.Event()

    def hangs(asked: Asked) -> Answer | None:
        if asked.path == "/search":
            released.wait(20)
        return None

    begun = time.monotonic()
    with serve(TWELVE, hangs) as served:
        http = served.catalog(max_wait=0.2).http()
        http.timeout = (1.0, 0.2)
        with pytest.raises(UnreachableError, match=r"timed out.*\(2 tries\)"):
            http.json(f"{served.url}/search")
        released.set()
    assert time.monotonic() - begun < 10
