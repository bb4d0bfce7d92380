"""Files of other programs: right, or refused by name; never a 0 in silence."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.fields import FieldFlags
from tasks.evaluation.metrics.predictions import read
from tasks.evaluation.metrics.score import ScoringSettings, score

FAST = ScoringSettings(draws=0)
OURS = [{"id": "0", "answer": "No", "annotation": "no"}, {"id": "1", "answer": "yes", "annotation": "no"}]
PANDAS = {"answer": {"0": "No", "1": "yes"}, "annotation": {"0": "no", "1": "no"}}
CSV = "id,answer,annotation\n0,No,no\n1,yes,no\n"


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _scored(path: Path, content: Any, task: Any = "vqa", **how: Any) -> dict[str, Any]:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else _lines(content), encoding="utf-8", newline="")
    return score(read(path, task, **how), FAST)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps({row["id"]: row for row in OURS}, indent=1)),
        ("a.json", json.dumps({row["id"]: {k: v for k, v in row.items() if k != "id"} for row in OURS})),
        ("a.json", json.dumps({"model": "m", "results": OURS})),
        ("a.json", json.dumps(PANDAS)),
        ("a.json", json.dumps({name: list(values.values()) for name, values in PANDAS.items()})),
        ("a.json", json.dumps({"columns": ["answer", "annotation"], "data": [["No", "no"], ["yes", "no"]]})),
        ("a.json", "\n".join(json.dumps(row, indent=2) for row in OURS)),
        ("a.jsonl", "\ufeff" + _lines(OURS)),
        ("a.jsonl", _lines(OURS).encode("utf-16")),
        ("a.jsonl.gz", gzip.compress(_lines(OURS).encode(), mtime=0)),
        ("a.csv", CSV),
        ("a.csv", "\ufeff" + CSV.replace(",", ";").replace("\n", "\r\n")),
        ("a.csv", "sep=;\n" + CSV.replace(",", ";")),
        ("a.tsv", CSV.replace(",", "\t")),
        ("a.txt", CSV.replace(",", "\t").encode("utf-16")),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("a.csv", 'id,question,answer,annotation\n0,"is it,\n""dry""?",No,no\n1,?,yes,no\n'),
        ("a.csv", "ID,Answer,Annotation \n0,No,no\n1,yes,no\n"),
    ],
)
def test_the_same_rows_in_any_file_score_alike(name: str, content: Any, tmp_path: Path) -> None:
    scores = _scored(tmp_path / name, content)
    assert (scores["n"], scores["accuracy"]) == (2, 50)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "id,answer,annotation\n0,No,no,more\n", r"line 2 has 4 cells, its header 3"),
        ("a.csv", "id,answer,answer\n0,a,b\n", r"field 'answer' stands twice"),
        ("a.csv", "answer,annotation\nné,no\n".encode("latin-1"), r"save it as UTF-8"),
        ("a.xls", "x", r"save it as tsv"),
        ("a.pkl", "x", r"a pickle can run code"),
        ("a.zip", "x", r"unpack it"),
        ("a.json", '{"0": {"answer": "a"}, "0": {"answer": "b"}}', r"'0' stands more than once"),
        ("a.json", '{"train": [{"a": 1}], "test": [{"a": 1}]}', r"rows stand under 'train', 'test'"),
    ],
)
def test_a_file_that_cannot_be_read_right_is_refused_by_name(
    name: str, content: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(PredictionsError, match=said):
        _scored(tmp_path / name, content)


@pytest.mark.parametrize(
    ("row", "accuracy", "noted"),
    [
        ({"question_id": 0, "image_id": "0.png", "answer": "yes", "ground_truth": "yes"}, 100, "fields of GeoChat"),
        (
            {"index": 0, "question": "q", "answer": "yes", "prediction": "no"},
            0,
            "VLMEvalKit: 'prediction'",
        ),
        ({"index": 0, "answer": "B", "prediction": "(B) sea", "A": "ice", "B": "sea"}, 100, "VLMEvalKit"),
        ({"doc_id": 0, "doc": {}, "target": "no", "resps": [["no"]], "filtered_resps": ["no"]}, 100, "lmms-eval"),
        ({"predict": "no", "label": "no"}, 100, "LLaMA-Factory: 'predict'"),
        ({"query": "q", "response": "no", "labels": "no"}, 100, "ms-swift"),
        ({"question": "q", "pred": "no", "gt": "no"}, 100, "'pred' is the answer, 'gt' the truth"),
        (
            {"answer": "no", "model_output": "no"},
            100,
            "'model_output' is the answer, 'answer' the truth",
        ),
        ({"Prediction": "no", "Ground Truth": "no"}, 100, "'prediction' is the answer, 'ground_truth' the truth"),
        (
            {"question_id": 1, "answer": "no", "answers": [{"answer": "no"}, {"answer": "none"}]},
            100,
            "'answers'",
        ),
    ],
)
def test_fields_of_other_programs_are_recognised_and_named(row: Any, accuracy: int, noted: str, tmp_path: Path) -> None:
    scores = _scored(tmp_path / "a.jsonl", [row])
    assert scores["accuracy"] == accuracy
    assert noted in scores["input"]["fields"]


@pytest.mark.parametrize(
    "row",
    [
        {"answer": "no", "annotation": "no", "prediction": "yes"},
        {"pred": "no", "response": "yes", "gt": "no"},
        {"pred": "no", "gt": "no", "label": "yes"},
    ],
)
def test_fields_that_may_be_read_in_two_ways_ask_for_flags(row: Any, tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="--answer-field and --truth-field"):
        _scored(tmp_path / "a.jsonl", [row])
    names = list(row)
    flags = FieldFlags(names[0], "annotation" if "annotation" in row else "gt")
    assert _scored(tmp_path / "a.jsonl", [row], flags=flags)["accuracy"] == 100


def test_a_flag_leads_into_objects_and_one_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    row = {"output": {"choices": [{"text": "no"}]}, "meta": {"truth": "no"}}
    flags = FieldFlags("output.choices.0.text", "meta.truth")
    assert _scored(tmp_path / "a.jsonl", [row, row], flags=flags)["accuracy"] == 100
    with pytest.raises(PredictionsError, match=r"--answer-field output.text leads nowhere"):
        _scored(tmp_path / "a.jsonl", [row], flags=FieldFlags("output.text", "meta.truth"))
    with pytest.raises(PredictionsError, match=r"no field 'said' \(--answer-field\)"):
        _scored(tmp_path / "a.jsonl", [row], flags=FieldFlags("said", "meta.truth"))


LLAVA = [
    {"question_id": number, "prompt": "q", "text": "yes", "answer_id": "x", "model_id": "m"} for number in range(3)
]


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("t.jsonl", _lines([{"question_id": number, "ground_truth": "yes"} for number in (0, 1, 7)])),
        ("t.json", json.dumps({"0": "yes", "1": "yes", "7": "yes"})),
        ("t.csv", "question_id,answer\n0,yes\n1,yes\n7,yes\n"),
    ],
)
def test_truths_of_another_file_are_joined_by_id_and_what_has_no_partner_is_named(
    name: str, truth: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(truth)
    scores = _scored(tmp_path / "a.jsonl", LLAVA, truth_path=tmp_path / name)
    noted = scores["input"]
    assert (scores["n"], round(scores["accuracy"], 1)) == (3, 66.7)
    assert (noted["first_answers_without_truth"], noted["first_truths_without_answer"]) == (["2"], ["7"])
    assert "LLaVA: 'text' is the answer" in noted["fields"]
    with pytest.raises(PredictionsError, match=r"fields of LLaVA.*--truth"):
        _scored(tmp_path / "a.jsonl", LLAVA)


@pytest.mark.parametrize("content", ['{"0": "yes", "1": "no"}', '[{"image_id": 1, "bbox": [1, 2, 3, 4]}]'])
def test_answers_alone_ask_for_their_truths(content: str, tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"has answers alone .* give their truths as --truth"):
        _scored(tmp_path / "a.json", content, "detection")


def test_one_line_of_lists_is_one_row(tmp_path: Path) -> None:
    scores = _scored(tmp_path / "a.jsonl", [{"answer": ["b", "a"], "annotation": ["a", "b"]}], "classification")
    assert (scores["n"], scores["accuracy"]) == (1, 100)


def test_annotations_of_vqa_are_a_truth(tmp_path: Path) -> None:
    votes = [{"answer": "yes", "answer_id": 1}, {"answer": "yes", "answer_id": 2}, {"answer": "no", "answer_id": 3}]
    note = {"question_id": 7, "answers": votes, "multiple_choice_answer": "yes", "answer_type": "yes/no"}
    (tmp_path / "t.json").write_text(json.dumps({"info": {}, "annotations": [note]}))
    scores = _scored(
        tmp_path / "a.json", json.dumps([{"question_id": 7, "answer": "Yes!"}]), truth_path=tmp_path / "t.json"
    )
    assert (scores["accuracy"], scores["extracted"]["accuracy"]) == (0, 100)


def test_truths_without_an_id_in_common_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("question_id,answer\n10,yes\n11,yes\n")
    with pytest.raises(PredictionsError, match="have no id in common"):
        _scored(tmp_path / "a.jsonl", LLAVA, truth_path=tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("task", "answer", "truth", "accuracy"),
    [
        ("vqa", ["yes"], "yes", 100),
        ("vqa", [["Yes"]], "yes", 100),
        ("vqa", True, "yes", 100),
        ("vqa", "True", True, 100),
        ("vqa", False, "yes", 0),
        ("vqa", 1, "yes", 100),
        ("vqa", "no", 0, 100),
        ("vqa", 3.0, "3", 100),
        ("vqa", "1e3", 1000, 100),
        ("vqa", "yes", ["yes", "yes", "no"], 100),
        ("vqa", "no", ["yes", "yes", "no"], 0),
        ("vqa", "a house", ["building", "a house"], 100),
        ("vqa", ["water", "forest"], ["forest", "water"], 100),
        ("vqa", ["water", "forest"], "forest, water", 100),
        ("vqa", {"answer": "yes"}, "yes", 100),
        ("classification", ["forest", "water"], ["water", "forest"], 100),
        ("classification", "['forest', 'water']", "{'water', 'forest'}", 100),
        ("classification", "['forest'\n 'water']", ["water", "forest"], 100),
        ("classification", {"forest": True, "water": True, "ice": False}, ["water", "forest"], 100),
        ("classification", "Beaches, dunes, sands, Water", ["Water", "Beaches, dunes, sands"], 100),
        ("classification", ["Beaches, dunes, sands"], ["Beaches, dunes, sands"], 100),
        ("classification", 3, "3.0", 100),
        ("classification", ["forest"], ["water", "forest"], 0),
        ("classification", "forest; water", ["water", "forest"], 100),
        ("classification", ["water", "forest"], "forest; water", 100),
    ],
)
def test_values_of_any_type_are_compared_for_what_they_say(
    task: Any, answer: Any, truth: Any, accuracy: int, tmp_path: Path
) -> None:
    other = {"answer": answer, "annotation": truth}
    assert _scored(tmp_path / "a.jsonl", [other, other], task)["accuracy"] == accuracy


@pytest.mark.parametrize(
    ("task", "answers", "truths", "said"),
    [
        ("vqa", [{"a": "x", "b": "y"}], ["yes"], r"row 1: 'answer' is an object of 2 fields"),
        ("vqa", [[["a", "b"], ["c", "d"]]], ["yes"], r"a list of lists"),
        ("classification", [[{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}]], ["a"], r"a ranking of 2"),
        ("vqa", ["yes"], [{"a": 1, "b": 2}], r"'annotation' is an object"),
        ("vqa", [0.93, 0.2], ["yes", "no"], r"every answer is a number.*cannot be compared"),
        ("classification", [4, 7], ["sea", "ice"], r"every answer is a number.*cannot be compared"),
        ("classification", ["sea", "ice"], [4, 7], r"every answer is a name.*cannot be compared"),
        ("captioning", [["a road", "a river"]], ["a road"], r"row 1: its answer is a list of 2 texts"),
    ],
)
def test_values_that_cannot_be_compared_are_refused_with_their_row(
    task: Any, answers: Any, truths: Any, said: str, tmp_path: Path
) -> None:
    rows = [{"answer": answer, "annotation": truth} for answer, truth in zip(answers, truths, strict=True)]
    with pytest.raises(PredictionsError, match=said):
        _scored(tmp_path / "a.jsonl", rows, task)


def test_one_answer_that_cannot_be_compared_is_counted_and_wrong(tmp_path: Path) -> None:
    rows = [{"answer": "yes", "annotation": "yes"}, {"answer": {"a": 1, "b": 2}, "annotation": "yes"}]
    scores = _scored(tmp_path / "a.jsonl", rows)
    assert (scores["accuracy"], scores["input"]["answers_that_cannot_be_compared"]) == (50, 1)


def test_the_rule_for_several_truths_stands_in_the_result(tmp_path: Path) -> None:
    votes = [{"answer": "yes", "annotation": ["yes", "yes", "no"]}, {"answer": "no", "annotation": ["yes", "no"]}]
    scores = _scored(tmp_path / "a.jsonl", votes)
    assert scores["accuracy"] == 100
    assert "most of them" in scores["input"]["truths"]


def test_a_chatty_model_has_a_second_figure_beside_the_strict_one(tmp_path: Path) -> None:
    answers = ["The answer is yes.", "<think>no?</think>Yes, there is.", "yes and no", "yes"]
    scores = _scored(tmp_path / "a.jsonl", [{"answer": answer, "annotation": "yes"} for answer in answers])
    noted = scores["extracted"]
    assert (scores["accuracy"], noted["accuracy"], noted["nothing_found"]) == (25, 75, 1)
    sets = [{"answer": "I see a forest and some water", "annotation": "water, forest"}]
    assert _scored(tmp_path / "a.jsonl", sets, "classification")["extracted"]["accuracy"] == 100


@pytest.mark.parametrize(
    "answer",
    [
        "{<10><10><20><20>|<0>}", "{<10><10><20><20>}", "<box>(100,100),(200,200)</box>", "(10,10),(20,20)",
        "<|box_start|>(100,100),(200,200)<|box_end|>", "ship<loc0102><loc0102><loc0205><loc0205>",
        '[{"box_2d": [100, 100, 200, 200], "label": "ship"}]', "[[10,10,20,10,20,20,10,20]]", "[[10, 10], [20, 20]]",
        "10.0 10.0 20.0 10.0 20.0 20.0 10.0 20.0 ship 0", '{"x1": 10, "y1": 10, "x2": 20, "y2": 20}', "[10 10 20 20]",
        "<loc_99><loc_99><loc_199><loc_199>", '[{"bbox_2d": [20, 40, 40, 80], "label": "ship"}]',
    ],
)  # fmt: skip
def test_boxes_of_any_spelling_meet_the_truth(answer: str, tmp_path: Path) -> None:
    row = {"answer": answer, "gt_bbox": "[[10, 10, 20, 20, 0]]", "width": 200, "height": 400}
    scores = _scored(tmp_path / "a.jsonl", [row], "detection")
    assert (scores["f1@0.5"], scores["input"]["predicted_boxes_malformed"]) == (100, 0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("<patch_index_0044><patch_index_0863>", r"no box of the answers can be read: <patch_index"),
        ('[{"bbox_2d": [20, 40, 40, 80]}]', r"Qwen2.5-VL: pixels.*`width` and `height`"),
    ],
)
def test_boxes_that_cannot_be_placed_are_refused_by_name(answer: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=said):
        _scored(tmp_path / "a.jsonl", [{"answer": answer, "gt_bbox": "[[10, 10, 20, 20, 0]]"}], "detection")


def test_answers_and_truths_in_different_scales_are_refused_and_read_when_named(tmp_path: Path) -> None:
    rows = [
        {"answer": f"[[0.{n}, 0.{n}, 0.{n + 1}, 0.{n + 2}]]", "gt_bbox": f"[[{n}0, {n}0, {n + 1}0, {n + 2}0, 0]]"}
        for n in range(1, 7)
    ]
    with pytest.raises(PredictionsError, match="different scales; say which with --boxes and --truth-boxes"):
        _scored(tmp_path / "a.jsonl", rows, "detection")
    named = replace(read(tmp_path / "a.jsonl", "detection"), truth_form="earthdial")
    assert score(named, ScoringSettings(form="unit", draws=0))["f1@0.5"] == 100
