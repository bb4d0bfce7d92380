"""RSVQA, RSIEval, GeoChat-Bench, VRSBench, GEOBench-VLM and XLRS-Bench, in their owners' files."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import BenchmarkError
from tests.tasks.evaluation.datasets.files import arrow_folder, cells, encoded, picture, take_over, write_json


def rsvqa(root, prefix="LR_split_test", images="Images_LR"):
    """Two pictures, five questions, of which one is inactive and one has no answer; pictures as .TIF."""
    picture(root / f"{images}/0.tif", 0)
    picture(root / f"{images}/1.TIF", 1)
    asked = [
        (10, 0, "presence", "Is there a grass area?", True),
        (11, 0, "count", "How many roads are there?", True),
        (12, 1, "rural_urban", "Is it a rural or an urban area", True),
        (13, 1, "comp", "Are there more roads than buildings?", False),
        (14, 1, "presence", "Is a water area present?", True),
    ]
    write_json(
        root / f"{prefix}_images.json",
        {"images": [{"id": 0, "active": True}, {"id": 1, "active": True}, {"id": 2, "active": False}]},
    )
    questions = [
        {"id": id, "img_id": image, "type": type, "question": text, "answers_ids": [id], "active": active}
        for id, image, type, text, active in asked
    ]
    write_json(root / f"{prefix}_questions.json", {"questions": questions})
    answers = [
        {"id": 1, "question_id": 10, "answer": "yes", "active": True},
        {"id": 2, "question_id": 11, "answer": "12", "active": True},
    ]
    answers += [
        {"id": 3, "question_id": 12, "answer": "urban", "active": True},
        {"id": 4, "question_id": 13, "answer": "no", "active": False},
    ]
    write_json(root / f"{prefix}_answers.json", {"answers": answers}, encoding="utf-8-sig")
    return root


def test_rsvqa_asks_active_questions_with_the_published_words(tmp_path):
    done, samples = take_over("rsvqa-lr", rsvqa(tmp_path / "in"), tmp_path / "out")
    assert [(s.id, s.vqa_type, s.references[0], s.answer_type) for s in samples] == [
        ("10", "presence", "yes", "yes_no"), ("11", "count", "12", "number"), ("12", "rural_urban", "urban", "class"),
    ]  # fmt: skip
    assert (
        samples[0].question == "[hr_rgb_0.5] <image>\\n Is there a grass area? Answer the question using a single word."
    )
    assert samples[0].group == samples[1].group != samples[2].group
    assert done.rejected == {"no_truth": 1} and done.comparable


def test_rsvqa_high_resolution_takes_the_second_test_set(tmp_path):
    root = rsvqa(tmp_path / "in", "USGS_split_test_phili", "Data")
    assert take_over("rsvqa-hr", root, tmp_path / "out")[0].samples == 3


def test_a_picture_that_rsvqa_names_and_nobody_has_is_counted(tmp_path):
    root = rsvqa(tmp_path / "in")
    (root / "Images_LR/0.tif").unlink()
    done, _ = take_over("rsvqa-lr", root, tmp_path / "out")
    assert done.rejected == {"missing_image": 2, "no_truth": 1}


def test_texts_that_the_split_only_numbers_are_taken_from_the_files_of_all_splits(tmp_path):
    root = rsvqa(tmp_path / "in")
    for part in ("questions", "answers"):
        path = root / f"LR_split_test_{part}.json"
        entries = json.loads(path.read_text("utf-8-sig"))[part]
        write_json(root / f"all_{part}.json", {part: entries})
        write_json(path, {part: [{"id": entry["id"], "active": entry["active"]} for entry in entries]})
    _, samples = take_over("rsvqa-lr", root, tmp_path / "out")
    assert [sample.references[0] for sample in samples] == ["yes", "12", "urban"]


def test_a_question_with_two_answers_is_refused(tmp_path):
    root = rsvqa(tmp_path / "in")
    answers = json.loads((root / "LR_split_test_answers.json").read_text("utf-8-sig"))["answers"]
    write_json(root / "LR_split_test_answers.json", {"answers": [*answers, {**answers[0], "id": 9, "answer": "no"}]})
    with pytest.raises(BenchmarkError, match="question 10 has two answers, 'yes' and 'no'"):
        take_over("rsvqa-lr", root, tmp_path / "out")


def test_a_file_that_is_not_json_is_named_with_its_line(tmp_path):
    root = rsvqa(tmp_path / "in")
    (root / "LR_split_test_questions.json").write_text('{"questions": [\n{"id": 10,,')
    with pytest.raises(BenchmarkError, match=r"LR_split_test_questions.json is not JSON.*line 2"):
        take_over("rsvqa-lr", root, tmp_path / "out")


def rsieval(root):
    picture(root / "RSIEval/images/P0003_0002.png")
    pairs = [
        {"question": "How many planes are there?", "answer": "Two.", "type": "quantity"},
        {"question": "Does this image contains trees?", "answer": "Yes.", "type": "presence"},
        {"question": "", "answer": "", "type": "image"},
    ]
    entry = {"filename": "P0003_0002.png", "caption": "A high-resolution image of an airport.", "qa_pairs": pairs}
    write_json(root / "RSIEval/annotations.json", {"annotations": [entry]})
    return root


def test_rsieval_gives_questions_and_captions_and_drops_the_question_left_empty(tmp_path):
    root = rsieval(tmp_path / "in")
    done, questions = take_over("rsieval-vqa", root, tmp_path / "vqa")
    kinds = [(question.vqa_type, question.answer_type) for question in questions]
    assert kinds == [("quantity", "text"), ("presence", "yes_no")] and done.rejected == {"no_truth": 1}
    _, [caption] = take_over("rsieval-captions", root, tmp_path / "captions")
    assert caption.references == ("A high-resolution image of an airport.",)


def test_rsicap_is_read_from_its_own_field_names(tmp_path):
    picture(tmp_path / "RSICap/images/a.PNG".replace("PNG", "png"))
    entry = {"image_id": "1", "filename": "a.png", "text_input": "Describe.", "text_output": "Several buildings."}
    write_json(tmp_path / "RSICap/captions.json", {"annotations": [entry]})
    assert take_over("rsicap", tmp_path, tmp_path / "out")[1][0].references == ("Several buildings.",)


def rsivqa(root):
    """Names with and without an ending, a space after the colon or none; two sets that both have a 1.tif."""
    picture(root / "RSIVQA/UCM/images/1.tif", 1)
    picture(root / "RSIVQA/Sydney/1.tif", 2)
    picture(root / "RSIVQA/DOTA/P0003.png", 3)
    lines = {
        "UCM/ucm_vqa.txt": "1.tif:what is the theme of this picture?farmland\r\n2.tif:what is the theme?harbor\n",
        "UCM/ucm_res.txt": "1.tif:How many  in the picture?zero\n",
        "Sydney/sydney_vqa.txt": "1.tif:what is the theme of this picture?runway\n1.tif: no answer?\n",
        "DOTA/dota_val_vqa2.txt": "P0003: how many ships are there in this picture?15\n"
        "P0003: does this picture contain plane?no\n",
    }
    for name, text in lines.items():
        (root / "RSIVQA" / name).write_text(text, newline="")
    return root


def test_rsivqa_s_lines_find_the_pictures_of_their_own_set(tmp_path):
    done, samples = take_over("rsivqa", rsivqa(tmp_path / "in"), tmp_path / "out")
    assert done.rejected == {"missing_image": 1, "no_truth": 1}
    assert [(s.vqa_type, s.answer_type, s.references[0]) for s in samples] == [
        ("quantity", "number", "15"), ("presence", "yes_no", "no"), ("scene", "text", "runway"),
        ("scene", "text", "farmland"),
    ]  # fmt: skip
    assert samples[2].group == "Sydney/1.tif" and samples[2].images[0].path.endswith("RSIVQA/Sydney/1.tif")
    assert samples[0].images[0].path.endswith("DOTA/P0003.png")


def geochat(root):
    """Windows line ends, an empty line, boxes as lists in however many brackets, a record of another type."""
    picture(root / "images/P0003_0002.png")
    common = {"image_id": "P0003_0002", "dataset": "dota", "obj_ids": [1], "size_group": "small"}
    records = [
        {
            **common,
            "question": "1 small ship at the top",
            "ground_truth": [[[10, 10, 20, 30, 45]]],
            "question_id": "r1",
            "type": "ref",
        },
        {**common, "question": "Describe", "ground_truth": "x", "question_id": "g1", "type": "grounding"},
        {
            **common,
            "question": "2 ships",
            "ground_truth": [[1, 2, 3, 4, 0], [5, 6, 131, 8, 0]],
            "question_id": "r2",
            "type": "ref",
        },
    ]
    (root / "referring.jsonl").write_bytes("\r\n\r\n".join(json.dumps(record) for record in records).encode())
    return root


def test_geochat_referring_takes_its_records_and_keeps_coordinates_beyond_the_grid(tmp_path):
    _, samples = take_over("geochat-bench-refer", geochat(tmp_path / "in"), tmp_path / "out")
    assert [sample.references[0] for sample in samples] == [
        "[[10, 10, 20, 30, 45]]",
        "[[1, 2, 3, 4, 0]][[5, 6, 131, 8, 0]]",
    ]
    assert samples[0].question.endswith("Give me the location of <ref>1 small ship at the top</ref>")
    assert samples[0].size_group == "small" and samples[1].boxes[1][0] == pytest.approx(0.68)


def test_a_broken_line_of_jsonl_is_named_with_its_number(tmp_path):
    root = geochat(tmp_path / "in")
    with (root / "referring.jsonl").open("a") as file:
        file.write("\nnot json")
    with pytest.raises(BenchmarkError, match="line 6 is not JSON"):
        take_over("geochat-bench-refer", root, tmp_path / "out")


def test_geochat_region_captions_describe_the_box(tmp_path):
    picture(tmp_path / "images/P1.png")
    record = {
        "image_id": "P1",
        "question": "<box>[[1, 2, 3, 4, 0]]</box>",
        "ground_truth": "1 white plane",
        "question_id": 1,
    }
    (tmp_path / "region_captioning.jsonl").write_text(json.dumps(record))
    _, [sample] = take_over("geochat-bench-region", tmp_path, tmp_path / "out")
    assert sample.question.endswith("describe this object in <box>[[1, 2, 3, 4, 0]]</box>") and sample.references == (
        "1 white plane",
    )


def vrsbench(root):
    picture(root / "Images_val/P0003_0002.png", size=(20, 40))
    refer = {
        "image_id": "P0003_0002.png",
        "question": "The ship at the top",
        "question_id": 0,
        "type": "ref",
        "dataset": "dota",
        "obj_corner": [0.25] * 8,
        "is_unique": True,
    }
    boxes = ["{<25><40><33><60>}", "{<92><0><96><0>}"]
    write_json(
        root / "VRSBench_EVAL_referring.json",
        [{**refer, "ground_truth": box, "question_id": n} for n, box in enumerate(boxes)],
    )
    vqa = {"image_id": "P0003_0002.png", "dataset": "dota"}
    entries = [
        ("Are there ships?", "Yes", "object existence"),
        ("How many?", "3", "object quantity"),
        ("What?", "Harbor", "scene type"),
    ]
    write_json(
        root / "VRSBench_EVAL_vqa.json",
        [{**vqa, "question": q, "ground_truth": a, "type": t, "question_id": n} for n, (q, a, t) in enumerate(entries)],
    )
    write_json(
        root / "VRSBench_EVAL_Cap.json",
        [
            {
                "image_id": "P0003_0002.png",
                "question": "Describe the image in detail",
                "ground_truth": "A harbor.",
                "question_id": 0,
                "type": "caption",
            }
        ],
    )
    return root


def test_vrsbench_boxes_are_hundredths_and_one_without_area_is_left_out(tmp_path):
    done, [sample] = take_over("vrsbench-refer", vrsbench(tmp_path / "in"), tmp_path / "out")
    assert sample.boxes[0] == pytest.approx((0.29, 0.50, 0.08, 0.20, 0))
    assert sample.references == ("[[25, 40, 33, 60, 0]]",) and done.rejected == {"no_box": 1}
    assert sample.extra["obj_corner"] == [0.25] * 8


def test_vrsbench_questions_and_captions_come_with_their_types(tmp_path):
    root = vrsbench(tmp_path / "in")
    _, questions = take_over("vrsbench-vqa", root, tmp_path / "vqa")
    assert [(s.vqa_type, s.answer_type) for s in questions] == [
        ("object existence", "yes_no"),
        ("object quantity", "number"),
        ("scene type", "text"),
    ]
    _, [caption] = take_over("vrsbench-captions", root, tmp_path / "captions")
    assert caption.question == "Describe the image in detail"


def test_geobench_asks_every_wording_and_leaves_out_what_has_no_choices(tmp_path):
    picture(tmp_path / "Single/images/1.tif")
    record = {
        "image_path": "Single/images/1.tif", "prompts": ["What is it?", "Which one?"], "options": "A. Dam B. Port",
        "options_list": ["Dam", "Port"], "ground_truth": "Port", "ground_truth_option": "B", "task": "Scene",
        "question_id": 5, "cls_description": "",
    }  # fmt: skip
    write_json(
        tmp_path / "Single/qa.json",
        [record, {"image_path": "Single/images/1.tif", "prompts": ["Where?"], "task": "Refer"}],
    )
    done, samples = take_over("geobench-vlm-single", tmp_path, tmp_path / "out")
    assert [sample.references[0] for sample in samples] == ["B", "B"] and done.rejected == {"no_choices": 1}
    assert samples[1].question.endswith("\nWhich one?\nOptions: A. Dam B. Port") and samples[0].options == (
        "Dam",
        "Port",
    )


def test_geobench_shows_all_dates(tmp_path):
    paths = [str(picture(tmp_path / f"Temporal/images/{date}.png", date).relative_to(tmp_path)) for date in range(3)]
    record = {
        "image_path": paths,
        "prompts": ["What changed?"],
        "options_list": ["Fire", "Flood"],
        "ground_truth_option": "A.",
        "task": "Disaster",
    }
    write_json(tmp_path / "Temporal/qa.json", [record])
    _, [sample] = take_over("geobench-vlm-temporal", tmp_path, tmp_path / "out")
    assert len(sample.images) == sample.question.count("<image>") == 3 and sample.references == ("A",)
    assert "Options: A. Fire B. Flood" in sample.question


def test_xlrs_choices_may_have_several_letters_and_several_images(tmp_path):
    image = pa.array([[{"bytes": encoded(), "path": "a.png"}, {"bytes": encoded(seed=1), "path": "b.png"}]])
    columns = {
        "index": ["66"],
        "question": ["Select all."],
        "multi-choice options": [["(A) Sea", "(B) Crop", "(C) Bog", "(D) Ice"]],
        "answer": ["CA"],
        "category": ["Land use"],
        "image": image,
    }
    arrow_folder(tmp_path / "XLRS-Bench-lite/train", columns)
    write_json(tmp_path / "XLRS-Bench-lite/dataset_dict.json", {"splits": ["train"]})
    _, [sample] = take_over("xlrs-bench-vqa", tmp_path, tmp_path / "out")
    assert sample.references == ("A C",) and len(sample.images) == 2 and sample.options[1] == "(B) Crop"


def test_xlrs_boxes_are_fractions_and_pixels_are_refused(tmp_path):
    columns = {
        "question_id": ["1", "2"],
        "question": ["the lake"] * 2,
        "bbox": [[0.1, 0.2, 0.3, 0.4], [10.0, 20.0, 30.0, 40.0]],
        "image": cells([encoded()] * 2),
    }
    (tmp_path / "XLRS-Bench_visual_grounding_en/data").mkdir(parents=True)
    pq.write_table(pa.table(columns), tmp_path / "XLRS-Bench_visual_grounding_en/data/test-00000-of-00001.parquet")
    done, [sample] = take_over("xlrs-bench-grounding", tmp_path, tmp_path / "out")
    assert sample.references == ("[[10, 20, 30, 40, 0]]",) and done.rejected == {"no_box": 1}


def test_xlrs_captions_may_be_several(tmp_path):
    columns = {
        "id": [456],
        "question": ["Describe the image."],
        "answer": [["Farmland.", " "]],
        "image": cells([encoded()]),
    }
    arrow_folder(tmp_path / "XLRS-Bench_caption_en", columns)
    assert take_over("xlrs-bench-captions", tmp_path, tmp_path / "out")[1][0].references == ("Farmland.",)
