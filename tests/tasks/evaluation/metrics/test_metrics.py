"""The parts against what can be worked out by hand, or by a slower way."""

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from scipy.optimize import linear_sum_assignment

from tasks.dialogue import boxes as core
from tasks.evaluation.metrics import rouge
from tasks.evaluation.metrics.bleu_cider import Cider, bleu, bleu_counts, words
from tasks.evaluation.metrics.bootstrap import MetricSums, joined, mean_of, means
from tasks.evaluation.metrics.box_matching import find, matched, overlaps
from tasks.evaluation.metrics.compare import compare
from tasks.evaluation.metrics.predictions import read
from tasks.evaluation.metrics.score import ScoringSettings
from tasks.evaluation.metrics.wordnet import wordnet


def _texts(rng: np.random.Generator, rows: int, turned: bool) -> list[str]:
    texts = []
    for _ in range(rows):
        low = rng.integers(0, 60, (rng.integers(0, 7), 2))
        size = rng.integers(5, 40, low.shape)
        angle = rng.integers(0, 180, len(low)) * turned
        texts.append("".join(f"[{box}]" for box in np.column_stack([low, low + size, angle]).tolist()))
    return texts


@pytest.mark.parametrize("turned", [False, True])
def test_all_rows_at_once_overlap_and_match_as_row_by_row(turned: bool) -> None:
    rng = np.random.default_rng(0)
    answers, truths = _texts(rng, 60, turned), _texts(rng, 60, turned)
    predicted, true = find(answers), find(truths)
    pairs = overlaps(predicted, true)
    for threshold in (0.25, 0.5):
        expected = []
        for answer, truth in zip(answers, truths, strict=True):
            if not (answer and truth):
                expected.append(0)
                continue
            iou = core.iou(core.parse(answer, "earthdial"), core.parse(truth, "earthdial"))
            good = np.where(iou >= threshold - 1e-9, 10 + iou, 0)
            rows, columns = linear_sum_assignment(good, maximize=True)
            expected.append(int((good[rows, columns] > 0).sum()))
        assert matched(pairs, predicted, true, threshold).tolist() == expected


def test_a_rectangle_turned_by_ninety_degrees_is_the_same_with_its_sides_swapped() -> None:
    predicted, true = find(["[[0, 10, 40, 20, 90]]"]), find(["[[15, -5, 25, 35, 0]]"])
    assert overlaps(predicted, true).iou.tolist() == [1]


def test_drawing_distinct_rows_is_drawing_rows() -> None:
    values = np.repeat([0.0, 1.0], [700, 300])
    low, high = means({"share": values}).intervals(None, 4000, 0)["share"]
    answer_variety = 1.96 * 100 * np.sqrt(0.3 * 0.7 / 1000)
    assert (low, high) == pytest.approx((30 - answer_variety, 30 + answer_variety), abs=0.4)


def test_groups_of_one_row_are_rows() -> None:
    rng = np.random.default_rng(1)
    metric_sums = means({"share": rng.random(300)})
    one, other = (metric_sums.intervals(groups, 2000, 0)["share"] for groups in (None, np.arange(300)))
    assert one == pytest.approx(other, abs=0.5)


def test_joined_tallies_keep_both_metrics_row_by_row() -> None:
    a, b = means({"a": [0, 1, 1, 0]}), means({"b": [1, 1, 0, 0]})
    both = joined(a, b)
    assert both.scores() == {"a": 50, "b": 50}
    assert both.rows(np.array([1, 2])).scores() == {"a": 100, "b": 50}


def test_an_empty_tally_of_no_rows_does_not_divide_by_zero() -> None:
    assert MetricSums.of_rows(np.array([[1.0, 1.0]]), mean_of("a")).rows(np.array([], dtype=int)).scores() == {"a": 0}


def test_bleu_is_that_of_papineni() -> None:
    answer = ["the", "the", "the", "the", "the", "the", "the"]
    references = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    counts = np.array(bleu_counts(answer, references))
    assert counts.tolist() == [2, 0, 0, 0, 7, 6, 5, 4, 7, 7]
    scores = bleu(counts)
    assert (float(scores["bleu1"]), float(scores["bleu2"])) == (pytest.approx(200 / 7), 0)


def test_a_short_corpus_is_held_to_the_brevity_penalty() -> None:
    scores = bleu(np.array(bleu_counts(words("a b"), [words("a b c d")])))
    assert float(scores["bleu2"]) == pytest.approx(100 * np.exp(-1))


def test_cider_finds_the_rare_word_more_telling_than_the_common_one() -> None:
    texts = [[words(f"a photo of a {name}")] for name in ("river", "forest", "harbour", "runway")]
    cider = Cider(texts)
    right, wrong = (cider.similarities(words(f"photo of a {name}"), texts[0])[0] for name in ("river", "forest"))
    assert right > 0.3 > wrong


def test_cider_of_the_reference_is_one_also_where_every_image_has_the_same() -> None:
    references = [[words("nothing has changed")]] * 3
    assert Cider(references).similarities(words("nothing has changed"), references[0]).tolist() == [1]


def test_wordnet_is_princetons_three_point_oh() -> None:
    reader = wordnet()
    assert reader.get_version() == "3.0"
    assert {lemma.name() for sense in reader.synsets("planes") for lemma in sense.lemmas()} >= {"airplane", "aeroplane"}


def test_a_paired_test_sees_what_two_intervals_do_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    right = rng.random(400) < 0.6
    better = right | (rng.random(400) < 0.08)
    paths = []
    for name, marks in (("first", right), ("second", better)):
        rows = [
            {"id": str(row), "annotation": "yes", "answer": "yes" if mark else "no"} for row, mark in enumerate(marks)
        ]
        paths.append(tmp_path / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in (rows if name == "first" else reversed(rows))))
    comparison = compare(read(paths[0], "vqa"), read(paths[1], "vqa"), ScoringSettings())
    gained = int((better & ~right).sum())
    assert comparison["mcnemar"] == {
        "only_first_right": 0,
        "only_second_right": gained,
        "p": pytest.approx(2 * 0.5**gained, abs=1e-4),
    }
    assert comparison["accuracy"]["difference"] == pytest.approx(100 * gained / 400)
    assert comparison["accuracy"]["ci95"][0] > 0 and comparison["accuracy"]["p"] < 0.01


def test_every_order_of_labels_is_the_same_set(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    rows = [
        {"annotation": "Forest, River, Pond", "answer": ", ".join(order)}
        for order in itertools.permutations(["pond", "forest", "River"])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    from tasks.evaluation.metrics.classification import classification

    assert classification(read(path, "classification"))[""].scores() == {
        "accuracy": 100,
        "micro_f1": 100,
        "macro_f1": 100,
        "map": 100,
    }


def test_rouge_is_that_of_rouge_score() -> None:
    rng = np.random.default_rng(5)
    vocabulary = ["a", "road", "roads", "the", "building", "Buildings", "trees.", "beside", "42", "grey-blue"]
    library = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
    for _ in range(200):
        first, second = (" ".join(rng.choice(vocabulary, rng.integers(0, 30))) for _ in range(2))
        expected = library.score(first, second)
        pair = rouge.tokens(first), rouge.tokens(second)
        for name, found in (("rouge1", rouge.rouge1(*pair)), ("rougeL", rouge.rouge_l(*pair))):
            wanted = expected[name]
            assert (found.precision, found.recall) == (wanted.precision, wanted.recall)
            assert found.f1 == pytest.approx(wanted.fmeasure)


def test_two_long_texts_have_a_common_subsequence_at_once() -> None:
    rng = np.random.default_rng(6)
    first, second = (rng.integers(0, 50, 10_000).astype(str).tolist() for _ in range(2))
    start = time.process_time()
    common = rouge.common_subsequence(first, second)
    assert time.process_time() - start < 5
    assert 0.2 < common / 10_000 < 0.5
    assert rouge.common_subsequence(first, first) == 10_000


def test_a_paired_test_goes_by_the_first_files_types_and_does_without_a_bootstrap(tmp_path: Path) -> None:
    types = {"first": ["presence", "count"], "second": ["count", "presence"]}
    for name, kinds in types.items():
        rows = [{"annotation": "yes", "answer": "yes", "vqa_type": kind} for kind in kinds]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    pair = [read(tmp_path / name, "vqa") for name in types]
    assert compare(*pair, ScoringSettings("legacy", draws=20))["accuracy"]["difference"] == 0
    assert set(compare(*pair, ScoringSettings(draws=0))["accuracy"]) == {"first", "second", "difference"}
