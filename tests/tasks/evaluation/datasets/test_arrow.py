"""EarthDial's own evaluation shards, in the columns its test scripts read."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.images import decode
from tasks.evaluation.datasets.owner_boxes import read
from tests.tasks.evaluation.datasets.files import arrow_folder, cells, encoded, take_over

REFER = " [refer] [hr_rgb_0.5] <image> \\n <ref>2 gray medium airplane at the left</ref>"
BOXES = "[[7, 32, 14, 41, 0]][[6, 43, 13, 53, 0]]"


def quoted(texts):
    return [f'"{text}"' for text in texts]


def test_a_referring_shard_asks_what_the_published_answers_were_given_to(tmp_path):
    columns = {
        "jpg": cells([encoded()]),
        "question": [REFER],
        "groundtruth": quoted([BOXES]),
        "ttype": ["ref"],
        "size_group": ["medium"],
    }
    arrow_folder(tmp_path / "NWPU_VHR_10_test_refer", columns)
    done, [sample] = take_over("nwpu-vhr-10-refer", tmp_path, tmp_path / "out")
    assert (
        sample.question
        == "[refer] [hr_rgb_0.5] <image> \n Give me the location of <ref>2 gray medium airplane at the left</ref>"
    )
    assert sample.references == (BOXES,) and sample.size_group == "medium" and done.comparable
    assert sample.boxes[0] == pytest.approx((0.105, 0.365, 0.07, 0.09, 0))


def test_the_shard_folder_itself_may_be_given(tmp_path):
    columns = {"jpg": cells([encoded()]), "question": [REFER], "groundtruth": [BOXES]}
    folder = arrow_folder(tmp_path / "anything", columns)
    assert take_over("nwpu-vhr-10-refer", folder, tmp_path / "out")[0].samples == 1


def test_the_shard_of_another_task_of_the_same_data_set_is_refused(tmp_path):
    columns = {"jpg": cells([encoded()]), "question": [REFER], "groundtruth": [BOXES]}
    folder = arrow_folder(tmp_path / "shard", columns)
    with pytest.raises(BenchmarkError, match=r"tagged \[refer\], those of nwpu-vhr-10-region \[identify\]"):
        take_over("nwpu-vhr-10-region", folder, tmp_path / "out")


def test_twelve_bands_kept_as_lists_become_one_array_in_the_registry_s_order(tmp_path):
    pixels = np.arange(12 * 4 * 4, dtype=np.float32).reshape(12, 4, 4)
    columns = {
        "tif_ms": [pixels.tolist()],
        "question": ["[s2_ms_10]  <image> \\n Classify"],
        "groundtruth": ["Pastures, Mixed forest"],
    }
    arrow_folder(tmp_path / "BigEarthNet_S2_Test", columns)
    _, [sample] = take_over("bigearthnet-ms", tmp_path, tmp_path / "out")
    assert np.array_equal(decode(sample.images[0]), pixels)
    assert len(sample.images[0].bands) == 12 and sample.images[0].format == "npy"


def test_a_shard_with_another_number_of_bands_is_left_out_and_said_so(tmp_path):
    good, bad = np.zeros((12, 4, 4)).tolist(), np.zeros((10, 4, 4)).tolist()
    columns = {"tif_ms": [good, bad], "question": ["[s2_ms_10] <image>"] * 2, "groundtruth": ["Pastures"] * 2}
    arrow_folder(tmp_path / "BigEarthNet_S2_Test", columns)
    done, _ = take_over("bigearthnet-ms", tmp_path, tmp_path / "out")
    assert done.rejected == {"unreadable_image": 1}
    assert "10 bands, 12" in pq.read_table(tmp_path / "out/quarantine.parquet")["detail"][0].as_py()


def test_methane_scenes_stack_the_picture_and_the_enhancement(tmp_path):
    picture, enhancement = np.full((4, 4, 3), 7.0), np.full((4, 4), 900.0)
    columns = {
        "tif_pl": [picture.tolist()],
        "mag1c": [enhancement.tolist()],
        "question": ["[hyper_rgb_3] <image>"],
        "groundtruth": ["Yes"],
    }
    arrow_folder(tmp_path / "STARCOP_test_yes_or_no", columns)
    _, [sample] = take_over("starcop", tmp_path, tmp_path / "out")
    assert decode(sample.images[0])[:, 0, 0].tolist() == [7, 7, 7, 900]


def test_four_dates_five_captions_and_an_empty_one(tmp_path):
    question = "[changedet] [hr_rgb_temp_0.5] <image> <image> <image> <image> \\n are there any semantic change?"
    columns = {f"jpg_{date}": cells([encoded(seed=number)]) for number, date in enumerate("ABCD")}
    columns |= {"question": [question]} | {f"groundtruth{n}": ["" if n == 4 else f"caption {n}"] for n in range(5)}
    arrow_folder(tmp_path / "MUDS_ChangeDetection_test", columns)
    _, [sample] = take_over("muds", tmp_path, tmp_path / "out")
    assert len(sample.images) == sample.question.count("<image>") == 4
    assert sample.references == ("caption 0", "caption 1", "caption 2", "caption 3")


def test_the_stray_quote_of_the_published_xbd_questions_is_kept(tmp_path):
    question = " [hr_rgb_temp_0.5] <image>  <image> \\n Are there any buildings affected? Please answer yes or no."
    columns = {
        "jpg_A": cells([encoded()]),
        "jpg_B": cells([encoded(seed=1)]),
        "question": quoted([question]),
        "groundtruth": quoted(["no"]),
    }
    arrow_folder(tmp_path / "xBD_testset_2", columns)
    _, [sample] = take_over("xbd-affected", tmp_path, tmp_path / "out")
    assert sample.question == question + '"Answer in single word.' and sample.references == ("no",)


def test_sysu_s_list_written_as_text_is_read_as_captions(tmp_path):
    columns = {"jpg_A": cells([encoded()]), "jpg_B": cells([encoded(seed=1)])}
    columns |= {
        "question": [" [changedet] <image> <image>"],
        "groundtruth": ['["a road is built .", "trees are gone ."]'],
    }
    arrow_folder(tmp_path / "SYSU", columns)
    assert take_over("sysu", tmp_path, tmp_path / "out")[1][0].references == ("a road is built .", "trees are gone .")


def test_a_missing_shard_is_named(tmp_path):
    columns = {"jpg": cells([encoded()] * 4), "question": ["<image> Q"] * 4, "groundtruth": ["Beach"] * 4}
    folder = arrow_folder(tmp_path / "AID", columns, shards=2)
    (folder / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(BenchmarkError, match=r"1 of 2 shards are missing: data-00001-of-00002.arrow"):
        take_over("aid", tmp_path, tmp_path / "out")


def test_a_shard_cut_short_is_named(tmp_path):
    columns = {"jpg": cells([encoded()] * 4), "question": ["<image> Q"] * 4, "groundtruth": ["Beach"] * 4}
    path = arrow_folder(tmp_path / "AID", columns) / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(BenchmarkError, match=r"data-00000-of-00001.arrow cannot be read"):
        take_over("aid", tmp_path, tmp_path / "out")


def test_a_column_that_is_missing_is_named_with_those_there_are(tmp_path):
    arrow_folder(tmp_path / "AID", {"jpg": cells([encoded()]), "question": ["<image> Q"], "label": ["Beach"]})
    with pytest.raises(BenchmarkError, match="no field 'groundtruth'; it has jpg, question, label"):
        take_over("aid", tmp_path, tmp_path / "out")


def test_an_empty_image_cell_and_an_empty_truth_are_left_out_and_counted(tmp_path):
    columns = {
        "jpg": cells([encoded(), None, encoded()]),
        "question": ["<image> Q"] * 3,
        "groundtruth": ["Beach", "Beach", '""'],
    }
    arrow_folder(tmp_path / "AID", columns)
    assert take_over("aid", tmp_path, tmp_path / "out")[0].rejected == {"no_truth": 1, "unreadable_image": 1}


def test_the_same_table_as_parquet_gives_the_same_samples(tmp_path):
    columns = {"jpg": cells([encoded()]), "question": ["<image> Q"], "groundtruth": ["Beach"]}
    arrow_folder(tmp_path / "one/AID", columns)
    (tmp_path / "two/AID").mkdir(parents=True)
    pq.write_table(pa.table(columns), tmp_path / "two/AID/test-00000-of-00001.parquet")
    first, _ = take_over("aid", tmp_path / "one", tmp_path / "out1")
    second, _ = take_over("aid", tmp_path / "two", tmp_path / "out2")
    assert first.digest == second.digest


def test_a_folder_that_the_library_itself_saved_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"jpg": datasets.Image(), "question": datasets.Value("string"), "groundtruth": datasets.Value("string")}
    )
    rows = {"jpg": [{"bytes": encoded(), "path": None}], "question": ["<image> Q"], "groundtruth": ["Beach"]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "AID")
    assert take_over("aid", tmp_path, tmp_path / "out")[1][0].references == ("Beach",)


def test_grounded_truths_keep_their_text_and_give_their_boxes(tmp_path):
    truth = "there is <ref>2 white ship</ref> <box>[[[1, 2, 3, 4, 0]][[5, 6, 9, 9, 45]]]</box>"
    columns = {
        "jpg": cells([encoded()]),
        "question": [" [grounding] [hr_rgb_0.5] <image> \\n Describe the image."],
        "groundtruth": [truth],
        "obj_ids": ['"[\\"x\\"]"'],
    }
    arrow_folder(tmp_path / "NWPU_VHR_10_grounding_test", columns)
    _, [sample] = take_over("nwpu-vhr-10-grounding", tmp_path, tmp_path / "out")
    assert sample.references == (truth,) and len(sample.boxes) == 2
    assert sample.question.endswith("Describe relation between objects.")
    assert sample.boxes == tuple(read(truth))


def test_a_shard_that_the_list_says_lies_elsewhere_is_not_followed(tmp_path):
    columns = {"jpg": cells([encoded()]), "question": ["<image> Q"], "groundtruth": ["Beach"]}
    folder = arrow_folder(tmp_path / "AID", columns)
    state = (folder / "state.json").read_text()
    (folder / "state.json").write_text(state.replace("data-00000", "../other/data-00000"))
    with pytest.raises(BenchmarkError, match="lies outside its folder, and is not followed"):
        take_over("aid", tmp_path, tmp_path / "out")
