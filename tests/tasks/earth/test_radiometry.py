"""What stored numbers mean: decided from what is declared and from the numbers, and refused where they disagree."""

from typing import Any

import numpy as np
import pytest

from tasks.core.errors import SceneError
from tasks.earth.assets import Asset
from tasks.earth.radiometry import DARKEST, RadiometryError, Stored, check_plausible, to_physical
from tasks.earth.raster import calibrate

RNG = np.random.default_rng(0)
DECIBELS = RNG.normal(-15, 4, (64, 64)).astype(np.float32)
REFLECTANCE = RNG.uniform(0.02, 0.5, (64, 64)).astype(np.float32)


def read(values: np.ndarray[Any, Any], sensor_unit: str, **declared: Any) -> np.ndarray[Any, Any]:
    """A band of which no more is known than `declared`."""
    stored, valid = Stored(**declared), np.ones(values.shape, bool)
    physical = to_physical(values, valid, stored, sensor_unit, "it")
    check_plausible(physical, stored, sensor_unit, "it")
    return physical


def test_decibels_power_and_amplitude_of_the_same_scene_become_the_same_decibels() -> None:
    power = 10 ** (DECIBELS / 10)
    assert np.array_equal(read(DECIBELS, "dB"), DECIBELS)
    assert np.allclose(read(power, "dB"), DECIBELS, atol=1e-4)
    assert np.allclose(read(power, "dB", unit="linear"), DECIBELS, atol=1e-4)
    assert np.allclose(read(np.sqrt(power), "dB", unit="amplitude"), DECIBELS, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 16])
def test_radar_of_whole_numbers_with_a_declared_mapping_has_the_spread_of_decibels(bits: int) -> None:
    # EarthDial takes such numbers for decibels: their spread is then a hundredth.
    scale, offset = 55 / (2**bits - 1), -40.0
    stored = np.rint((DECIBELS - offset) / scale).astype(f"uint{bits}")
    again = read(stored, "dB", scale=scale, offset=offset, unit="dB")
    assert np.abs(again - DECIBELS).max() <= scale
    for decibels in (again, read(DECIBELS, "dB")):
        normalised = (decibels - DECIBELS.mean()) / DECIBELS.std()
        assert 0.9 < normalised.std() < 1.1 and abs(normalised.mean()) < 0.1


def test_reflectance_passes_and_whole_numbers_take_their_scale() -> None:
    assert np.array_equal(read(REFLECTANCE, "reflectance"), REFLECTANCE)
    stored = np.rint(REFLECTANCE * 10_000 + 1000).astype(np.uint16)
    assert np.allclose(read(stored, "reflectance", scale=1e-4, offset=-0.1), REFLECTANCE, atol=1e-4)


def test_display_values_of_imported_sensors_stay_what_they_are() -> None:
    shown = RNG.integers(0, 256, (8, 8)).astype(np.uint8)
    assert np.array_equal(read(shown, "dn8"), shown.astype(np.float32))


def test_what_is_not_there_stays_not_there_and_nothing_at_all_is_no_error() -> None:
    values = REFLECTANCE.copy()
    values[0, 0], values[0, 1] = np.nan, np.inf
    assert np.isnan(read(values, "reflectance")[0, :2]).all() and np.isnan(read(values, "reflectance")).sum() == 2
    assert np.isnan(read(np.full((4, 4), np.nan, np.float32), "dB")).all()
    assert np.isnan(read(np.zeros((4, 4), np.float32), "dB", unit="power")).all()


def test_a_constant_image_is_what_it_is() -> None:
    assert (read(np.full((4, 4), 0.25, np.float32), "reflectance") == np.float32(0.25)).all()
    assert (read(np.full((4, 4), -12, np.float32), "dB") == -12).all()


def test_a_glint_does_not_decide() -> None:
    values = REFLECTANCE.copy()
    values[0, :10] = 90.0
    assert read(values, "reflectance")[0, 0] == 90


def test_traces_of_power_at_an_edge_are_clipped_and_no_power_is_no_data() -> None:
    power = 10 ** (DECIBELS / 10)
    power[0, :3] = 1e-20, 0.0, 1e-30
    decibels = read(power, "dB")
    assert decibels[0, [0, 2]].tolist() == [DARKEST, DARKEST] and np.isnan(decibels[0, 1])
    assert np.nanmin(decibels[1:]) == pytest.approx(DECIBELS[1:].min(), abs=1e-4)


@pytest.mark.parametrize(
    ("values", "sensor_unit", "declared", "said"),
    [
        (RNG.integers(0, 255, (8, 8)).astype(np.uint8), "dB", {}, r"8-bit numbers \(uint8\) from .* unit dB, scale"),
        (RNG.integers(0, 900, (8, 8)).astype(np.uint16), "dB", {}, "are not known to be dB, power or amplitude"),
        (RNG.uniform(0, 60_000, (8, 8)), "dB", {}, "and unit not declared; real ground lies in -60.0 to 15.0"),
        (RNG.normal(0.01, 0.02, (64, 64)), "dB", {}, "could be dB or power with its noise subtracted"),
        (DECIBELS * 10, "dB", {"unit": "dB"}, "median dB is -1.* and unit dB"),
        (DECIBELS, "dB", {"unit": "reflectance"}, "its unit is 'reflectance'; radar is needed as dB, power"),
        (RNG.integers(0, 255, (8, 8)).astype(np.uint8), "reflectance", {}, "8-bit numbers .* without a scale"),
        (RNG.integers(100, 9000, (8, 8)).astype(np.uint16), "reflectance", {}, "declare what a step is"),
        (REFLECTANCE * 10_000, "reflectance", {}, "median reflectance is .* with scale 1.0"),
        (REFLECTANCE, "reflectance", {"unit": "dB"}, "which is radar's"),
        (REFLECTANCE - 5, "dn8", {}, "display values lie in 0 to 255"),
        (np.ones((8, 8), complex), "dB", {}, "its numbers are complex128"),
        (np.ones((8, 8), bool), "reflectance", {}, "its numbers are bool"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_numbers_that_cannot_be_what_they_should_be_are_refused(
    values: np.ndarray[Any, Any], sensor_unit: str, declared: dict[str, Any], said: str
) -> None:
    with pytest.raises(RadiometryError, match=said) as caught:
        read(values, sensor_unit, **declared)
    assert str(caught.value).startswith("it: ")


def test_an_asset_of_a_scene_that_is_refused_names_the_scene_and_can_be_grouped_by_its_reason() -> None:
    stored, valid = np.ones((4, 4), np.uint8), np.ones((4, 4), bool)
    with pytest.raises(SceneError, match="scene S1A_x, asset vv: 8-bit numbers") as caught:
        calibrate(stored, valid, Asset("S1A_x", "vv", "x.tif"), "dB")
    assert caught.value.reason == "radiometry"
