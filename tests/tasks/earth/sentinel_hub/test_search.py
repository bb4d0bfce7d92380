"""The Catalog API: every scene once, as an item like any other."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.errors import CatalogError, UnreachableError
from tasks.earth.catalog import Query
from tasks.earth.items import read_items, write_items
from tasks.earth.sentinel_hub.account import Account
from tasks.earth.sentinel_hub.search import SentinelHubSource, features
from tests.fixtures.sentinel_hub_scenes import search
from tests.fixtures.sentinel_hub_server import Fault, Scene, Service


def many(service: Service, count: int) -> None:
    scene = service.scenes["sentinel-2-l2a"][0]
    service.scenes["sentinel-2-l2a"] = [
        replace(
            scene,
            feature=scene.feature
            | {
                "id": f"scene-{index:03d}",
                "properties": scene.feature["properties"]
                | {"datetime": f"2023-06-{index % 30 + 1:02d}T10:16:01Z", "eo:cloud_cover": float(index)},
            },
        )
        for index in range(count)
    ]


def test_items_have_one_asset_a_band_and_mask_described_like_a_file(account: Account) -> None:
    item = search(account, "sentinel-2-l2a", None, "2023")[0]
    assert {"red", "nir08", "scl", "swir22"} <= set(item.assets) and "cirrus" not in item.assets
    assert item.assets["red"].href == "sentinelhub:sentinel-2-l2a#B04"
    assert item.assets["red"].extra_fields == {
        "gsd": 10,
        "raster:bands": [
            {"nodata": 0, "data_type": "uint16", "spatial_resolution": 10, "scale": 0.0001, "offset": -0.1}
        ],
        "eo:bands": [{"name": "B04", "common_name": "red"}],
    }
    assert item.properties["proj:code"] == "EPSG:32633" and item.properties["eo:cloud_cover"] == 12.5


def test_recorded_items_are_read_back_unchanged(account: Account, tmp_path: Path) -> None:
    for collection in ("sentinel-2-l2a", "sentinel-1-grd", "landsat-ot-l2"):
        items = search(account, collection)
        write_items(items, tmp_path / "items.parquet")
        back = {item.id: item for item in read_items(tmp_path / "items.parquet")}
        for item in items:
            assert set(back[item.id].assets) == set(item.assets)
            assert {key: asset.href for key, asset in back[item.id].assets.items()} == {
                key: asset.href for key, asset in item.assets.items()
            }
            assert back[item.id].datetime == item.datetime and back[item.id].properties.get("proj:bbox") == (
                item.properties.get("proj:bbox")
            )


def test_all_pages_are_read_each_scene_once(account: Account, service: Service) -> None:
    many(service, 45)
    service.page = 10
    found = [item.id for item in search(account, "sentinel-2-l2a")]
    assert sorted(found) == [f"scene-{index:03d}" for index in range(45)]
    assert [body.get("next") for body in service.asked("search")] == [None, 10, 20, 30, 40]


def test_pages_are_asked_for_as_they_are_needed(account: Account, service: Service) -> None:
    many(service, 45)
    service.page = 10
    assert next(features(account, "sentinel-2-l2a", None, None, None))
    assert len(service.asked("search")) == 1


@pytest.mark.parametrize(
    ("when", "count"),
    [("2023-06", 45), ("2023-06-10/2023-06-12", 6), ("2023-06-30", 1), ("2023-06-29/..", 2), ("2024", 0)],
)
def test_dates_mean_what_stac_means_by_them(when: str, count: int, account: Account, service: Service) -> None:
    many(service, 45)
    assert len(search(account, "sentinel-2-l2a", None, when)) == count


def test_area_and_cloud_cover_are_asked_of_the_service(account: Account, service: Service) -> None:
    many(service, 45)
    assert len(search(account, "sentinel-2-l2a", [13.0, 52.0, 14.0, 53.0], None, 9.5)) == 10
    assert search(account, "sentinel-2-l2a", [20.0, 52.0, 21.0, 53.0]) == []
    assert service.asked("search")[0]["filter"] == "eo:cloud_cover <= 9.5"


def test_radar_that_tells_no_cloud_cover_is_not_filtered_by_it(account: Account, service: Service) -> None:
    assert len(search(account, "sentinel-1-grd", None, None, 10.0)) == 2
    assert "filter" not in service.asked("search")[0]


def test_a_page_that_repeats_for_ever_is_an_error_that_says_so(account: Account, service: Service) -> None:
    many(service, 45)
    service.page, service.repeat_pages = 10, True
    with pytest.raises(CatalogError, match="repeats its pages; 10 scenes were found"):
        search(account, "sentinel-2-l2a")


def test_a_page_that_fails_once_is_asked_for_again(account: Account, service: Service) -> None:
    many(service, 25)
    service.page = 10
    service.faults["search"].extend([Fault(), Fault(502), Fault(429, {"Retry-After": "20"})])
    assert len(search(account, "sentinel-2-l2a")) == 25


@pytest.mark.parametrize("body", [{"features": 3}, {"features": []}, [], {"features": [None], "context": {}}])
def test_an_answer_that_is_no_page_of_items_is_an_error(body: object, account: Account, service: Service) -> None:
    service.faults["search"].append(Fault(203, body=body))
    with pytest.raises(CatalogError, match="search of 'sentinel-2-l2a'"):
        search(account, "sentinel-2-l2a")


def test_a_feature_that_is_no_item_comes_as_it_is_among_the_others(
    account: Account, service: Service, made_scenes: dict[str, Scene]
) -> None:
    scene = made_scenes["optical"]
    broken = replace(scene, feature={"id": "broken", "bbox": scene.feature["bbox"], "properties": None})
    service.scenes["sentinel-2-l2a"] = [broken, scene]
    found = list(features(account, "sentinel-2-l2a", None, None, None))
    assert found[0] == broken.feature and found[1]["assets"]["red"]


def test_collections_are_those_of_the_account_that_are_known_here(account: Account, service: Service) -> None:
    source = SentinelHubSource(account)
    service.scenes["byoc-of-somebody"] = []
    assert source.collections() == ["landsat-ot-l2", "sentinel-1-grd", "sentinel-2-l2a"]
    assert source.collection("sentinel-2-l2a") == {"type": "Collection", "id": "sentinel-2-l2a"}
    assert source.collection("sentinel-2-l1c") is None


def test_a_source_answers_the_queries_of_a_catalog(account: Account, service: Service) -> None:
    many(service, 45)
    query = Query("sentinel-2-l2a", [13.0, 52.0, 14.0, 53.0], "2023-06-01/2023-06-10", 20.0)
    found = [feature["id"] for feature, _ in SentinelHubSource(account).features(query)]
    assert found == [f"scene-{index:03d}" for index in range(10)]


def test_a_service_that_is_down_is_unreachable(account: Account, service: Service) -> None:
    service.faults["search"].extend([Fault(503)] * 3)
    with pytest.raises(UnreachableError, match="cannot be reached"):
        search(account, "sentinel-2-l2a")


def test_a_collection_that_is_not_known_is_named_before_anything_is_asked(account: Account, service: Service) -> None:
    with pytest.raises(CatalogError, match="'modis': not known; Sentinel Hub's are here: landsat-ot-l2"):
        search(account, "modis")
    assert service.seen == []
