"""Captions in Karpathy's, NWPU's and LEVIR's files; xBD's labels."""

import pytest

from tasks.core.errors import BenchmarkError
from tests.tasks.evaluation.datasets.files import picture, take_over, write_json


def karpathy(path, split="test"):
    """Two images of the split, one of another; sentences with and without `raw`, one empty."""
    sentences = [{"raw": "many planes .", "tokens": ["many", "planes"]}, {"tokens": ["an", "airport"]}, {"raw": " "}]
    images = [{"filename": "airport_1.jpg", "imgid": 0, "split": split, "sentences": sentences}]
    images += [{"filename": "airport_2.jpg", "imgid": 1, "split": split, "sentences": [{"raw": "a runway ."}]}]
    images += [{"filename": "airport_3.jpg", "imgid": 2, "split": "train", "sentences": [{"raw": "x"}]}]
    return write_json(path, {"images": images, "dataset": "rsicd"})


@pytest.mark.parametrize(
    ("name", "file", "folder"),
    [
        ("rsicd-captions", "dataset_rsicd.json", "RSICD_images"),
        ("rsitmd-captions", "dataset_RSITMD.json", "images"),
        ("sydney-captions", "dataset.json", "imgs"),
        ("ucm-captions", "dataset.json", "imgs"),
    ],
)
def test_all_captions_of_an_image_are_its_references(tmp_path, name, file, folder):
    karpathy(tmp_path / file)
    picture(tmp_path / folder / "airport_1.JPG", 1)
    picture(tmp_path / folder / "airport_2.tif", 2)
    _, samples = take_over(name, tmp_path, tmp_path / "out")
    assert [sample.references for sample in samples] == [("many planes .", "an airport"), ("a runway .",)]
    assert samples[0].extra == {"empty_captions": 1}
    assert (
        samples[0].question
        == " [caption] [hr_rgb_0.5] <image> \\n Could you please provide the caption for the input image?"
    )


def test_an_image_whose_captions_are_all_empty_is_left_out(tmp_path):
    images = [{"filename": "a.jpg", "split": "test", "sentences": [{"raw": ""}]}]
    images += [{"filename": "b.jpg", "split": "test", "sentences": [{"raw": "b ."}]}]
    write_json(tmp_path / "dataset_rsicd.json", {"images": images})
    picture(tmp_path / "RSICD_images/b.jpg")
    assert take_over("rsicd-captions", tmp_path, tmp_path / "out")[0].rejected == {"no_truth": 1}


def test_a_name_that_two_pictures_bear_is_refused(tmp_path):
    karpathy(tmp_path / "dataset_rsicd.json")
    for folder in "ab":
        picture(tmp_path / f"RSICD_images/{folder}/airport_1.jpg")
    with pytest.raises(BenchmarkError, match=r"airport_1\.jpg may be any of a/airport_1\.jpg, b/airport_1\.jpg"):
        take_over("rsicd-captions", tmp_path, tmp_path / "out")


def test_nwpu_captions_lie_in_five_fields_class_by_class(tmp_path):
    entry = {
        "filename": "airplane_001.jpg",
        "split": "test",
        "raw": "0 .",
        "raw_1": "1 .",
        "raw_2": "2 .",
        "raw_3": "3 .",
        "raw_4": "4 .",
    }
    content = {"airplane": [entry, {**entry, "filename": "airplane_002.jpg", "split": "val"}], "beach": []}
    write_json(tmp_path / "dataset_nwpu.json", content)
    picture(tmp_path / "NWPU_images/airplane/airplane_001.jpg")
    _, [sample] = take_over("nwpu-captions", tmp_path, tmp_path / "out")
    assert sample.references == ("0 .", "1 .", "2 .", "3 .", "4 .") and sample.id == "airplane/airplane_001.jpg"


def test_levir_shows_before_then_after_and_keeps_its_flag(tmp_path):
    name = "test_000001.png"
    entry = {"filepath": "test", "filename": name, "imgid": 0, "split": "test", "changeflag": 1}
    write_json(tmp_path / "LevirCCcaptions.json", {"images": [{**entry, "sentences": [{"raw": " a road is built ."}]}]})
    for date in ("A", "B", "label"):
        picture(tmp_path / f"images/test/{date}/{name}", ord(date[0]))
    _, [sample] = take_over("levir-mci", tmp_path, tmp_path / "out")
    assert [image.path.split("/")[-2] for image in sample.images] == ["A", "B"] and sample.extra == {"changeflag": 1}


def test_dubai_s_pair_lies_in_two_folders_of_dates(tmp_path):
    entry = {"filename": "500_1.png", "sentences": [{"raw": "a new road ."}], "split": "test"}
    write_json(tmp_path / "description_jsontr_te_val/Test.json", {"images": [entry]})
    for date in ("500_2000", "500_2010"):
        picture(tmp_path / f"RGB/{date}/500_1.png")
    assert len(take_over("dubai-cc", tmp_path, tmp_path / "out")[1][0].images) == 2


def square(x, y, side=10):
    return f"POLYGON (({x} {y}, {x + side} {y}, {x + side} {y + side}, {x} {y + side}, {x} {y}))"


@pytest.fixture
def xbd(tmp_path):
    """One pair of a flood with five buildings, one of them un-classified; one pair without buildings."""
    damages = ["no-damage", "minor-damage", "destroyed", "major-damage", "un-classified"]
    properties = [
        {"feature_type": "building", "subtype": damage, "uid": f"u{number}"} for number, damage in enumerate(damages)
    ]
    features = [{"properties": building, "wkt": square(10 * number, 20)} for number, building in enumerate(properties)]
    for stem, listed in (("midwest-flooding_00000001", features), ("midwest-flooding_00000002", [])):
        for when in ("pre", "post"):
            note = {
                "disaster": "midwest-flooding",
                "disaster_type": "flooding",
                "width": 100,
                "height": 100,
                "capture_date": "2019-05-23T16:00:00Z",
            }
            content = {"features": {"lng_lat": [], "xy": listed}, "metadata": note}
            write_json(tmp_path / f"in/test/labels/{stem}_{when}_disaster.json", content)
            picture(tmp_path / f"in/test/images/{stem}_{when}_disaster.png", len(stem))
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("name", "truths"),
    [
        ("xbd-type", ["flood", "flood"]),
        ("xbd-affected", ["yes", "no"]),
        ("xbd-count", ["many", "none"]),
        ("xbd-damage-level", ["no-damage", "minor-damage", "destroyed", "major-damage"]),
        ("xbd-damage-harmed", ["no", "yes", "yes", "yes"]),
    ],
)
def test_xbd_s_questions_follow_from_the_damage_of_its_buildings(xbd, tmp_path, name, truths):
    done, samples = take_over(name, xbd, tmp_path / "out")
    assert [sample.references[0] for sample in samples] == truths
    assert all(sample.references[0] in sample.options for sample in samples) and not done.comparable
    assert samples[0].images[1].date == "2019-05-23T16:00:00Z" and len({sample.group for sample in samples}) <= 2


def test_a_damage_question_names_the_building_s_box(xbd, tmp_path):
    _, samples = take_over("xbd-damage-level", xbd, tmp_path / "out")
    assert "building at <box>[[10, 20, 20, 30, 0]]</box> between" in samples[1].question


def test_all_buildings_are_located_and_a_pair_without_any_is_left_out(xbd, tmp_path):
    done, [sample] = take_over("xbd-locate", xbd, tmp_path / "out")
    assert len(sample.boxes) == 5 and done.rejected == {"no_truth": 1}


def test_a_pair_that_lost_its_first_picture_is_counted(xbd, tmp_path):
    (xbd / "test/images/midwest-flooding_00000001_pre_disaster.png").unlink()
    assert take_over("xbd-type", xbd, tmp_path / "out")[0].rejected == {"missing_image": 1}
