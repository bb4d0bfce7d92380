"""Evalscripts: what is sent to Sentinel Hub runs in Node, and returns the numbers of the products."""

import numpy as np
import pytest

from tasks.earth.sensors import SENSORS
from tasks.earth.sentinel_hub.collections import collections, evalscript
from tests.fixtures.evalscripts import evaluate, setup_of
from tests.fixtures.sentinel_hub_server import known_units

NAMES = sorted(collections())


@pytest.mark.parametrize("name", NAMES)
def test_the_script_of_each_collection_runs_and_asks_for_bands_and_units_that_the_service_has(name: str) -> None:
    collection = collections()[name]
    planes = list(collection.planes.values())
    setup = setup_of(evalscript(planes, collection.sample_type, 0))
    (wanted,) = setup["input"]
    known = known_units(name)
    assert set(wanted["bands"]) <= set(known)
    assert all(unit in known[band] for band, unit in zip(wanted["bands"], wanted["units"], strict=True))
    assert wanted["bands"][-1] == "dataMask" and setup["output"]["bands"] == len(planes) + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_of_sensors_finds_every_band_of_a_collection_by_its_key(name: str) -> None:
    known = {alias for sensor in SENSORS.values() for band in sensor.bands for alias in band.aliases}
    known |= {alias for sensor in SENSORS.values() for alias in sensor.mask_aliases}
    # Thermal bands and the other pair of polarisations may be missing from the registry.
    assert {key for key, plane in collections()[name].planes.items() if plane.units == "REFLECTANCE"} <= known
    assert {key for key, plane in collections()[name].planes.items() if plane.codes} <= known


def test_reflectance_comes_back_as_the_very_number_of_the_products_file() -> None:
    plane = collections()["landsat-ot-l2"].planes["red"]
    numbers = np.arange(1, 65_536, dtype=np.float64).reshape(1, -1)
    value = (numbers * plane.scale + plane.offset).astype(np.float32).astype(float)
    out = evaluate(evalscript([plane], "UINT16", 0), {plane.band: value, "dataMask": np.ones_like(value)})
    assert (out[..., 0] == numbers).all() and (out[..., 1] == 1).all()


def test_what_the_service_masks_is_zero_in_every_plane_whatever_the_bands_hold() -> None:
    collection = collections()["sentinel-2-l2a"]
    planes = [collection.planes["red"], collection.planes["scl"]]
    samples = {
        "B04": np.array([[0.3, 0.3, np.nan]]),
        "SCL": np.array([[4.0, 8, 9]]),
        "dataMask": np.array([[1.0, 0, 1]]),
    }
    out = evaluate(evalscript(planes, "UINT16", 0), samples)
    assert out.tolist() == [[[4000, 4, 1], [0, 0, 0], [0, 9, 1]]]


def test_no_data_of_old_baselines_is_reflectance_zero_and_of_new_ones_minus_a_tenth() -> None:
    collection = collections()["sentinel-2-l2a"]
    plane = collection.planes["red"]
    samples = {"B04": np.float32([[0, 0.0001, -0.1, -0.0999]]).astype(float), "dataMask": np.ones((1, 4))}
    names = ("S2A_MSIL2A_20180605T101601_N0208_R065_T33UUP_x", "S2A_MSIL2A_20230605T101601_N0510_R065_T33UUP_x")
    old, new = (evaluate(evalscript([plane], "UINT16", collection.empty(name)), samples)[0, :, 0] for name in names)
    assert old.tolist() == [0, 1001, 0, 0]
    assert new.tolist() == [1000, 1001, 0, 1]
