"""Counts of a radar become sigma nought by the annotation of their product, made here in the layout of a SAFE."""

import numpy as np
import pytest

from tasks.core.errors import SceneError
from tasks.earth.sentinel1 import BORDER, FAINTEST, Annotation, annotation
from tests.fixtures.safe_annotation import calibration, noise, old_noise

WIDTH, HEIGHT = 6000, 4000


def factors(line: int, pixels: np.ndarray) -> np.ndarray:
    return 400 + pixels / 100 + line / 1000


def flat(value: float):
    return lambda line, pixels: np.full(len(pixels), value)


def read(noise_xml: bytes | None, width: int = WIDTH) -> Annotation:
    return annotation(calibration(WIDTH, HEIGHT, factors), noise_xml, width, HEIGHT, "scene S1A_x, asset vv")


def test_sigma_nought_is_squared_counts_less_noise_over_the_squared_factor_everywhere_in_the_image() -> None:
    counts = np.full((3, 5), 300, np.uint16)
    row, column = 2011, 3007
    power = read(noise(WIDTH, HEIGHT, flat(500.0), [(0, 2999, 1.0), (3000, WIDTH - 1, 1.2)])).power(counts, row, column)
    rows, columns = np.mgrid[row : row + 3, column : column + 5]
    assert power == pytest.approx((300.0**2 - 500 * 1.2) / (400 + columns / 100 + rows / 1000) ** 2, rel=1e-5)


def test_noise_of_products_before_2018_is_one_table() -> None:
    counts = np.full((2, 2), 100, np.uint16)
    power = read(old_noise(WIDTH, HEIGHT, flat(1000.0))).power(counts, 2000, 3000)
    assert power[0, 0] == pytest.approx((1e4 - 1000) / (400 + 30 + 2) ** 2, rel=1e-5)


def test_without_noise_annotation_the_factor_alone_is_taken() -> None:
    assert read(None).power(np.full((1, 1), 100, np.uint16), 2000, 3000)[0, 0] == pytest.approx(1e4 / 432**2, rel=1e-5)


def test_a_sample_of_nothing_but_noise_is_the_faintest_and_one_without_a_count_is_none() -> None:
    counts = np.array([[0, 5, 100]], np.uint16)
    power = read(noise(WIDTH, HEIGHT, flat(500.0))).power(counts, 2000, 3000)
    assert np.isnan(power[0, 0])
    assert power[0, 1] == np.float32(FAINTEST)
    assert power[0, 2] > 0.04


def test_noise_of_the_border_is_no_measurement_and_calm_water_beside_it_is() -> None:
    rng = np.random.default_rng(0)
    counts = np.sqrt(rng.exponential(500.0, (64, 900))).round().astype(np.uint16)  # speckle of thermal noise alone
    counts[:, :300] = rng.integers(1, 8, (64, 300))
    power = read(noise(WIDTH, HEIGHT, flat(500.0))).power(counts, 1500, 0)
    assert np.isfinite(power[:, :280]).mean() < 0.01
    assert np.isfinite(power[:, 320:]).mean() > 0.95, "the water is as dark as noise, and still measured"


def test_far_from_the_edges_nothing_is_taken_for_the_border() -> None:
    counts = np.full((8, 200), 3, np.uint16)
    power = read(noise(WIDTH, HEIGHT, flat(500.0))).power(counts, 1500, BORDER + 500)
    assert np.isfinite(power).all()


def test_an_image_that_was_resampled_is_refused_by_name() -> None:
    with pytest.raises(SceneError, match=r"S1A_x, asset vv is 1280 pixels wide.*image of 6000.*resampled") as caught:
        read(None, width=1280)
    assert caught.value.reason == "annotation"


@pytest.mark.parametrize(
    "hostile",
    [
        b"not xml",
        b"<calibration/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><calibration>&b;</calibration>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><calibration/>',
        calibration(WIDTH, HEIGHT, factors).replace(b"<line>", b"<lime>", 1).replace(b"</line>", b"</lime>", 1),
        calibration(WIDTH, HEIGHT, flat(0.0)),
    ],
)
def test_an_annotation_that_is_none_of_sentinel_1_costs_its_scene_and_is_named(hostile: bytes) -> None:
    with pytest.raises(SceneError, match="S1A_x, asset vv") as caught:
        annotation(hostile, None, WIDTH, HEIGHT, "scene S1A_x, asset vv")
    assert caught.value.reason == "annotation"
