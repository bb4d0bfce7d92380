"""Scenes, spectra and archives in their owners' files: folders, GeoTIFFs and HDF5."""

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets import registry
from tasks.evaluation.datasets.images import decode
from tests.tasks.evaluation.datasets.files import geotiff, picture, take_over, write_json


@pytest.mark.parametrize(
    ("name", "folder", "classes", "suffix"),
    [
        ("ucm", "UCMerced_LandUse/Images", ("agricultural", "tenniscourt"), ".tif"),
        ("whu-rs19", "WHU-RS19", ("footballField", "Viaduct"), ".jpg"),
        ("resisc45", "NWPU-RESISC45", ("thermal_power_station", "sea_ice"), ".jpg"),
        ("patternnet", "PatternNet/images", ("christmas_tree_farm", "wastewater_treatment_plant"), ".jpg"),
        ("siri-whu", "12class_tif", ("idle_land", "overpass"), ".tif"),
    ],
)
def test_every_scene_archive_is_read_from_its_own_folders(tmp_path, name, folder, classes, suffix):
    for number, label in enumerate(classes):
        picture(tmp_path / folder / label / f"{label}01{suffix}", number)
    (tmp_path / "__MACOSX" / folder / classes[0]).mkdir(parents=True)
    done, samples = take_over(name, tmp_path, tmp_path / "out")
    assert sorted(sample.references[0] for sample in samples) == sorted(classes)
    assert done.samples == 2 and "{" not in samples[0].question


def test_bands_of_a_patch_are_brought_to_ten_metres_in_the_registry_s_order(tmp_path):
    name = "S2A_MSIL2A_20170613T101031_0_45"
    for number, band in enumerate(registry.get("bigearthnet-ms").bands):
        side = {"B02": 120, "B03": 120, "B04": 120, "B08": 120, "B01": 20, "B09": 20}.get(band, 60)
        geotiff(tmp_path / name / f"{name}_{band}.tif", np.full((1, side, side), 100 * number, np.uint16))
    labels = {"labels": ["Sea and ocean", "Port areas", "Estuaries", "Mixed forest"]}
    write_json(tmp_path / name / f"{name}_labels_metadata.json", labels)
    _, [sample] = take_over("bigearthnet-ms", tmp_path, tmp_path / "out")
    pixels = decode(sample.images[0])
    assert pixels.shape == (12, 120, 120) and pixels[:, 5, 5].tolist() == [100 * number for number in range(12)]
    assert sample.references == ("Marine waters, Mixed forest",), "43 labels are merged into 19, and ports dropped"
    assert sample.answer_type == "labels" and len(sample.options) == 19


def test_the_second_edition_s_labels_and_split_come_from_its_parquet(tmp_path):
    rows = {"patch_id": ["a", "b", "c", "d"], "labels": [["Pastures"], ["Marine waters"], ["Pastures"], ["Lava"]]}
    rows |= {"split": ["test", "train", "test", "test"]}
    pq.write_table(pa.table(rows), tmp_path / "metadata.parquet")
    for patch in "abd":
        for band in ("B02", "B03", "B04"):
            geotiff(tmp_path / f"BigEarthNet-S2/tile/{patch}/{patch}_{band}.tif", np.ones((1, 120, 120), np.uint16))
    done, samples = take_over("bigearthnet-rgb", tmp_path, tmp_path / "out")
    assert [sample.id for sample in samples] == ["a"]
    assert done.rejected == {"missing_image": 1, "unknown_class": 1}


def test_local_climate_zones_come_from_the_archive_and_two_hot_labels_are_left_out(tmp_path):
    labels = np.zeros((3, 17), np.float64)
    labels[0, 4] = labels[1, 16] = labels[2, 0] = labels[2, 1] = 1
    pixels = np.random.default_rng(0).random((3, 32, 32, 10))
    with h5py.File(tmp_path / "testing.h5", "w") as file:
        file["sen1"], file["sen2"], file["label"] = np.zeros((3, 32, 32, 8)), pixels, labels
    done, samples = take_over("so2sat-lcz42", tmp_path, tmp_path / "out")
    assert [sample.references[0] for sample in samples] == ["Open mid rise", "Water"] and done.rejected == {
        "no_truth": 1
    }
    assert decode(samples[0].images[0])[3, 1, 2] == pytest.approx(pixels[0, 1, 2, 3])


def test_an_archive_cut_short_is_named(tmp_path):
    (tmp_path / "testing.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    with pytest.raises(BenchmarkError, match=r"testing\.h5 is not an HDF5 file"):
        take_over("so2sat-lcz42", tmp_path, tmp_path / "out")


def test_an_archive_without_a_key_says_which_it_has(tmp_path):
    with h5py.File(tmp_path / "testing.h5", "w") as file:
        file["sen1"] = np.zeros((1, 32, 32, 8))
    with pytest.raises(BenchmarkError, match=r"no 'sen2'; it has sen1"):
        take_over("so2sat-lcz42", tmp_path, tmp_path / "out")


def test_earthquakes_give_a_yes_and_a_hard_no_of_the_same_patch(tmp_path):
    scene = np.random.default_rng(0).random((8, 8, 2)).astype(np.float32)
    with h5py.File(tmp_path / "earthquakes.h5", "w") as file:
        for key, split in (("611645479", "test"), ("611658170", "train")):
            event = file.create_group(key)
            event.attrs["split"], event.attrs["magnitude"] = split, 5.4
            event["x"], event["y"] = np.zeros(8), np.zeros(8)
            for date in ("before", "pre", "post"):
                event[f"patch_0/{date}"] = scene
            event["patch_1/pre"] = event["patch_1/post"] = scene
            event["patch_2/pre"] = scene
    done, samples = take_over("quakeset", tmp_path, tmp_path / "out")
    assert [(s.id.split("/", 1)[1], s.references[0], s.extra["magnitude"]) for s in samples] == [
        ("patch_0/post", "yes", 5.4),
        ("patch_0/pre", "no", 0.0),
        ("patch_1/post", "yes", 5.4),
    ]
    assert decode(samples[0].images[0]).shape == (2, 8, 8) and done.rejected == {"missing_image": 1}


def test_tree_species_begin_the_file_name_and_the_list_has_windows_line_ends(tmp_path):
    names = ["Fagus_sylvatica_3_1_WEFL_NLF.tif", "Betula_spec._2_4_WEFL_NLF.tif", "Ulmus_minor_1_1_WEFL.tif"]
    for number, name in enumerate(names):
        picture(tmp_path / "aerial/60m" / name, number, bands=4)
    (tmp_path / "test_filenames.lst").write_bytes("\r\n".join(names).encode())
    done, samples = take_over("treesatai", tmp_path, tmp_path / "out")
    assert [sample.references[0] for sample in samples] == ["Fagus sylvatica", "Betula spec."]
    assert done.rejected == {"unknown_class": 1} and decode(samples[0].images[0], tmp_path / "out").shape[0] == 4


def test_methane_scenes_are_numbers_not_eight_bits(tmp_path):
    for id in ("ang20190922t192642_r1_c1", "ang20190922t192642_r2_c2"):
        for number, band in enumerate(registry.get("starcop").bands):
            geotiff(tmp_path / f"STARCOP_test/{id}/{band}.tif", np.full((1, 6, 6), 500.5 * number, np.float32))
    (tmp_path / "STARCOP_test/ang20190922t192642_r2_c2/mag1c.tif").unlink()
    rows = [
        "id,subset,has_plume,folder",
        "ang20190922t192642_r1_c1,test,True,x",
        "ang20190922t192642_r2_c2,test,False,x",
    ]
    (tmp_path / "test.csv").write_bytes("\r\n".join(rows).encode())
    done, [sample] = take_over("starcop", tmp_path, tmp_path / "out")
    assert decode(sample.images[0])[:, 0, 0].tolist() == [0, 500.5, 1001, 1501.5]
    assert sample.references == ("Yes",) and done.rejected == {"missing_image": 1}


def test_fmow_shows_the_first_four_dates_in_order_of_time(tmp_path):
    for number, day in enumerate((5, 3, 1, 2, 4)):
        stem = tmp_path / f"val/zoo/zoo_0/zoo_0_{number}_rgb"
        picture(stem.with_suffix(".JPG" if number == 1 else ".jpg"), number)
        write_json(
            stem.with_suffix(".json"),
            {"timestamp": f"2016-01-0{day}T10:00:00Z", "bounding_boxes": [{"box": [1, 2, 3, 4]}]},
        )
    write_json(tmp_path / "val/zoo/zoo_1/zoo_1_0_rgb.json", {"timestamp": "2016", "bounding_boxes": []})
    done, [sample] = take_over("fmow", tmp_path, tmp_path / "out")
    assert [image.date[8:10] for image in sample.images] == ["01", "02", "03", "04"]
    assert sample.references == ("zoo",) and done.rejected == {"too_few_dates": 1}
