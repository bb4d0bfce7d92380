"""Which asset is which band, and what its numbers mean, of items as catalogs really write them."""

from typing import Any

import numpy as np
import pystac
import pytest

from tasks.earth.assets import find_mask, missing, required_bands, resolve
from tasks.earth.catalog_params import NUMBERS
from tasks.earth.raster import calibrate
from tasks.earth.sensors import SENSORS

S2, S1, LANDSAT = SENSORS["sentinel-2"], SENSORS["sentinel-1"], SENSORS["landsat"]


def item(assets: dict[str, dict[str, Any]], name: str = "X", collection: str = "c", **properties: Any) -> pystac.Item:
    document = {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection, "geometry": None, "links": [],
        "properties": {"datetime": "2020-06-10T10:00:00Z", **properties},
        "assets": {key: {"href": f"https://x/{key}.tif", **asset} for key, asset in assets.items()},
    }  # fmt: skip
    return pystac.Item.from_dict(document, migrate=False)


def eo(**fields: str) -> dict[str, Any]:
    return {"eo:bands": [fields]}


def keys(found: dict[str, Any]) -> dict[str, str]:
    return {band: asset.key for band, asset in found.items()}


TM = ["blue", "green", "red", "nir", "swir16", "lwir", "swir22"]


@pytest.mark.parametrize("named", [{"platform": "landsat-5"}, {"platform": "LANDSAT_7"}, {"platform": "x"}])
@pytest.mark.parametrize("declared", [True, False])
def test_bands_of_the_older_landsats_are_theirs_and_not_those_of_the_same_number(
    named: dict[str, str], declared: bool
) -> None:
    assets = {f"B{i}": eo(name=f"B{i}", common_name=common) if declared else {} for i, common in enumerate(TM, 1)}
    scene = item(assets, "LE07_TEST", **named)
    found = resolve(scene, LANDSAT)
    assert keys(found) == {"B2": "B1", "B3": "B2", "B4": "B3", "B5": "B4", "B6": "B5", "B7": "B7"}
    assert missing(scene, LANDSAT, list(found)) is None, "they have no coastal band, and are whole without"


def test_a_band_that_declares_itself_another_is_never_taken_for_its_key() -> None:
    found = resolve(item({"B4": eo(common_name="nir"), "B3": eo(common_name="red")}), LANDSAT)
    assert keys(found) == {"B4": "B3", "B5": "B4"}


def test_thermal_counts_are_no_temperature_and_surface_temperature_is() -> None:
    counts = {"B6": {**eo(name="B6", common_name="lwir"), "raster:bands": [{"scale": 2.75e-05, "offset": -0.2}]}}
    assert "ST" not in resolve(item(counts, platform="landsat-5"), LANDSAT)
    silent = resolve(item({"lwir": {}, "blue": {}}, "LT05_L2SP_044033_20060329_20200831_02_T1"), LANDSAT)
    assert (silent["ST"].scale, silent["ST"].offset, silent["ST"].unit) == (0.00341802, 149.0, "kelvin")
    assert (silent["B2"].scale, silent["B2"].offset) == (2.75e-05, -0.2)


def test_a_common_name_that_several_share_decides_nothing_and_their_own_names_do() -> None:
    shared = {f"x{n}": eo(name=f"B{n:02d}", common_name="rededge") for n in (5, 6, 7)} | {
        "x8": eo(name="B8A", common_name="rededge")
    }
    assert keys(resolve(item(shared), S2)) == {"B05": "x5", "B06": "x6", "B07": "x7", "B8A": "x8"}
    nameless = {f"x{n}": eo(common_name="rededge") for n in (5, 6, 7)}
    assert resolve(item(nameless), S2) == {}, "none of them can be told from the others"


def test_renderings_and_previews_are_no_bands_whatever_they_declare() -> None:
    rendered = {"eo:bands": [{"name": "B04", "common_name": "red"}, {"name": "B03", "common_name": "green"}]}
    assets = {
        "visual": {**rendered, "roles": ["visual"]}, "preview": rendered, "tci": rendered,
        "thumbnail": {**eo(common_name="red"), "roles": ["thumbnail"]}, "B04": {},
    }  # fmt: skip
    assert keys(resolve(item(assets), S2)) == {"B04": "B04"}


def test_of_several_resolutions_the_band_s_own_is_taken() -> None:
    assets = {f"B04_{gsd}m": {"gsd": gsd, "bands": [{"name": "B04"}]} for gsd in (60, 20, 10)}
    assert keys(resolve(item(assets), S2)) == {"B04": "B04_10m"}
    odd = {f"red-{gsd}": {"gsd": gsd, "bands": [{"name": "B04", "eo:common_name": "red"}]} for gsd in (60, 20, 10)}
    assert keys(resolve(item(odd), S2)) == {"B04": "red-10"}


def test_bands_of_one_file_are_found_by_their_place_in_its_list() -> None:
    data = {"bands": [{"name": "B02"}, {"name": "B03"}, {"name": "B04", "nodata": 7, "scale": 0.5}]}
    found = resolve(item({"data": data}), S2)
    assert {band: asset.band for band, asset in found.items()} == {"B02": 1, "B03": 2, "B04": 3}
    assert (found["B04"].nodata, found["B04"].scale, found["B02"].nodata) == (7, 0.5, None)


def test_a_band_is_found_by_its_title_where_nothing_else_says_it() -> None:
    assets = {"asset-1": {"title": "Band 4 (red) - 10m"}, "asset-2": {"title": "Band 3 (green) - 10m"}}
    assert keys(resolve(item(assets), S2)) == {"B03": "asset-2", "B04": "asset-1"}


def test_the_quality_of_temperatures_is_not_the_quality_mask() -> None:
    assert find_mask(item({"qa": {}, "qa_aerosol": {}, "qa_radsat": {}}), LANDSAT) is None
    found = find_mask(item({"qa": {}, "QA_PIXEL": {}}), LANDSAT)
    assert found is not None and found.key == "QA_PIXEL" and found.scale == 1.0


@pytest.mark.parametrize(
    ("flown", "wanted"),
    [(["vv", "vh"], ["VV", "VH"]), (["hh", "hv"], ["HH", "HV"]), (["hh"], ["HH"]), (["iw-vv", "iw-vh"], ["VV", "VH"])],
)
def test_radar_has_the_polarisations_it_was_flown_in(flown: list[str], wanted: list[str]) -> None:
    scene = item({key: {} for key in flown})
    assert required_bands(scene, S1, list(resolve(scene, S1))) == wanted


def test_radar_of_one_cross_polarisation_lacks_the_other_and_says_so() -> None:
    scene = item({"vh": {}})
    error = missing(scene, S1, list(resolve(scene, S1)))
    assert error is not None and "scene X has no band VV" in str(error) and "(vh)" in str(error)


@pytest.mark.parametrize(
    ("name", "collection", "properties", "unit"),
    [
        ("S1A_IW_GRDH_1SDV_x_rtc", "sentinel-1-rtc", {"sar:product_type": "RTC"}, "power"),
        ("S1A_20200103_17RMJ_ASC", "aws", {"sar:product_type": "RTC"}, "power"),
        ("S1A_IW_GRDH_1SDV_20210809", "sentinel-1-grd", {"sar:product_type": "GRD"}, None),
    ],
)
def test_the_unit_of_radar_is_known_by_its_product(
    name: str, collection: str, properties: dict[str, str], unit: str | None
) -> None:
    scene = item(
        {"vv": {}, "vh": {}, "schema-calibration-vv": {}, "schema-noise-vv": {}}, name, collection, **properties
    )
    band = resolve(scene, S1)["VV"]
    assert band.unit == unit
    calibrated = band.annotation and band.annotation[0].endswith("calibration-vv.tif")
    assert bool(calibrated) == (unit is None)


def test_what_the_item_does_not_say_comes_from_its_collection_then_from_params_then_from_the_product() -> None:
    name = "S2A_MSIL2A_20190101T000001_N0212_R116_T59VPE_20201007T214658"
    template = {"item_assets": {"B04": {"raster:bands": [{"scale": 2.0, "offset": 1.0, "nodata": 9}]}}}
    assert resolve(item({"B04": {}}, name), S2)["B04"].scale == 1e-4
    assert resolve(item({"B04": {}}), S2)["B04"].scale == 1.0, "nothing says that it is of this product"
    own = resolve(item({"B04": {"raster:bands": [{"scale": 3.0}]}}), S2, template)["B04"]
    assert (own.scale, own.offset, own.nodata) == (3.0, 1.0, 9.0)
    assert resolve(item({"B04": {}}, name), S2, {NUMBERS: {"scale": 5.0}})["B04"].scale == 5.0
    assert resolve(item({"B04": {}}, name), S2, {**template, NUMBERS: {"scale": 5.0}})["B04"].scale == 2.0


@pytest.mark.parametrize("template", [{"scale": 1}, {"scale": 1.0, "offset": 0}, {"offset": 0.0}, {}])
def test_a_scale_of_one_says_no_more_than_none_and_floats_are_physical_already(template: dict[str, float]) -> None:
    name = "S2A_MSIL2A_20190101T000001_N0212_R116_T59VPE_20201007T214658"
    band = resolve(item({"B04": {"raster:bands": [template]}}, name), S2)["B04"]
    assert (band.scale, band.declared_offset, band.assumed) == (1e-4, None, True)
    whole, valid = np.full((2, 2), 1300, np.uint16), np.ones((2, 2), bool)
    assert calibrate(whole, valid, band, "reflectance") == pytest.approx(0.13)
    floats = np.full((2, 2), 0.13, np.float32)
    assert calibrate(floats, valid, band, "reflectance") == pytest.approx(0.13)


def test_thermal_numbers_of_another_scale_are_no_temperature_whatever_the_product() -> None:
    counts = {"lwir": {"raster:bands": [{"scale": 2.75e-05, "offset": -0.2}]}}
    assert "ST" not in resolve(item(counts, "LT05_L2SP_044033_20060329_20200831_02_T1"), LANDSAT)


@pytest.mark.parametrize(
    ("written", "read"), [("0", 0.0), (0, 0.0), (None, None), ("none", None), ([1, 2], 1.0), (True, None)]
)
def test_no_data_is_read_as_catalogs_write_it(written: Any, read: float | None) -> None:
    assert resolve(item({"B04": {"raster:bands": [{"nodata": written}]}}), S2)["B04"].nodata == read


@pytest.mark.parametrize("written", ["dB", "db", "Decibel", "linear power", "natural", "1", None])
def test_units_are_read_as_catalogs_spell_them(written: str | None) -> None:
    unit = resolve(item({"vv": {"raster:bands": [{"unit": written}]}}), S1)["VV"].unit
    assert unit in ("dB", "linear", "power", None)
