import numpy as np
import pytest

from tasks.core.errors import UnaskableError
from tasks.evaluation.datasets.images import npy
from tasks.evaluation.runner.checkpoint_model import mixed
from tasks.evaluation.runner.imported import BenchmarkImage
from tasks.evaluation.runner.questions import BenchmarkQuestion
from tasks.evaluation.runner.rgb_model import pictures_of, without_tags
from tasks.evaluation.runner.sensor_images import kind_of, read_calibrated
from tasks.vlm.controls import CONTROLS, kind_key, partners
from tests.tasks.evaluation.datasets.files import encoded
from tests.tasks.evaluation.runner.runs import image_of

L2A = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")


def opened(data, sensor, bands=(), benchmark="aid", folder=None):
    return read_calibrated(image_of(data, sensor, bands), folder, benchmark)


def reason(data, sensor, bands=(), benchmark="aid"):
    with pytest.raises(UnaskableError) as caught:
        opened(data, sensor, bands, benchmark)
    return caught.value.reason


def test_numbers_of_bigearthnet_are_ten_thousandths_and_those_of_so2sat_reflectance():
    levels = np.linspace(300, 3000, 12)[:, None, None] * np.ones((12, 8, 8))
    benchmark = opened(npy(levels), "[s2_ms_10]", L2A, "bigearthnet-ms")
    assert list(benchmark.planes)[:3] == ["B04", "B03", "B02"]
    assert benchmark.planes["B12"].max() == pytest.approx(0.3)
    # Its published prompt has the tag of Sentinel-1; the bands count.
    other = opened(npy(levels[:10] / 1e4), "[s1_vh_10]", (*L2A[1:9], "B11", "B12"), "so2sat-lcz42")
    assert other.kind.sensor.name == "sentinel-2" and other.planes["B02"].max() == pytest.approx(0.03)
    assert reason(npy(levels), "[s2_ms_10]", L2A, "so2sat-lcz42") == "implausible_numbers"


def test_radar_in_power_becomes_decibel():
    picture = opened(npy(np.full((2, 8, 8), 0.01)), "[s1_vh_temp_10]", ("VV", "VH"), "quakeset")
    assert picture.kind.sensor.name == "sentinel-1" and picture.planes["VV"].mean() == pytest.approx(-20)


@pytest.mark.parametrize(
    ("bands", "sensor", "shown"),
    [(3, "[hr_rgb_0.5]", "RGB"), (1, "[hr_rgb_0.5]", "RGB"), (1, "[s1_vh_1]", ["AMP"])],
)
def test_pictures_are_shown_with_the_bands_of_their_sensor(bands, sensor, shown):
    picture = opened(encoded(".png", bands=bands), sensor)
    assert list(picture.planes) == list(shown) and picture.true_colour().shape == (16, 16, 3)


def test_three_copies_of_one_band_are_one_band_and_three_colours_are_not():
    grey = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 8, 8)), 3, axis=0)
    assert list(opened(npy(grey), "[Inf_thermal_1]").planes) == ["TIR"]
    assert reason(encoded(".png"), "[Inf_thermal_1]") == "wrong_bands"


def test_where_a_picture_is_transparent_there_is_no_data():
    pixels = np.full((4, 8, 8), 100.0)
    pixels[3] = 255
    pixels[3, :4] = 0
    plane = opened(npy(pixels), "[hr_rgb_0.5]").planes["R"]
    assert np.isnan(plane[:4]).all() and (plane[4:] == 100).all()


def test_what_is_no_image_of_its_sensor_is_named():
    assert reason(npy(np.full((3, 8, 8), 900.0)), "[hr_rgb_0.5]") == "implausible_numbers"
    assert reason(npy(np.zeros((5, 8, 8))), "[hr_rgb_0.5]") == "wrong_bands"
    assert reason(encoded(".png"), "[no_such_tag]") == "unknown_sensor"
    assert reason(encoded(".png"), "[hr_rgb_0.5]", ("ultraviolet",)) == "unknown_band"
    assert reason(npy(np.ones((2, 8, 8))), "[s2_ms_10]", ("B01", "B02")) == "missing_band"


def test_a_measured_image_is_stretched_for_people_and_a_rendering_left_as_it_is():
    levels = np.random.default_rng(0).uniform(0.02, 0.2, (12, 8, 8))
    shown = opened(npy(levels * 1e4), "[s2_ms_10]", L2A, "bigearthnet-ms").true_colour()
    assert shown.min() == 0 and shown.max() == 255
    data = encoded(".png")
    rendered = opened(data, "[hr_rgb_0.5]")
    assert (rendered.true_colour().transpose(2, 0, 1) == np.stack(list(rendered.planes.values()))).all()


def test_every_sample_is_shown_the_image_of_another_group_of_its_kind_each_once():
    groups = ["a", "a", "b", "c", "d", "d", "e", "f"]
    kinds = ["rgb"] * 6 + ["sar", "ms"]
    found = partners(kinds, groups)
    assert found[6:] == [None, None]
    taken = [groups[other] for other in found[:6]]
    assert all(mine != other for mine, other in zip(groups, taken, strict=False))
    assert sorted(set(taken)) == ["a", "b", "c", "d"] and taken[0] == taken[1]


def test_bands_are_permuted_or_greyed_and_what_is_said_of_them_stays():
    from tasks.vlm.images import Normalisation, preprocess

    planes = {name: np.full((4, 4), float(number), np.float32) for number, name in enumerate("RGB")}
    normalise = Normalisation({"hr-rgb8": dict.fromkeys("RGB", (0.0, 1.0)), "sar8": {"AMP": (0.0, 1.0)}})
    image = preprocess(planes, "hr-rgb8", list("RGB"), normalise)
    shuffled, greyed = (CONTROLS[name].mix for name in ("shuffled-bands", "greyed"))
    assert mixed(image, shuffled).pixels[0, :, 0, 0].tolist() == [2, 0, 1]
    assert mixed(image, greyed).pixels[0, :, 0, 0].tolist() == [1, 1, 1]
    assert (mixed(image, greyed).wavelengths == image.wavelengths).all()
    one = preprocess({"AMP": planes["G"]}, "sar8", ["AMP"], normalise)
    with pytest.raises(UnaskableError, match="one band"):
        mixed(one, greyed)


def test_models_of_pictures_get_the_same_controls_in_their_colours(tmp_path):
    def shown(image, control=None):
        return pictures_of(
            BenchmarkQuestion(0, (("?", ""),), (BenchmarkImage(image, tmp_path, "aid"),), control=control)
        )

    image = image_of(encoded(".png"), "[hr_rgb_0.5]")
    (own,) = shown(image)
    assert shown(image, "no-image") == []
    assert (shown(image, "other-image")[0] == own).all()  # which image it is, the run has decided
    assert (shown(image, "shuffled-bands")[0] == own[..., [2, 0, 1]]).all()
    (grey,) = shown(image, "greyed")
    assert (grey == own.mean(-1, keepdims=True).round()).all() and grey.dtype == np.uint8
    with pytest.raises(UnaskableError, match="without colour"):
        shown(image_of(encoded(".png", bands=1), "[hr_rgb_0.5]"), "greyed")


def test_kinds_differ_by_the_number_of_images():
    image = image_of(encoded(".png"), "[hr_rgb_0.5]")
    assert kind_key([image]) != kind_key([image, image]) and kind_of(image, "aid").sensor.name == "hr-rgb8"


def test_other_models_are_asked_without_tags_and_with_real_line_ends():
    asked = "[hr_rgb_0.5]  <image> \\n Classify it. Classes:  a, b \\nAnswer in one word."
    assert without_tags(asked) == "Classify it. Classes: a, b\nAnswer in one word."


def test_a_palette_is_read_as_colours():
    import io

    from PIL import Image

    drawn = np.zeros((8, 8, 3), np.uint8)
    drawn[:4] = (200, 30, 60)
    for kind in ("PNG", "GIF"):
        out = io.BytesIO()
        Image.fromarray(drawn).convert("P", palette=Image.Palette.ADAPTIVE).save(out, kind)
        shown = opened(out.getvalue(), "[hr_rgb_0.5]").true_colour()
        assert shown.shape == (8, 8, 3) and np.abs(shown.astype(int) - drawn).max() < 8
