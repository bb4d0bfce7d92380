import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from PIL import Image
from rasterio.transform import from_origin

from tasks.core.errors import EmptyStageError, LeakageError, MissingInputError
from tasks.evaluation.leakage.check import check
from tasks.evaluation.leakage.sides import open_side
from tests.tasks.evaluation.leakage.sides import benchmark, chips, encoded, mixture

CAPTION = "two white storage tanks stand beside a curved road that leads to a small marina"


@pytest.fixture(scope="module")
def pictures():
    return chips()


def run(training, tested, names=("mix", "aid")):
    return check(open_side(training), open_side(tested), names)


def jpeg(picture, quality):
    buffer = io.BytesIO()
    pil(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def pil(picture):
    return Image.fromarray(picture.transpose(1, 2, 0) if len(picture) == 3 else picture[0])


def resized(picture, side):
    return np.atleast_3d(np.asarray(pil(picture).resize((side, side), Image.Resampling.BICUBIC))).transpose(2, 0, 1)


EDITS = {
    "copied as PNG": encoded,
    "copied as TIFF": lambda p: encoded(p, "GTiff", compress="deflate"),
    "JPEG of quality 75": lambda p: jpeg(p, 75),
    "JPEG of quality 30": lambda p: jpeg(p, 30),
    "shrunk to two thirds": lambda p: encoded(resized(p, 64)),
    "enlarged to 448": lambda p: encoded(resized(p, 448)),
    "brighter by 30": lambda p: encoded(np.clip(p.astype(int) + 30, 0, 255).astype(np.uint8)),
    "mirrored": lambda p: encoded(p[:, :, ::-1].copy()),
    "upside down": lambda p: encoded(p[:, ::-1].copy()),
    "turned by 90 degrees": lambda p: encoded(np.rot90(p, 1, (1, 2)).copy()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_training_chip_in_a_benchmark_is_found_though_it_was(edit, pictures, tmp_path):
    planted, others = pictures[:40:2], pictures[40:80]
    result = run(
        mixture(tmp_path / "mix", [*planted, *others]),
        benchmark(tmp_path / "aid", [EDITS[edit](p) for p in planted] + [encoded(p) for p in pictures[80:120]]),
    )
    kind = "exact-image" if edit.startswith("copied") else "near-image"
    assert {row["benchmark_id"] for row in result.pairs} == {f"q{n}" for n in range(20)}
    assert {(row["benchmark_id"], row["training_image"]) for row in result.pairs} == {
        (f"q{n}", f"chip{n}") for n in range(20)
    }
    assert {row["kind"] for row in result.pairs} == {kind}
    assert result.summary["leaked"][kind] == result.summary["leaked"]["any"] == {"n": 20, "share": round(20 / 60, 6)}


def test_a_crop_by_a_tenth_is_not_found_by_its_picture_as_the_guide_says(pictures, tmp_path):
    planted = pictures[:10]
    cropped = [encoded(p[:, 9:, 9:].copy()) for p in planted]
    assert run(mixture(tmp_path / "mix", planted), benchmark(tmp_path / "aid", cropped)).pairs == []


def test_a_grey_copy_with_an_alpha_channel_is_still_the_same_image(pictures, tmp_path):
    grey = pictures[0][:1]
    copy = encoded(np.concatenate([grey, grey, grey, np.full_like(grey, 255)]))
    result = run(mixture(tmp_path / "mix", [grey]), benchmark(tmp_path / "aid", [copy]))
    assert [row["kind"] for row in result.pairs] == ["exact-image"]


def test_images_of_one_value_match_nothing(tmp_path):
    empty = np.zeros((3, 64, 64), np.uint8)
    result = run(mixture(tmp_path / "mix", [empty, empty + 7]), benchmark(tmp_path / "aid", [encoded(empty)]))
    assert result.pairs == [] and result.summary["checked"]["images_without_structure"] == 1


@pytest.mark.parametrize("several", [False, True])
def test_a_mixture_names_its_images_in_a_column_or_in_a_list(several, pictures, tmp_path):
    result = run(
        mixture(tmp_path / "mix", pictures[:3], several=several), benchmark(tmp_path / "aid", [encoded(pictures[1])])
    )
    assert [row["training_id"] for row in result.pairs] == ["chip1#0/rgb"]


def test_a_copied_caption_is_found_though_a_word_was_changed(pictures, tmp_path):
    ask = "[caption] [hr_rgb_0.5] <image>\nDescribe the image."
    result = run(
        mixture(tmp_path / "mix", pictures[:2], [(ask, f"{CAPTION} full of little boats ."), (ask, "a green field")]),
        benchmark(
            tmp_path / "aid", [encoded(pictures[5])], [("<image> What is shown?", f"{CAPTION} full of big boats")]
        ),
    )
    (row,) = result.pairs
    assert (row["kind"], row["training_id"], row["training_samples"]) == ("text", "chip0#0/rgb", 1)
    assert 0 < row["distance"] <= 0.3
    assert result.summary["leaked"]["any"]["n"] == 1


def test_a_text_that_many_images_share_is_a_template_and_not_a_leak(pictures, tmp_path):
    ask = "<image> Describe the image."
    result = run(
        mixture(tmp_path / "mix", pictures[:6], [(ask, CAPTION)] * 6),
        benchmark(tmp_path / "aid", [encoded(pictures[9])], [(ask, CAPTION)]),
    )
    assert result.pairs == [] and result.summary["checked"]["templates"] == 1


def test_a_list_of_names_that_many_images_have_is_no_leak_whatever_their_order(pictures, tmp_path):
    ask = "<image> Which kinds of cover does this image show?"
    names = ["dense green vegetation", "open bare ground", "small urban houses", "still blue water"]
    rare = "a narrow red brick viaduct"
    lists = [", ".join(names[n:] + names[:n]) for n in range(4)] + [", ".join([rare, *names[1:]])]
    result = run(
        mixture(tmp_path / "mix", pictures[:5], [(ask, text) for text in lists]),
        benchmark(
            tmp_path / "aid", [encoded(picture) for picture in pictures[8:10]], [(ask, lists[1]), (ask, lists[4])]
        ),
    )
    assert [row["benchmark_id"] for row in result.pairs] == ["q1"]


def test_the_same_question_with_the_same_short_answer_is_reported_but_spoils_no_score(pictures, tmp_path):
    ask = "[s2_rgb_10] <image>\nHow many of the greenhouses south of the canal have open roofs?"
    result = run(
        mixture(tmp_path / "mix", pictures[:2], [(ask, "4"), (ask.replace("canal", "river"), "5")]),
        benchmark(tmp_path / "aid", [encoded(pictures[5])], [(ask, "4")]),
    )
    assert [row["kind"] for row in result.pairs] == ["question"]
    assert result.summary["leaked"]["any"]["n"] == 0 and result.summary["leaked"]["question"]["n"] == 1


def test_ground_that_training_shows_is_found_whatever_the_pixels(pictures, tmp_path):
    chip, field = pictures[0], pictures[30]
    # The mixture's first chip covers 0 to 0.1 degrees both ways; this image the upper half of that.
    ground = from_origin(0.0, 0.1, 0.1 / 96, 0.05 / 96)
    there = encoded(field, "GTiff", crs="EPSG:4326", transform=ground)
    result = run(mixture(tmp_path / "mix", [chip, pictures[1]]), benchmark(tmp_path / "aid", [there]))
    assert [(row["kind"], row["training_image"]) for row in result.pairs] == [("place", "chip0")]
    assert result.pairs[0]["distance"] == pytest.approx(0, abs=1e-6)
    assert result.summary["checked"]["places"] == 1


def test_neighbours_that_touch_do_not_share_ground(tmp_path, pictures):
    ground = from_origin(0.2, 0.1, 0.1 / 96, 0.1 / 96)
    beside = encoded(pictures[30], "GTiff", crs="EPSG:4326", transform=ground)
    assert run(mixture(tmp_path / "mix", pictures[:2]), benchmark(tmp_path / "aid", [beside])).pairs == []


def test_two_checks_of_the_same_files_are_the_same(pictures, tmp_path):
    sides = mixture(tmp_path / "mix", pictures[:30]), benchmark(tmp_path / "aid", [jpeg(p, 60) for p in pictures[:30]])
    one, two = run(*sides), run(*sides)
    assert one.pairs == two.pairs and one.summary == two.summary


def test_an_image_that_cannot_be_read_is_named_and_counted(pictures, tmp_path):
    training = mixture(tmp_path / "mix", pictures[:3])
    shard = tmp_path / "mix/shard-00000.parquet"
    rows = pq.read_table(shard).to_pylist()
    rows[1]["pixels"] = rows[1]["pixels"][:200]
    pq.write_table(pa.Table.from_pylist(rows), shard)
    result = run(training, benchmark(tmp_path / "aid", [encoded(pictures[0]), b"\x89PNG but no more"]))
    assert result.summary["unreadable_count"] == {"benchmark": 1, "training": 1}
    assert "chip1" in result.summary["unreadable"]["training"][0]
    assert "sample q1" in result.summary["unreadable"]["benchmark"][0]


def test_a_mixture_whose_shard_lacks_a_chip_stops_the_check(pictures, tmp_path):
    training = mixture(tmp_path / "mix", pictures[:3])
    shard = tmp_path / "mix/shard-00000.parquet"
    pq.write_table(pq.read_table(shard).slice(0, 2), shard)
    with pytest.raises(MissingInputError, match="chip2"):
        run(training, benchmark(tmp_path / "aid", [encoded(pictures[0])]))


def test_a_table_that_is_no_mixture_is_refused_with_its_columns(tmp_path):
    pq.write_table(pa.table({"answer": ["yes"]}), tmp_path / "predictions.parquet")
    with pytest.raises(LeakageError, match="answer"):
        open_side(tmp_path / "predictions.parquet")


def test_a_benchmark_without_questions_is_refused(pictures, tmp_path):
    with pytest.raises(EmptyStageError):
        run(mixture(tmp_path / "mix", pictures[:1]), benchmark(tmp_path / "aid", []))


def test_footprints_are_read_from_the_shards(pictures, tmp_path):
    side = open_side(mixture(tmp_path / "mix", pictures[:2]))
    grounds = [picture.footprint for picture in side.images()]
    assert [shapely.bounds(ground).round(6).tolist() for ground in grounds] == [[0, 0, 0.1, 0.1], [0.1, 0, 0.2, 0.1]]
