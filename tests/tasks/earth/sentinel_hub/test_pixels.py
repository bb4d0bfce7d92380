"""Pixels of the Process API are those of the files behind it, on the same grid, with the same mask."""

import numpy as np
import pystac
import pytest
import rasterio
from numpy.typing import NDArray

from tasks.core.errors import SceneError
from tasks.earth.assets import Asset
from tasks.earth.radiometry import Stored, to_physical
from tasks.earth.raster import TargetGrid, read_onto
from tasks.earth.sentinel_hub.account import Account
from tasks.earth.sentinel_hub.collections import Plane, collection_of
from tasks.earth.sentinel_hub.extent import place_of
from tasks.earth.sentinel_hub.pixels import read, tiles
from tests.fixtures.rasters import opened
from tests.fixtures.sentinel_hub_scenes import EPSG, LEFT, SIDE, TOP, search
from tests.fixtures.sentinel_hub_server import Raster, Scene, Service

BLOCK = TargetGrid(EPSG, LEFT - 640, TOP + 640, 10, 384, 384)
"""Beyond the scene on three sides."""
OWN_PHASE = TargetGrid(EPSG, LEFT - 15 - 600, TOP + 15 + 600, 30, 128, 128)
"""On Landsat's own pixels, half a pixel off the global grid."""


def found(account: Account, scene: Scene) -> pystac.Item:
    feature = scene.feature
    items = search(account, feature["collection"])
    return next(item for item in items if item.id == feature["id"])


def through_files(raster: Raster, plane: Plane, target: TargetGrid) -> NDArray[np.float32]:
    with opened(raster.path, Asset("S", plane.key, "", nodata=0)) as file:
        values, valid = read_onto(file, target)
    return physical(values, valid, Stored(raster.scale, raster.offset, plane.declared), plane)


def through_service(item: pystac.Item, plane: Plane, target: TargetGrid, account: Account) -> NDArray[np.float32]:
    values, valid = read(item, [plane.key], target, account)[plane.key]
    described = item.assets[plane.key].extra_fields["raster:bands"][0]
    stored = Stored(described["scale"], described["offset"], described.get("unit"))
    return physical(values, valid, stored, plane)


def physical(values: NDArray, valid: NDArray[np.bool_], stored: Stored, plane: Plane) -> NDArray[np.float32]:
    return to_physical(values, valid, stored, "dB" if plane.declared == "power" else "reflectance", plane.key)


@pytest.mark.parametrize(("which", "target"), [("optical", BLOCK), ("older", BLOCK), ("landsat", OWN_PHASE)])
def test_reflectance_of_a_place_is_that_of_the_files_to_less_than_half_a_count(
    which: str, target: TargetGrid, made_scenes: dict[str, Scene], account: Account
) -> None:
    scene = made_scenes[which]
    item = found(account, scene)
    planes = [
        plane for plane in collection_of(item).planes.values() if plane.band in scene.bands and not plane.declared
    ]
    assert len(planes) >= 3
    for plane in (plane for plane in planes if not plane.codes):
        ours, theirs = (
            through_files(scene.bands[plane.band], plane, target),
            through_service(item, plane, target, account),
        )
        # Swath edges of single bands and the scene's own are no data in both, dark water below zero is not.
        assert (np.isnan(ours) == np.isnan(theirs)).all(), plane.key
        assert 0.3 < np.isnan(ours).mean() < 0.9
        assert np.nanmax(np.abs(ours - theirs)) < plane.scale / 2, plane.key
    if which == "optical":
        assert np.nanmin(theirs) < 0


def test_landsat_on_the_global_grid_is_the_mean_of_the_four_pixels_around_without_a_shift(
    made_scenes: dict[str, Scene], account: Account
) -> None:
    item = found(account, made_scenes["landsat"])
    plane = collection_of(item).planes["red"]
    with opened(made_scenes["landsat"].bands["B04"].path) as file:
        numbers = file.dataset.read(1, window=((20, 61), (20, 61))).astype(float)
    mean = (numbers[:-1, :-1] + numbers[1:, :-1] + numbers[:-1, 1:] + numbers[1:, 1:]) / 4
    target = TargetGrid(EPSG, LEFT + 600, TOP - 600, 30, 40, 40)
    theirs = through_service(item, plane, target, account)
    assert np.abs(theirs - (mean * plane.scale + plane.offset)).max() < plane.scale


def test_surface_temperature_is_in_kelvin(made_scenes: dict[str, Scene], account: Account) -> None:
    item = found(account, made_scenes["landsat"])
    values, valid = read(item, ["lwir11"], OWN_PHASE, account)["lwir11"]
    described = item.assets["lwir11"].extra_fields["raster:bands"][0]
    kelvin = values[valid] * described["scale"] + described["offset"]
    assert described["unit"] == "kelvin" and 285 < kelvin.min() < kelvin.max() < 307


def test_radar_is_power_in_decibels_where_there_is_a_swath(made_scenes: dict[str, Scene], account: Account) -> None:
    item = found(account, made_scenes["radar"])
    for key in ("vv", "vh"):
        plane = collection_of(item).planes[key]
        ours = through_files(made_scenes["radar"].bands[plane.band], plane, BLOCK)
        theirs = through_service(item, plane, BLOCK, account)
        both = ~np.isnan(ours) & ~np.isnan(theirs)
        # Bilinear on the very grid of the file is the file; at the edge of the data the kernels differ by a pixel.
        assert both.sum() > 0.97 * (~np.isnan(ours)).sum()
        assert np.median(np.abs(ours[both] - theirs[both])) < 1e-4


def test_a_scene_of_the_other_polarisations_has_their_bands_and_no_others(
    made_scenes: dict[str, Scene], account: Account
) -> None:
    item = found(account, made_scenes["polar"])
    assert list(item.assets) == ["hh", "hv"]
    assert read(item, ["hv"], BLOCK, account)["hv"][1].any()
    with pytest.raises(SceneError, match="has no vv at Sentinel Hub; it has hh, hv"):
        read(item, ["vv"], BLOCK, account)


@pytest.mark.parametrize(("which", "key"), [("optical", "scl"), ("landsat", "qa_pixel")])
def test_classes_and_bits_are_never_interpolated_in_the_own_zone_or_another(
    which: str, key: str, made_scenes: dict[str, Scene], account: Account
) -> None:
    scene = made_scenes[which]
    item = found(account, scene)
    band = collection_of(item).planes[key].band
    with opened(scene.bands[band].path) as file:
        there = set(np.unique(file.dataset.read(1)))
        ours, inside = read_onto(file, BLOCK, codes=True)
    values, valid = read(item, [key], BLOCK, account)[key]
    assert (values[valid & inside] == ours[valid & inside]).all()
    assert valid.sum() > 0.5 * inside.sum()
    # The neighbouring zone: 9 degrees east instead of 15.
    x, y = rasterio.warp.transform(f"EPSG:{EPSG}", "EPSG:32632", [LEFT + SIDE / 2], [TOP - SIDE / 2])
    neighbour = TargetGrid(32632, round(x[0], -2) - 900, round(y[0], -2) + 900, 15, 120, 120)
    values, valid = read(item, [key], neighbour, account)[key]
    assert valid.mean() > 0.5 and set(np.unique(values[valid])) <= there


def test_bands_are_interpolated_in_another_zone_as_files_are(
    made_scenes: dict[str, Scene], service: Service, account: Account
) -> None:
    item = found(account, made_scenes["optical"])
    x, y = rasterio.warp.transform(f"EPSG:{EPSG}", "EPSG:32632", [LEFT + SIDE / 2], [TOP - SIDE / 2])
    neighbour = TargetGrid(32632, round(x[0], -2) - 500, round(y[0], -2) + 500, 10, 100, 100)
    plane = collection_of(item).planes["red"]
    theirs = through_service(item, plane, neighbour, account)
    ours = through_files(made_scenes["optical"].bands["B04"], plane, neighbour)
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    # A warp is exact to an eighth of a pixel, and these pixels are noise of 0.4.
    assert both.mean() > 0.8 and np.abs(ours[both] - theirs[both]).max() < 0.05
    assert service.asked("process")[-1]["input"]["data"][0]["processing"]["upsampling"] == "BILINEAR"


def test_bands_and_mask_of_one_resampling_are_one_request(
    made_scenes: dict[str, Scene], service: Service, account: Account
) -> None:
    item = found(account, made_scenes["optical"])
    read(item, ["red", "blue", "scl"], BLOCK, account)
    (body,) = service.asked("process")
    assert body["input"]["bounds"]["bbox"] == [LEFT - 640, TOP + 640 - 3840, LEFT - 640 + 3840, TOP + 640]
    assert (body["output"]["width"], body["output"]["height"]) == (384, 384)
    assert body["input"]["data"][0]["dataFilter"] == {
        "timeRange": {"from": "2023-06-05T10:16:00.000Z", "to": "2023-06-05T10:16:02.000Z"},
        "mosaickingOrder": "leastRecent",
    }


def test_radar_is_asked_for_as_calibrated_sigma0_of_its_own_mode(
    made_scenes: dict[str, Scene], service: Service, account: Account
) -> None:
    read(found(account, made_scenes["radar"]), ["vv"], BLOCK, account)
    (source,) = service.asked("process")[-1]["input"]["data"]
    assert source["processing"]["backCoeff"] == "SIGMA0_ELLIPSOID" and source["processing"]["orthorectify"] is True
    assert source["dataFilter"] | {"timeRange": 0} == {
        "timeRange": 0,
        "mosaickingOrder": "leastRecent",
        "acquisitionMode": "IW",
        "polarization": "DV",
        "resolution": "HIGH",
    }


def test_a_grid_larger_than_the_service_computes_is_put_together_from_parts_without_a_seam(
    made_scenes: dict[str, Scene], service: Service, account: Account
) -> None:
    large = TargetGrid(EPSG, LEFT, TOP, 1.0, 2880, 128)
    assert [(part.grid.width, part.column) for part in tiles(large)] == [(2500, 0), (380, 2500)]
    item = found(account, made_scenes["optical"])
    values, valid = read(item, ["blue"], large, account)["blue"]
    with opened(made_scenes["optical"].bands["B02"].path, Asset("S", "blue", "", nodata=0)) as file:
        ours, inside = read_onto(file, large)
    assert len(service.asked("process")) == 2
    assert (valid == inside).all() and (values[valid] == ours[valid]).all()


def test_a_neighbour_of_the_same_second_lends_a_scene_no_pixels(
    made_scenes: dict[str, Scene], service: Service, account: Account
) -> None:
    scene = made_scenes["optical"]
    item = found(account, scene)
    item.properties["proj:bbox"] = [LEFT, TOP - SIDE, LEFT + SIDE / 2, TOP]
    _, valid = read(item, ["red"], BLOCK, account)["red"]
    assert valid[:, :208].any() and not valid[:, 208:].any()


def test_where_a_scene_lies_is_known_from_its_item(made_scenes: dict[str, Scene], account: Account) -> None:
    gridded, bare = (found(account, made_scenes[which]) for which in ("optical", "radar"))
    for item in (gridded, bare):
        place = place_of(item)
        bounds = place.bounds_in(EPSG)
        assert EPSG in place.zones
        assert abs(bounds.left - LEFT) < 60 and abs(bounds.bottom - (TOP - SIDE)) < 60


def test_a_scene_across_180_degrees_lies_in_both_zones(made_scenes: dict[str, Scene], account: Account) -> None:
    item = found(account, made_scenes["radar"])
    west, east = 179.9, -179.2
    item.geometry = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[west, -17], [180, -17], [180, -16], [west, -16], [west, -17]]],
            [[[-180, -17], [east, -17], [east, -16], [-180, -16], [-180, -17]]],
        ],
    }
    place = place_of(item)
    assert place.zones == [32701, 32760]
    widths = [place.bounds_in(epsg).right - place.bounds_in(epsg).left for epsg in place.zones]
    assert 90_000 < sum(widths) < 115_000, "with the strip around the edge of a zone that both hold"


def test_a_scene_without_a_polygon_or_a_time_is_refused_by_name(
    made_scenes: dict[str, Scene], account: Account
) -> None:
    item = found(account, made_scenes["radar"])
    item.geometry = None
    with pytest.raises(SceneError, match="has no polygon that says where it lies"):
        place_of(item)
    item.datetime = None
    with pytest.raises(SceneError, match="has no time"):
        read(item, ["vv"], BLOCK, account)
