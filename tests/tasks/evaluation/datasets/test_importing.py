import pyarrow.parquet as pq
import pytest

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets import importer, registry
from tasks.evaluation.datasets.images import decode
from tasks.evaluation.datasets.samples import read_samples
from tests.tasks.evaluation.datasets.files import cut_short, picture, take_over, write_json


@pytest.fixture
def aid(tmp_path):
    """AID's folders: CamelCase classes, one extension in capitals."""
    root = tmp_path / "AID"
    picture(root / "Airport/airport_1.jpg", 1)
    picture(root / "Airport/airport_2.JPG", 2)
    picture(root / "Viaduct/viaduct_1.jpg", 3)
    picture(root / "MediumResidential/mediumresidential_1.jpg", 4)
    return tmp_path


def quarantine(out):
    return pq.read_table(out / "quarantine.parquet").to_pylist()


def test_class_folders_become_questions_whose_truth_is_among_the_offered_classes(aid, tmp_path):
    done, samples = take_over("aid", aid, tmp_path / "out")
    assert done.samples == 4 and done.rejected == {}
    assert {sample.references[0] for sample in samples} == {"Airport", "Viaduct", "Medium Residential"}
    assert all(sample.references[0] in sample.options for sample in samples)
    assert samples[0].question.startswith("Classify the given image in one of the following classes. Classes: Medium")


def test_images_are_found_again_from_the_table_and_decoded(aid, tmp_path):
    _, samples = take_over("aid", aid, tmp_path / "out")
    for sample in samples:
        assert decode(sample.images[0], tmp_path / "out").shape == (3, 16, 16)
        assert (sample.images[0].width, sample.images[0].height, sample.images[0].format) == (16, 16, "jpeg")


def test_embedded_images_need_no_files_any_more(aid, tmp_path):
    _, samples = take_over("aid", aid, tmp_path / "out", embed=True)
    assert all(sample.images[0].path == "" for sample in samples)
    assert decode(samples[0].images[0]).shape == (3, 16, 16)


def test_an_image_cut_short_is_named_counted_and_left_out(aid, tmp_path):
    cut_short(aid / "AID/Airport/airport_1.jpg")
    done, samples = take_over("aid", aid, tmp_path / "out")
    assert done.rejected == {"unreadable_image": 1} and len(samples) == 3
    assert quarantine(tmp_path / "out")[0]["image"].endswith("airport_1.jpg")


def test_a_file_that_is_no_image_is_named_counted_and_left_out(aid, tmp_path):
    (aid / "AID/Airport/airport_1.jpg").write_text("<html>please log in</html>")
    take_over("aid", aid, tmp_path / "out")
    assert "not an image" in quarantine(tmp_path / "out")[0]["detail"]


def test_a_class_nobody_published_is_left_out_image_by_image(aid, tmp_path):
    picture(aid / "AID/Volcano/volcano_1.jpg", 9)
    done, _ = take_over("aid", aid, tmp_path / "out")
    assert done.rejected == {"unknown_class": 1} and done.asked == 5


def test_questions_missing_from_the_published_split_are_told(aid, tmp_path):
    done, _ = take_over("aid", aid, tmp_path / "out")
    assert done.published_samples == 3000 and not done.comparable


def test_a_wrong_layout_says_what_was_looked_for_and_what_was_found(tmp_path):
    picture(tmp_path / "images/1.png")
    with pytest.raises(BenchmarkError, match=r"found images/") as error:
        importer.run(registry.get("rsvqa-lr"), tmp_path, tmp_path / "out")
    assert "LR_split_test_questions.json" in str(error.value) and "earthdial" in str(error.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="not a folder"):
        importer.run(registry.get("aid"), tmp_path / "nowhere", tmp_path / "out")


def test_an_id_that_stands_twice_stops_the_import_and_leaves_nothing_behind(tmp_path):
    picture(tmp_path / "Images_val/a.png")
    record = {
        "image_id": "a.png",
        "question": "How many?",
        "ground_truth": "3",
        "question_id": 7,
        "type": "object quantity",
    }
    write_json(tmp_path / "VRSBench_EVAL_vqa.json", [record, record])
    with pytest.raises(BenchmarkError, match="'7' stands twice"):
        importer.run(registry.get("vrsbench-vqa"), tmp_path, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_split_of_which_nothing_is_left_is_an_error_not_an_empty_table(aid, tmp_path):
    for path in (aid / "AID").rglob("*.[jJ]*"):
        path.write_bytes(b"")
    with pytest.raises(BenchmarkError, match="4 unreadable_image"):
        importer.run(registry.get("aid"), aid, tmp_path / "out")


def test_the_same_files_give_the_same_digest_wherever_they_lie(aid, tmp_path):
    first, _ = take_over("aid", aid, tmp_path / "one")
    second, _ = take_over("aid", aid / "AID", tmp_path / "deeper/two")
    assert first.digest == second.digest


def test_samples_are_read_back_as_they_were_written(aid, tmp_path):
    _, samples = take_over("aid", aid, tmp_path / "out")
    assert [sample.id for sample in samples] == [
        row["id"] for row in pq.read_table(tmp_path / "out/samples.parquet").to_pylist()
    ]
    assert samples[0].extra == {"label": "Airport"}


def test_reading_samples_that_were_never_imported_says_how_to(tmp_path):
    with pytest.raises(BenchmarkError, match="bench import"):
        next(read_samples(tmp_path))
