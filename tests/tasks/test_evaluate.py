"""tasks/evaluate: marks, controls, intervals and alarms, and what each control shows the model."""

import contextlib
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import torch

from models.rsmoe.prompt import EXPERTS
from tasks import blind, evaluate, forgetting, frozen, guesses, mixture, stats
from tasks.core import paths, tables
from tasks.core.errors import BenchmarkError, MissingInputError, ParamsError, UnaskableError
from tasks.core.section import load
from tasks.core.stage import read_json
from tasks.evaluation.evaluate_params import EvaluateParams
from tasks.evaluation.metrics.best_control import significance
from tasks.evaluation.metrics.guesses import BESIDE, GUESSES, SCORED
from tasks.evaluation.metrics.held_out import MarkedAnswers, Row, above_controls, beside_blind, write_csv
from tasks.evaluation.metrics.score import ScoringSettings, score_file
from tasks.evaluation.names import MODELS
from tasks.evaluation.runner.checkpoint_model import Checkpoint, CheckpointSettings
from tasks.evaluation.runner.held_out import HeldOut
from tasks.evaluation.runner.run import question_as
from tasks.vlm.controls import kind_key, partners
from tasks.vlm.samples import SCHEMA, read_samples
from tests.fixtures.small_dataset import write_dataset, write_params

PARAMS = EvaluateParams(
    device="cpu", threads=1, batch=8, max_new_tokens=8, controls=["no-image", "other-image"], frozen=None,
    bootstrap=200, seed=0,
)  # fmt: skip


def row(chip: int, truth: str, answer: str, blank: str | None = "no", kind: str = "presence", turn: int = 0) -> Row:
    """A prediction without marks."""
    return {
        "id": f"{chip}/{kind} turn {turn}", "image_id": f"chip-{chip}", "sensor": "sentinel-2",
        "modality": "ms", "question_type": kind, "question": "Is there water?", "annotation": truth, "answer": answer,
        "no_image_answer": blank, "other_image_answer": blank,
    }  # fmt: skip


def marked(rows: list[Row], params: EvaluateParams = PARAMS) -> MarkedAnswers:
    guesses = {one["id"]: guess() for one in rows}
    return MarkedAnswers(rows, guesses, params.controls, params.bootstrap, params.seed)


def guess(answer: str = "", **others: str | None) -> dict[str, Any]:
    """What stage `guesses` leaves of one question."""
    answers = {one.column: answer for one in GUESSES.values()}
    return {**answers, "probe_answer": None, "scene": "trained on", "asked_in_training": True, **others}


@pytest.mark.parametrize(
    ("answer", "truth", "kind", "right"),
    [
        ("Yes.", "yes", "presence", True),
        ("  open  LAND ", "open land", "dominant", True),
        ("yes and no", "yes", "presence", False),
        ("", "no", "presence", False),
        ("water, forest", "forest, water", "list", True),
        ("water", "forest, water", "list", False),
        ("water, forest, urban", "forest, water", "list", False),
        ("4.0", "4", "count", True),
    ],
)
def test_answers_are_right_by_the_rule_of_the_scorers(answer: str, truth: str, kind: str, right: bool) -> None:
    rows = [row(0, truth, answer, kind=kind)]
    assert marked(rows).rows()[0]["correct"] is right


def test_perfect_answers_score_one_and_are_above_every_control() -> None:
    scores = marked([row(n, truth, truth) for n, truth in enumerate(["yes", "no"] * 10)]).scores()
    assert scores["overall"]["accuracy"] == 1
    assert scores["overall"]["no_image"] == scores["overall"]["other_image"] == 0.5
    assert scores["overall"]["ci95"] == [1, 1]
    assert scores["by_type"]["presence"]["n"] == 20
    assert not scores["overall"]["constant_answer"]
    assert above_controls(scores["overall"])


def test_the_scores_are_those_that_the_score_command_gives_the_same_answers(tmp_path: Path) -> None:
    answers = ["yes", "no", "water, forest", "Yes", "3"] * 6
    truths = ["yes", "yes", "forest, water", "no", "3.0"] * 6
    kinds = ["presence", "presence", "list", "presence", "count"] * 6
    rows = [row(n // 3, t, a, "yes", k, n) for n, (t, a, k) in enumerate(zip(truths, answers, kinds, strict=True))]
    outcomes = marked(rows)
    pl.DataFrame(outcomes.rows()).write_parquet(tmp_path / "predictions.parquet")
    same = score_file(
        tmp_path / "predictions.parquet", "vqa", ScoringSettings(draws=PARAMS.bootstrap, seed=PARAMS.seed)
    )
    scores = outcomes.scores()["overall"]
    assert scores["accuracy"] == pytest.approx(same["accuracy"] / 100)
    assert scores["ci95"] == pytest.approx([edge / 100 for edge in same["ci95"]["accuracy"]], abs=1e-4)
    for ours, control in BESIDE.items():
        theirs = next(name for name, one in SCORED.items() if one is control)
        assert (ours in scores) == (theirs in same["controls"])
        if ours in scores:
            assert scores[ours] == pytest.approx(same["controls"][theirs]["accuracy"] / 100, abs=1e-4)
    best = same["controls"]["best"]
    assert scores["over_best"]["control"] == best["control"] == "no_image"
    assert scores["over_best"]["difference"] == pytest.approx(best["difference"] / 100, abs=1e-4)
    assert scores["over_best"]["ci95"] == pytest.approx([edge / 100 for edge in best["ci95"]], abs=1e-4)
    assert "unknown_fields" not in same["input"]


def test_a_constant_answer_raises_the_alarm_unless_it_is_the_only_truth() -> None:
    always = [row(n, truth, "yes") for n, truth in enumerate(["yes", "no"])]
    assert marked(always).scores()["overall"]["constant_answer"]
    assert not marked(always[:1]).scores()["overall"]["constant_answer"]


def test_the_interval_is_wider_when_a_chip_s_questions_stand_and_fall_together() -> None:
    def width(chips: list[int]) -> float:
        rows = [row(chip, "yes", "yes" if n < 20 else "no", turn=n) for n, chip in enumerate(chips)]
        low, high = marked(rows).scores()["overall"]["ci95"]
        return high - low

    assert width([n // 10 for n in range(40)]) > 1.5 * width(list(range(40)))


def test_a_control_that_cannot_be_asked_is_wrong_and_counted_and_absent_where_no_row_has_it() -> None:
    rows = [row(0, "yes", "yes", "yes"), row(1, "yes", "yes", None), row(2, "a", "a", None, "share")]
    outcomes = marked(rows)
    assert outcomes.not_asked()["no_image"] == 2
    assert [one["no_image_correct"] for one in outcomes.rows()] == [True, False, False]
    assert outcomes.scores()["by_type"]["presence"]["no_image"] == 0.5
    assert "no_image" not in outcomes.scores()["by_type"]["share"]


def test_the_flat_table_has_one_row_a_group_and_a_column_for_each_control(tmp_path: Path) -> None:
    outcomes = marked([row(0, "yes", "yes"), row(1, "a", "b", kind="share")])
    scores = outcomes.scores()
    assert set(scores) == {"overall", "by_type", "by_modality", "by_sensor", "by_scene", "probe"}
    assert set(scores["by_type"]) == {"presence", "share"}
    write_csv(scores, outcomes.columns, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == [
        "group", "name", "n", "accuracy", *GUESSES, "no_image", "other_image", "low", "high",
        "best_control", "over_best", "over_low", "over_high",
    ]  # fmt: skip
    assert [one["name"] for one in table] == ["overall", "presence", "share", "ms", "sentinel-2", "trained on"]


def test_without_controls_the_guesses_alone_stand_beside_the_score() -> None:
    params = PARAMS.model_copy(update={"controls": []})
    outcomes = marked([row(0, "yes", "yes")], params)
    assert list(outcomes.columns) == ["accuracy", *GUESSES]
    assert {"accuracy", "majority"} < set(outcomes.scores()["overall"]) and "no_image" not in outcomes.scores()[
        "overall"
    ]


def test_what_blind_solvers_reach_stands_beside_the_score_of_a_question_type() -> None:
    solved = {"score": 0.7, "low": 0.4, "high": 0.9, "chance": 0.5, "sure": False}
    marks = {"kinds": {"presence": {"best": "scene", "marked": True, "scene": solved, "ngrams": {}}}}
    scores = beside_blind({"presence": {"n": 4}, "share": {"n": 2}}, marks)
    assert scores["presence"] == {"n": 4, "blind": {"solver": "scene", **solved, "marked": True}}
    assert scores["share"] == {"n": 2}


@pytest.mark.parametrize(
    ("controls", "message"), [(["no-image", "no-picture"], "no-picture"), (["greyed", "greyed"], "more than once")]
)
def test_a_control_that_there_is_not_or_twice_is_refused(tmp_path: Path, controls: list[str], message: str) -> None:
    write_params(tmp_path, ["sentinel-2"], evaluate={"controls": controls})
    with pytest.raises(ParamsError, match=message):
        load(EvaluateParams, "evaluate", tmp_path / "params.yaml")


def test_another_image_is_one_of_the_same_sensor_and_bands_from_another_window(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    write_dataset(tmp_path, 16, ("sentinel-2", "sentinel-1"))
    with contextlib.chdir(tmp_path):
        for sensor in ("sentinel-2", "sentinel-1"):
            stats.run(sensor)
        mixture.run("3")
        samples = read_samples(paths.mixture("3") / "test.parquet")
        source, model = HeldOut(), Checkpoint(tiny_checkpoint, CheckpointSettings())
        outlines = source.outlines()
        others = partners([kind_key(images) for _, images in outlines], [window for window, _ in outlines])
        asked = [place for place, other in enumerate(others) if other is not None]
        shown = {place: question_as(source, place, "other-image", others[place]) for place in asked}
        tiles = {place: model.tiles(question)[0] for place, question in shown.items()}
        again = {place: model.tiles(shown[place])[0] for place in asked}
        own = [model.tiles(source.question(place))[0] for place in range(len(source))]
        grey = {place: model.tiles(question_as(source, place, "greyed", None))[0] for place in asked}
        with pytest.raises(UnaskableError, match="no other sample"):
            question_as(source, 0, "other-image", None)
    assert len(source) == len(samples)  # of one turn each
    kinds = [(sample.sensor, sample.images[0].bands) for sample in samples]
    assert asked == [
        place
        for place, kind in enumerate(kinds)
        if len({sample.chip_id for sample, other in zip(samples, kinds, strict=True) if other == kind}) > 1
    ]
    for place in asked:
        image = tiles[place]
        assert shown[place].turns == ((samples[place].turns[0][0], ""),)
        assert torch.equal(image.wavelengths, own[place].wavelengths) and torch.equal(image.mask, own[place].mask)
        assert not torch.equal(image.pixels, own[place].pixels)
        assert torch.equal(image.pixels, again[place].pixels)
        planes = grey[place].pixels.flatten(0, 1)[own[place].mask.flatten()]
        assert torch.allclose(planes, planes[:1].expand_as(planes))


def test_the_stage_asks_a_model_by_its_key_and_no_other(tmp_path: Path, tiny_moe_checkpoint: Path) -> None:
    write_dataset(tmp_path, 16, ("sentinel-1",))
    write_params(tmp_path, ["sentinel-1"], evaluate={"bootstrap": 100, "max_new_tokens": 4})
    with contextlib.chdir(tmp_path):
        stats.run("sentinel-1")
        mixture.run("3")
        blind.run()
        guesses.run()
        shutil.copytree(tiny_moe_checkpoint, paths.moe("2"))
        summary = evaluate.run("rsmoe")
        rows = tables.read(paths.evaluate("rsmoe") / "predictions.parquet").to_pylist()
        record = read_json(paths.evaluate("rsmoe") / "run.json")
        with pytest.raises(BenchmarkError, match="no model 'other' to evaluate; allowed: earthdial, rsmoe"):
            evaluate.run("other")
        assert not paths.evaluate("earthdial").exists()
    assert record["model"] == MODELS["rsmoe"].title and summary["questions"] == len(rows) > 0
    assert summary["rejected"] == 0 and all(row["prompt"].count("<|system|>") == len(EXPERTS) for row in rows)
    assert all(row["answer"] and row["no_image_answer"] is not None for row in rows)


def test_the_frozen_set_and_the_earlier_stages_are_asked_by_the_same_rules(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    write_dataset(tmp_path, 16, ("sentinel-2",))
    write_params(tmp_path, ["sentinel-2"], evaluate={"bootstrap": 100, "max_new_tokens": 4, "frozen": "kept/old"})
    with contextlib.chdir(tmp_path):
        stats.run("sentinel-2")
        mixture.run("3")
        blind.run()
        table = tables.read(paths.mixture("3") / "test.parquet")
        sources = [{"sample_id": name, "label_source": "spectral-rules"} for name in table["sample_id"].to_pylist()]
        schema = pa.schema([("sample_id", pa.string()), ("label_source", pa.string())])
        with pytest.raises(MissingInputError, match=r"evaluate.frozen: kept/old/questions.parquet is not there"):
            guesses.run()
        tables.write(table, Path("kept/old/questions.parquet"))
        tables.write_rows(sources, schema, Path("kept/old/labels.parquet"))
        guesses.run()
        for stage in ("1", "2", "3"):
            shutil.copytree(tiny_checkpoint, paths.train(stage))
        asked, again, left = evaluate.run("earthdial"), frozen.run(), forgetting.run()
        scores = read_json(paths.frozen() / "scores.json")
        own = read_json(paths.evaluate("earthdial") / "scores.json")
        after = read_json(paths.forgetting() / "scores.json")
    assert again["questions"] == asked["questions"] == table.num_rows
    assert scores["name"] == "old" and scores["overall"]["accuracy"] == own["overall"]["accuracy"]
    # All are spectral by the table of labels; the kinds of this data set are three of the five.
    assert {name: one["n"] for name, one in scores["groups"].items() if "spectral" in name} == {
        f"spectral, {name}": own["by_modality"][name]["n"] for name in ("ms", "rgb")
    }
    over = scores["over_blind"]["ms"]
    ms = scores["by_modality"]["ms"]
    assert over["difference"] == pytest.approx(ms["accuracy"] - ms["no_image"], abs=2e-4)
    # One checkpoint stands for all three stages: nothing can be forgotten.
    assert left["questions"] == own["by_modality"]["rgb"]["n"] and not left["forgotten"] and left["change"] == 0
    assert {one["accuracy"] for one in after["after"].values()} == {own["by_modality"]["rgb"]["accuracy"]}


def test_a_score_is_held_against_its_best_control_by_the_paired_difference() -> None:
    # The model is right on 25 of 40 chips; its best control on 20 of them, never where the model is wrong.
    rows = [row(n, "yes", "yes" if n < 25 else "no", "yes" if n < 20 else "no") for n in range(40)]
    scores = marked(rows).scores()["overall"]
    over = scores["over_best"]
    assert scores["ci95"][0] < scores["no_image"] == 0.5  # by its own interval it could not be told apart
    assert over["control"] == "no_image" and over["score"] == 0.5 and over["difference"] == pytest.approx(0.125)
    assert 0 < over["ci95"][0] < 0.125 < over["ci95"][1] < 0.3 and significance(over) == "better"
    # As many are right, but on other chips: now the difference may be chance.
    crossed = [row(n, "yes", "yes" if n < 25 else "no", "yes" if n >= 20 else "no") for n in range(40)]
    other = marked(crossed).scores()["overall"]["over_best"]
    assert other["difference"] == pytest.approx(0.125) and other["ci95"][0] < 0 and significance(other) == "level"


def test_what_the_probe_cannot_answer_is_left_out_of_its_comparison_and_named() -> None:
    rows = [row(n, "yes", "no" if n % 2 else "yes") for n in range(8)] + [
        row(n, "3", "3", kind="count") for n in range(8)
    ]
    known = {
        one["id"]: guess("yes" if one["question_type"] == "presence" and int(one["image_id"][5:]) < 2 else "",
                         probe_answer="yes" if one["question_type"] == "presence" else None)
        for one in rows
    }  # fmt: skip
    probe = MarkedAnswers(rows, known, [], 200, 0).scores()["probe"]
    assert (probe["n"], probe["of"], probe["not_answered"]) == (8, 16, ["count"])
    figures = {"n": 8, "probe": 1.0, "ci95": [1.0, 1.0], "accuracy": 0.5, "best_control": 0.25, "learnable": True}
    assert probe["overall"] == probe["by_type"]["presence"] == figures


def test_every_turn_is_asked_once_after_the_true_turns_before_it(tmp_path: Path) -> None:
    shard = "data/chips/landsat/a/shard-0000.parquet"
    image = {"shard": shard, "chip_id": "c", "sensor": "landsat", "modality": "rgb", "bands": ["B4", "B3", "B2"]}
    turns = [("[l8_rgb_30] <image>\nIs there water?", "yes"), ("And wood?", "no"), ("How much?", "a third")]
    spoken = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
    row = {
        "sample_id": "c#0/rgb", "chip_id": "c", "sensor": "landsat", "modality": "rgb", "repeats": 1,
        "images": [image | {"width": 64, "height": 64, "datetime": None}],
        "conversations": json.dumps(spoken), "question_types": ["presence", "presence", "share"],
    }  # fmt: skip
    with contextlib.chdir(tmp_path):
        tables.write_rows([row], SCHEMA, Path("test.parquet"))
        tables.write(pa.table({"chip_id": ["c"], "window_id": ["w"]}), Path(shard))
        source = HeldOut(Path("test.parquet"))
        assert [source.question(number).turns for number in range(3)] == [
            ((turns[0][0], ""),), (turns[0], (turns[1][0], "")), (turns[0], turns[1], (turns[2][0], "")),
        ]  # fmt: skip
        assert [window for window, _ in source.outlines()] == ["w"] * 3
        rows = source.rows()
    assert [row["id"] for row in rows] == [f"c#0/rgb turn {turn}" for turn in range(3)]
    assert [row["references"] for row in rows] == [["yes"], ["no"], ["a third"]]
    assert rows[0]["question"] == "Is there water?" and rows[2]["question_type"] == "share"


def test_other_pixels_under_the_same_names_are_another_source(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))
    with contextlib.chdir(tmp_path):
        stats.run("sentinel-1")
        mixture.run("3")
        before, table = HeldOut().digest, HeldOut().record["digest"]
        shard = next(Path("data/chips/sentinel-1").rglob("shard-*.parquet"))
        frame = pl.read_parquet(shard)
        frame.with_columns(pixels=frame["pixels"].reverse()).write_parquet(shard)
        assert HeldOut().record["digest"] == table and HeldOut().digest != before
