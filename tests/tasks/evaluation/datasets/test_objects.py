"""Object detection in its owners' own files, and DIOR-RSVG."""

import pytest

from tasks.core.errors import BenchmarkError
from tests.tasks.evaluation.datasets.files import picture, take_over, write_json


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


def test_nwpu_vhr_asks_class_by_class_for_all_boxes(tmp_path):
    picture(tmp_path / "positive image set/001.JPG", size=(100, 200))
    text(tmp_path / "ground truth/001.txt", "(20,10),(40,30),1\r\n( 60,10),(80,30),1 \r\n(0,0),(200,100),10\r\n\r\n")
    done, samples = take_over("nwpu-vhr-10-refer", tmp_path, tmp_path / "out")
    assert [(s.id, s.references[0]) for s in samples] == [
        ("001#airplane", "[[10, 10, 20, 30, 0]][[30, 10, 40, 30, 0]]"),
        ("001#vehicle", "[[0, 0, 100, 100, 0]]"),
    ]
    assert samples[0].question.endswith("<ref>airplane</ref>") and not done.comparable and samples[0].group == "001"


def test_hit_uav_s_own_spelling_of_coco_is_read(tmp_path):
    root = tmp_path / "HIT-UAV/normal_json"
    picture(root / "test/0_60_30_0_01609.jpg", size=(512, 640))
    content = {
        "categories": [{"id": 0, "name": "Person"}, {"id": 1, "name": "OtherVehicle"}],
        "images": [{"id": 3, "filename": "0_60_30_0_01609.jpg", "width": 640, "height": 512}],
        "annotation": [{"image_id": 3, "category_id": 0, "bbox": [64, 51.2, 64, 51.2]}],
    }
    write_json(root / "annotations/test.json", content)
    assert take_over("hit-uav-refer", tmp_path, tmp_path / "out")[1][0].references == ("[[10, 10, 20, 20, 0]]",)


def test_an_annotation_file_without_annotations_says_what_it_has(tmp_path):
    write_json(tmp_path / "HIT-UAV/normal_json/annotations/test.json", {"categories": [], "labels": []})
    (tmp_path / "HIT-UAV/normal_json/test").mkdir()
    with pytest.raises(BenchmarkError, match="neither annotations nor annotation; it has categories, labels"):
        take_over("hit-uav-refer", tmp_path, tmp_path / "out")


def test_sar_ships_are_fractions_of_the_chip(tmp_path):
    picture(tmp_path / "ship_dataset_v0/Gao_ship_hh_0201.jpg", bands=1)
    text(tmp_path / "ship_dataset_v0/Gao_ship_hh_0201.txt", "0 0.5 0.5 0.2 0.4\n")
    _, [sample] = take_over("sar-ship-refer", tmp_path, tmp_path / "out")
    assert sample.references == ("[[40, 30, 60, 70, 0]]",) and sample.extra == {"label": "ship"}


def test_rotated_ships_of_dota_text_keep_their_corners(tmp_path):
    picture(tmp_path / "test/images/1.png", bands=1, size=(100, 100))
    lines = "imagesource:GF3\ngsd:null\n50 30 70 50 50 70 30 50 ore-oil 0\n"
    text(tmp_path / "test/labels/1.txt", lines)
    _, [sample] = take_over("srsdd-refer", tmp_path, tmp_path / "out")
    assert sample.boxes[0] == pytest.approx((0.5, 0.5, 0.08**0.5, 0.08**0.5, -45))
    assert "<ref>ore oil</ref>" in sample.question


def test_ucas_takes_the_class_from_the_folder_and_same_names_do_not_meet(tmp_path):
    for label in ("CAR", "PLANE"):
        picture(tmp_path / f"{label}/P0001.png", size=(100, 100))
        text(tmp_path / f"{label}/P0001.txt", "10\t10\t20\t10\t20\t30\t10\t30\t0.0\t10\t10\t10\t20\t\n")
    _, samples = take_over("ucas-aod-refer", tmp_path, tmp_path / "out")
    assert [sample.id for sample in samples] == ["CAR/P0001#car", "PLANE/P0001#plane"]
    assert samples[0].references == ("[[10, 10, 20, 30, 0]]",)


def test_pools_of_voc_files_are_read_and_broken_xml_is_named(tmp_path):
    picture(tmp_path / "images/0001.jpg", size=(100, 100))
    box = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
    text(
        tmp_path / "labels/0001.xml",
        f"<annotation><filename>0001.jpg</filename><object><name>1</name>{box}</object></annotation>",
    )
    _, [sample] = take_over("swimming-pool-refer", tmp_path, tmp_path / "out")
    assert sample.references == ("[[10, 20, 30, 40, 0]]",) and "<ref>swimming pool</ref>" in sample.question
    text(tmp_path / "labels/0002.xml", "<annotation>")
    with pytest.raises(BenchmarkError, match=r"0002\.xml is not XML"):
        take_over("swimming-pool-refer", tmp_path, tmp_path / "out")


def test_tree_crowns_of_coco_files_are_read(tmp_path):
    picture(tmp_path / "images/1.png", size=(100, 100))
    content = {
        "categories": [{"id": 1, "name": "tree"}],
        "images": [{"id": 1, "file_name": "1.png"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 10, 10]}],
    }
    write_json(tmp_path / "test_1.json", content)
    assert take_over("urban-tree-crown-refer", tmp_path, tmp_path / "out")[0].samples == 1


def rsvg(root, listed="1\r\n2\r\n"):
    for number in (1, 2):
        picture(root / f"JPEGImages/0000{number}.jpg", number, size=(80, 80))
        objects = "".join(
            "<object><name>ship</name><bndbox><xmin>8</xmin><ymin>16</ymin><xmax>24</xmax>"
            f"<ymax>{32 + order}</ymax></bndbox><description>ship {number}{order}</description></object>"
            for order in range(2)
        )
        size = "<size><width>80</width><height>80</height></size>"
        text(
            root / f"Annotations/0000{number}.xml",
            f"<annotation><filename>0000{number}.jpg</filename>{size}{objects}</annotation>",
        )
    text(root / "test.txt", listed)
    return root


def test_dior_rsvg_s_split_numbers_objects_through_the_files(tmp_path):
    _, samples = take_over("dior-rsvg", rsvg(tmp_path / "in"), tmp_path / "out")
    assert [sample.question.split("<ref>")[1] for sample in samples] == ["ship 11</ref>", "ship 20</ref>"]
    assert samples[1].references == ("[[10, 20, 30, 40, 0]]",) and samples[0].group == "00001.jpg"


def test_a_split_that_numbers_more_objects_than_there_are_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="up to object 9, but its XML files hold only 4"):
        take_over("dior-rsvg", rsvg(tmp_path / "in", "1\n9\n"), tmp_path / "out")
