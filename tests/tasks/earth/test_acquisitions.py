"""One overpass is one acquisition, whatever tile, baseline or catalog its items come from."""

import json
from typing import Any

import pystac
import pytest

from tasks.earth.acquisitions import acquisition_of, supersede, tile_of
from tasks.earth.items import to_item
from tasks.earth.sensors import SENSORS
from tests.conftest import ROOT
from tests.fixtures.stac_server import item

SENTINEL_1, SENTINEL_2, LANDSAT = (SENSORS[name] for name in ("sentinel-1", "sentinel-2", "landsat"))
ES, PC = "S2B_24MUV_20250731_0_L2A", "S2B_MSIL2A_20250731T130249_R095_T24MUV_20250731T132745"


def scene(
    name: str, collection: str = "s2", box: tuple[float, ...] = (12.4, 52.4, 12.8, 52.6), **p: Any
) -> pystac.Item:
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    document = item(name, collection, **{"platform": "sentinel-2a", **p})
    return to_item(document | {"bbox": list(box), "geometry": {"type": "Polygon", "coordinates": [ring]}})


def test_one_overpass_has_one_name_in_every_catalog_s_spelling() -> None:
    brazil = (-40.5, -5.5, -39.5, -4.5)
    uri = "S2B_MSIL2A_20250731T130249_N0511_R095_T24MUV_20250731T132745.SAFE"
    spellings = [
        # The time of the tile, and that of the datatake; another tile; Earth Search's first version.
        scene(ES, box=brazil, platform="sentinel-2b", datetime="2025-07-31T13:03:27.058Z", **{"s2:product_uri": uri}),
        scene(PC, box=brazil, platform="Sentinel-2B", datetime="2025-07-31T13:02:49.024Z"),
        scene(PC.replace("24MUV", "24MVV"), box=(-39.5, -5.5, -38.5, -4.5), platform="SENTINEL_2B",
              datetime="2025-07-31T13:02:49Z"),
        scene(ES, box=brazil, platform="sentinel-2b", datetime="2025-07-31T13:03:27Z",
              **{"sentinel:product_id": uri.removesuffix(".SAFE")}),
    ]  # fmt: skip
    assert {acquisition_of(one, SENTINEL_2) for one in spellings} == {"sentinel-2b_2025-07-31_track-095"}


def test_another_date_platform_or_orbit_is_another_acquisition() -> None:
    here = {"datetime": "2025-07-31T13:02:49Z", "sat:relative_orbit": 95}
    names = [
        acquisition_of(scene("A", **here), SENTINEL_2),
        acquisition_of(scene("A", **here | {"datetime": "2025-08-05T13:02:49Z"}), SENTINEL_2),
        acquisition_of(scene("A", **here | {"platform": "sentinel-2b"}), SENTINEL_2),
        acquisition_of(scene("A", **here | {"sat:relative_orbit": 138}), SENTINEL_2),
    ]
    assert len(set(names)) == 4


def test_the_date_is_local_where_utc_changes_its_date_in_the_middle_of_a_morning() -> None:
    box = (178.0, -18.0, 179.0, -17.0)
    times = ("2020-06-09T23:59:50Z", "2020-06-10T00:00:10Z")
    assert len({acquisition_of(scene("A", box=box, datetime=when), SENTINEL_2) for when in times}) == 1


def test_radar_passes_of_one_day_are_two_and_frames_of_one_orbit_are_one() -> None:
    frame = "S1A_IW_GRDH_1SDV_20240419T0459{0}_20240419T0459{1}_053498_067DF2"
    frames = [
        scene(frame.format("04", "16"), platform="SENTINEL-1A", datetime="2024-04-19T04:59:10Z"),
        scene(frame.format("16", "41") + "_rtc", platform="sentinel-1a", datetime="2024-04-19T04:59:28Z"),
        scene("17RMJ", platform="sentinel-1a", datetime="2024-04-19T04:59:28Z", **{"sat:absolute_orbit": 53498}),
    ]
    assert {acquisition_of(one, SENTINEL_1) for one in frames} == {"sentinel-1a_orbit-53498"}
    passes = [scene("A", platform="sentinel-1a", datetime=f"2024-04-19T{hour}:00:00Z") for hour in ("05", "16")]
    assert len({acquisition_of(one, SENTINEL_1) for one in passes}) == 2


def test_landsat_is_known_by_its_path_in_properties_and_in_names() -> None:
    when = "2020-01-14T17:05:46Z"
    given = scene("X", platform="LANDSAT_8", datetime=when, **{"landsat:wrs_path": "028", "landsat:wrs_row": "030"})
    named = scene("LC08_L2SP_028031_20200114_20200824_02_T1", platform="landsat-8", datetime=when)
    assert acquisition_of(given, LANDSAT) == acquisition_of(named, LANDSAT)


def test_of_two_baselines_the_newer_is_taken_and_another_date_stays() -> None:
    old = scene("S2A_33UUU_20200610_0_L2A", **{"s2:processing_baseline": "02.14"})
    new = scene("S2A_33UUU_20200610_1_L2A", **{"s2:processing_baseline": "05.00"})
    other = scene("S2A_33UUU_20200520_0_L2A", datetime="2020-05-20T10:00:00Z")
    kept, lost = supersede([old, new, other], SENTINEL_2, ["s2"])
    assert kept == [new, other] and lost == [(old, new)]


def test_two_halves_of_a_tile_cut_in_flight_are_two_scenes() -> None:
    north, south = scene("S2A_33UUU_20200610_0_L2A"), scene("S2A_33UUU_20200610_1_L2A", box=(12.4, 52.2, 12.8, 52.41))
    assert supersede([north, south], SENTINEL_2, ["s2"])[0] == [north, south]


def test_of_one_scene_in_two_collections_the_newer_baseline_is_taken_else_the_one_named_first() -> None:
    first, second = scene("S2A_33UUU_20200610_0_L2A", "a"), scene("S2A_33UUU_20200610_0_L2A", "b", created="2024")
    assert supersede([first, second], SENTINEL_2, ["a", "b"])[0] == [first]
    assert supersede([first, second], SENTINEL_2, ["b", "a"])[0] == [second]
    newer = scene("S2A_33UUU_20200610_0_L2A", "b", **{"s2:processing_baseline": "05.11"})
    older = scene("S2A_33UUU_20200610_0_L2A", "a", **{"s2:processing_baseline": "05.00"})
    assert supersede([older, newer], SENTINEL_2, ["a", "b"])[0] == [newer]
    l1c = scene("S2A_33UUU_20200610_0_L1C", "l1c", **{"s2:processing_baseline": "05.00"})
    l2a = scene("S2A_33UUU_20200610_0_L2A", "l2a", **{"s2:processing_baseline": "02.14"})
    assert supersede([l1c, l2a], SENTINEL_2, ["l2a", "l1c"])[0] == [l2a]


def test_patches_of_one_tile_are_not_taken_for_one_another() -> None:
    patches = [scene(f"patch-{n}", box=(12.4 + n / 10, 52.4, 12.41 + n / 10, 52.41)) for n in range(3)]
    assert len(supersede(patches, SENTINEL_2, ["s2"])[0]) == 3


SHARED = ROOT.parent / "shared" / "stac"


@pytest.mark.skipif(not SHARED.is_dir(), reason="no published items beside this checkout")
def test_published_items_of_one_tile_in_four_collections_are_one_scene() -> None:
    found = [
        to_item(json.loads((SHARED / "earth-search" / path).read_text()))
        for path in (
            "sentinel-2-l2a/S2B_20EPT_20250731_0_L2A.json",
            "sentinel-2-c1-l2a/S2B_T20EPT_20250731T131905_L2A.json",
            "sentinel-s2-l2a-cogs/S2B_20EPT_20250731_0_L2A.json",
            "sentinel-2-l1c/S2B_20EPT_20250731_0_L1C.json",
        )
    ]
    assert {tile_of(one) for one in found} == {"20EPT"}
    assert len({acquisition_of(one, SENTINEL_2) for one in found}) == 1
    kept, _ = supersede(found, SENTINEL_2, ["sentinel-2-c1-l2a", "sentinel-2-l2a"])
    assert [one.collection_id for one in kept] == ["sentinel-2-c1-l2a"]


def test_the_mode_in_a_radar_product_s_name_is_no_tile() -> None:
    assert tile_of(scene("S1A_IW_GRDH_1SDV_20240419T045904_20240419T045916_053498_067DF2")) is None
    assert tile_of(scene("S2A_T06VVN_20240419_L2A")) == "6VVN" == tile_of(scene("A", **{"grid:code": "MGRS-6VVN"}))
