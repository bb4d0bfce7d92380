"""tasks/earth/value_counts.py: what is counted is what numpy says of all values at once."""

import numpy as np
import pytest

from tasks.earth.value_counts import MOST, ValueCounts, from_ordered_bits, ordered_bits

RNG = np.random.default_rng(3)


def check(band: ValueCounts, values: np.ndarray, near: float) -> None:
    """Hold counts against all values in float64."""
    wide = values.astype(np.float64)
    assert band.count == len(values)
    assert band.mean == pytest.approx(wide.mean(), rel=1e-12)
    assert band.deviation == pytest.approx(wide.std(), rel=1e-9)
    assert (band.low, band.high) == (values.min(), values.max())
    for percent in (0, 2, 50, 98, 100):
        exact = float(np.percentile(values, percent, method="inverted_cdf"))
        assert band.percentile(percent) == pytest.approx(exact, rel=near, abs=0)
    edges, counts = band.histogram(16)
    exact_counts = np.histogram(values, edges)[0]
    assert counts.sum() == len(values)
    assert np.abs(counts - exact_counts).max() <= (0 if not near else len(values) * 1e-3)


@pytest.mark.parametrize("kind", ["uint16", "int16", "uint8"])
def test_stored_numbers_are_exact_with_several_scales_and_repeated_coarse_pixels(kind: str) -> None:
    band, values = ValueCounts(), []
    bounds = np.iinfo(kind)
    for scale, offset, times in ((1e-4, -0.1, 1), (1e-4, 0.0, 4), (2.75e-5, -0.2, 9)):
        numbers = RNG.integers(bounds.min, bounds.max, (32, 32), endpoint=True).astype(kind)
        numbers[:4] = bounds.min
        band.add_numbers(numbers, scale, offset, bounds.min, times)
        held = numbers[numbers != bounds.min].astype(np.float32) * np.float32(scale) + np.float32(offset)
        values.append(held.repeat(times))
    check(band, np.concatenate(values), 0)


def test_floats_of_more_different_values_than_are_held_are_near_and_their_mean_is_exact() -> None:
    band = ValueCounts()
    values = RNG.normal(-12, 6, (8, MOST // 2)).astype(np.float32)
    for some in values:
        some[:100] = np.nan
        band.add_numbers(some.reshape(256, -1), 1, 0, np.nan)
    check(band, values[np.isfinite(values)], 2e-4)


def test_bits_rise_with_values_and_lead_back_to_them() -> None:
    values = np.array([-np.float32(3e38), -1.5, -1e-30, -0.0, 0.0, 1e-30, 0.25, 3e38], dtype=np.float32)
    bits = ordered_bits(values)
    assert (np.diff(bits.astype(np.int64)) > 0).all()
    assert np.array_equal(from_ordered_bits(bits), values)
