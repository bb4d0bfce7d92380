import json
import re
from collections import Counter
from typing import get_args

import pytest

from tasks.core.errors import BenchmarkError
from tasks.earth.display_sensors import SENSOR_TAGS
from tasks.evaluation import names as scoring
from tasks.evaluation.datasets import registry
from tasks.evaluation.datasets.adapters import ADAPTERS
from tasks.evaluation.datasets.adapters.job import ImportJob
from tests.conftest import ROOT

SHARED = ROOT.parent / "shared"
WANTED = (
    "aid", "ucm", "whu-rs19", "resisc45", "patternnet", "siri-whu", "bigearthnet", "so2sat-lcz42", "treesatai",
    "starcop", "uhi", "rsvqa-lr", "rsvqa-hr", "rsivqa", "geochat-bench", "nwpu-vhr-10", "swimming-pool",
    "urban-tree-crown", "hit-uav", "ucas-aod", "sar-ship", "srsdd", "dior-rsvg", "nwpu-captions", "rsicd", "rsitmd",
    "sydney-captions", "ucm-captions", "rsicap", "dubai-cc", "levir-mci", "muds", "sysu", "fmow", "xbd", "quakeset",
    "vrsbench", "geobench-vlm", "xlrs-bench",
)  # fmt: skip


def test_every_data_set_of_both_papers_and_the_newer_three_has_a_row():
    assert sorted(WANTED) == sorted(registry.datasets())
    assert {row.dataset for row in registry.benchmarks().values()} == set(WANTED)


def test_bigearthnet_is_asked_in_true_colour_and_in_twelve_bands():
    assert len(registry.get("bigearthnet-rgb").bands) == 3
    assert len(registry.get("bigearthnet-ms").bands) == 12


def test_every_adapter_is_used_and_every_source_names_one():
    used = {source.adapter for row in registry.benchmarks().values() for source in row.sources}
    assert used == set(ADAPTERS) - {"rows"}  # for benchmarks of one's own


def test_every_sensor_tag_is_one_of_the_projects():
    assert {row.sensor for row in registry.benchmarks().values()} <= set(SENSOR_TAGS)


def test_classes_stand_once_and_answers_of_a_class_have_some():
    for row in registry.benchmarks().values():
        assert max(Counter(name.lower() for name in row.classes).values(), default=1) == 1, row.name
        if row.answer_type in ("class", "ordinal") and row.task != "vqa":
            assert row.classes, row.name


def test_every_question_with_two_dates_shows_two_images_but_the_published_slip():
    for row in registry.benchmarks().values():
        if row.task == "change" and row.name != "xbd-damage-harmed":
            assert row.prompt.count("<image>") >= 2, row.name


def test_an_unconfirmed_format_says_so_and_every_format_says_where_it_is_known_from():
    sources = [source for row in registry.benchmarks().values() for source in row.sources]
    assert all(len(source.evidence) > 10 for source in sources)
    assert any(not source.confirmed for source in sources)
    assert all(not source.confirmed for source in sources if "recalled" in source.evidence)


def test_every_published_figure_belongs_to_a_benchmark_and_stands_once():
    rows = registry.benchmarks()
    assert {figure.benchmark for figure in registry.figures()} <= set(rows)
    counted = Counter((f.benchmark, f.model, f.metric, f.kind) for f in registry.figures())
    assert [key for key, number in counted.items() if number > 1] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared specifications are not beside the checkout")
def test_no_published_figure_was_invented_each_stands_in_the_specifications():
    text = "".join((SHARED / name).read_text() for name in ("spec/earthdial.md", "spec/rsmoe.md", "FIELD.md"))
    numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}
    assert [f"{f.benchmark} {f.metric} {f.value}" for f in registry.figures() if f.value not in numbers] == []
    assert [f"{f.benchmark} {f.n}" for f in registry.figures() if f.n and f.n not in numbers] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared predictions are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "file", "fields"),
    [
        ("aid", "classification/AID", {}),
        ("starcop", "classification/STARCOP_test", {}),
        ("treesatai", "classification/TreeSatAI", {}),
        ("nwpu-captions", "captioning/NWPU_RESISC45_Captions", {}),
        ("rsicd-captions", "captioning/RSICD_Captions", {}),
        ("levir-mci", "change/LEVIR_MCI", {}),
        ("fmow", "change/FMoW", {}),
        ("xbd-type", "change/xBD_testset_1", {}),
        ("xbd-locate", "change/xBD_object_detection", {}),
        ("rsvqa-lr", "vqa/RSVQA_LR", {"question": "Is there a grass area?"}),
        ("nwpu-vhr-10-refer", "detection/NWPU_VHR_10", {"object": "4 white small storage tank at the top left"}),
        ("sar-ship-refer", "detection/ship_dataset_v0", {"object": "1 medium ship at the bottom right"}),
        ("nwpu-vhr-10-region", "region_captioning/NWPU_VHR_10_test", {"box": "<box>[[7, 22, 14, 31, 0]]</box>"}),
        ("srsdd-region", "region_captioning/SRSDD_V1_0_test", {"box": "<box>[[96, 9, 99, 16, 33]]</box>"}),
    ],
)
def test_prompts_are_word_for_word_those_of_the_published_answers(name, file, fields):
    row = registry.get(name)
    first = json.loads((SHARED / f"predictions/{file}.jsonl").read_text().splitlines()[0])
    assert ImportJob(row, row.sources[0]).question(**fields) == first["question"]


def test_the_scorers_know_every_task():
    assert set(get_args(registry.Task)) == set(get_args(scoring.Task))


def test_an_unknown_benchmark_is_refused_with_the_nearest_names():
    with pytest.raises(BenchmarkError, match="rsvqa-lr"):
        registry.get("rsvqa_lr")
    with pytest.raises(BenchmarkError, match="xbd-type"):
        registry.get("xbd")


def test_an_unknown_field_of_a_row_is_refused_with_its_name():
    with pytest.raises(BenchmarkError, match=r"here.*licens"):
        registry._checked(registry.Dataset, {"title": "x", "homepage": "y", "obtain": "z", "licens": "MIT"}, "here")
