import json
import re
from html.parser import HTMLParser

import polars as pl
import pytest

from tasks.core.errors import BenchmarkError, EarthloomError, MissingInputError
from tasks.pages.board import page
from tests.tasks.pages.runs_on_disk import boxes, leakage, pictures, places, questions, run, truths

VOID = {"meta", "link", "img", "col", "br", "rect", "line", "path", "circle", "input"}


class Outline(HTMLParser):
    """What stands in the page: tags in balance, ids, and what is fetched."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.fetched, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.fetched += [attributes[name] for name in ("src", "href", "srcset", "action") if attributes.get(name)]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def root(tmp_path):
    """Two models on questions, one of which always says yes; one model on boxes with images; a published benchmark."""
    truth = truths()
    good = [answer if number % 10 else "no idea" for number, answer in enumerate(truth)]
    blind = ["yes"] * 40
    controls = {"no_image_answer": blind, "other_image_answer": [*truth[1:], "yes"], "shuffled_bands_answer": good}
    run(tmp_path, "Sees", "rsvqa-lr", questions(good, truth, **controls), training="mix")
    run(tmp_path, "Says yes", "rsvqa-lr", questions(blind, truth), training="other")
    run(
        tmp_path,
        "Sees",
        "aid",
        {"question": ["What?"] * 8, "answer": ["Port", "Pond"] * 4, "annotation": ["Port"] * 7 + ["Pond"]},
    )
    boxes(tmp_path)
    leakage(tmp_path, "mix", "rsvqa-lr", 10, 40)
    return tmp_path


def row_of(text, model, title):
    """The table row of one run, as text."""
    rows = re.findall(r"<tr id=.*?</tr>", text, re.DOTALL)
    return next(row for row in rows if f"{model} ·" in row and title in row)


def test_nothing_outside_the_page_is_asked_for_and_no_script_runs(root):
    text = page(places(root), ("Sees", "Says yes"))
    outline = Outline(text)
    assert outline.open == []
    assert all(address.startswith(("data:", "#")) for address in outline.fetched)
    assert "script" not in outline.tags and "@import" not in text and "url(" not in text.replace("url(#", "")


def test_the_same_files_give_the_same_bytes(root):
    assert page(places(root)) == page(places(root))


def test_a_score_stands_with_its_interval_its_controls_the_legacy_figure_and_its_number(root):
    text = row_of(page(places(root)), "Sees", "RSVQA")
    assert re.search(r'class="figure">90\.0</b><small>\d+\.\d to \d+\.\d</small>', text)
    for control in (
        "the same model without the image: 50.0",
        "the same model with another image",
        "bands shuffled: 90.0",
    ):
        assert control in text
    assert "own scorer: token recall: 90.0" in text.replace("EarthDial&#39;s ", "") and ">40</td>" in text


def test_one_score_alone_is_not_counted_among_many(tmp_path):
    truth = truths()
    run(tmp_path, "A", "rsvqa-lr", questions(truth[::-1], truth))
    text = page(places(tmp_path))
    assert "on 1 benchmark<" in text and "The score cannot be told from what needs no look at the image: " in text
    assert "1 of 1 scores" not in text


def test_a_published_figure_is_marked_as_not_run_here(root):
    text = page(places(root))
    assert '<span class="quoted">88.8</span><small>EarthDial, paper</small>' in row_of(text, "Sees", "AID")
    assert "Published elsewhere, not run here" in text and "RS-MoE-7B" in text


def test_rs_moe_s_published_figure_stands_beside_captions_on_the_scale_of_ours(tmp_path):
    said = ["A harbour with six boats along a pier.", "A road between two fields of wheat."]
    columns = {"question": ["Describe the image."] * 2, "answer": said, "caption0": said, "caption1": said[::-1]}
    run(tmp_path, "Sees", "rsieval-captions", columns)
    text = page(places(tmp_path))
    assert '<span class="quoted">15.8</span><small>RS-MoE-7B, paper</small>' in row_of(text, "Sees", "RSIEval")
    assert "published for RS-MoE-7B, not run here: CIDEr, published as 158.36" in text


def test_the_alarm_fires_for_a_model_that_always_says_the_same_and_for_no_other(root):
    text = page(places(root))
    assert "alarm: 100.0 % “yes”" in row_of(text, "Says yes", "RSVQA")
    assert "alarm:" not in row_of(text, "Sees", "RSVQA")


def test_a_score_is_above_its_best_control_only_by_the_whole_interval_of_the_difference(root):
    text = page(places(root))
    # The control with shuffled bands gives the same answers: seeing them in order adds nothing.
    assert "not surely above it" in row_of(text, "Sees", "RSVQA")
    assert "above its best control" in row_of(text, "A", "NWPU VHR-10")


def test_leaky_clean_unchecked_and_unknown_are_told_apart(root):
    truth = truths()
    run(root, "Clean", "rsvqa-lr", questions(truth, truth), training="clean")
    leakage(root, "clean", "rsvqa-lr", 0, 40)
    text = page(places(root))
    assert "leaky: 25.0 %" in row_of(text, "Sees", "RSVQA")
    assert "no leak found" in row_of(text, "Clean", "RSVQA")
    assert "leakage not checked" in row_of(text, "Says yes", "RSVQA")
    assert "training data unknown" in row_of(text, "A", "NWPU VHR-10")


def test_answers_are_shown_with_their_images_and_both_kinds_of_boxes(root):
    text = page(places(root))
    cards = [
        card for card in re.findall(r'<article class="chip.*?</article>', text, re.DOTALL) if "Give me the" in card
    ]
    assert len(cards) == 6 and all('src="data:image/png' in card for card in cards)
    assert sum('class="true"' in card for card in cards) == 6
    assert sum('class="said"' in card for card in cards) == 5
    assert "nowhere" in text


def test_what_a_model_says_is_shown_as_text_and_never_as_markup(root):
    answers = ["<script>alert(1)</script>", "</table><img src=x>"] * 4
    columns = {"question": ["<b>?"] * 8, "answer": answers, "annotation": ["Port", "Pond"] * 4}
    run(root, "<i>Model", "ucm", columns)
    outline = Outline(page(places(root)))
    assert "script" not in outline.tags and outline.open == [] and "x" not in outline.fetched


def test_two_models_are_compared_question_by_question(root):
    text = page(places(root), ("Says yes", "Sees"))
    assert "Sees against Says yes" in text
    compared = text[text.index('id="board-compared"') : text.index('id="board-answers"')]
    # 'Sees' is right on 18 of the 20 that are no, and wrong on 2 of the 20 that are yes.
    assert "18 answers became better, 2 worse" in compared
    assert "18 against 2, p &lt; 0.001" in compared
    assert compared.count("<article") == 10 and "Became better" in compared and "Became worse" in compared


def test_the_order_of_a_file_does_not_matter_to_a_comparison(root):
    path = root / "runs/Says yes/rsvqa-lr/predictions.parquet"
    before = page(places(root), ("Sees", "Says yes"))
    pl.read_parquet(path).reverse().write_parquet(path)
    again = page(places(root), ("Sees", "Says yes"))
    assert again[: again.index('id="board-answers"')] == before[: before.index('id="board-answers"')]


def test_a_model_without_a_run_is_named_with_those_there_are(root):
    with pytest.raises(BenchmarkError, match="'Seas'; there are A, Sees"):
        page(places(root), ("Sees", "Seas"))


def test_models_without_a_common_benchmark_are_not_compared(root):
    with pytest.raises(BenchmarkError, match="no benchmark in common"):
        page(places(root), ("A", "Says yes"))


def test_changed_answers_are_scored_anew(root):
    before = row_of(page(places(root)), "Says yes", "RSVQA")
    path = root / "runs/Says yes/rsvqa-lr/predictions.parquet"
    pl.read_parquet(path).with_columns(answer=pl.col("annotation")).write_parquet(path)
    after = row_of(page(places(root)), "Says yes", "RSVQA")
    assert 'class="figure">50.0' in before and 'class="figure">100.0' in after


def test_an_image_that_cannot_be_decoded_leaves_its_card_without_one(root):
    truth = truths(8)
    run(root, "Sees", "rsvqa-hr", questions(truth, truth))
    pictures(root, "rsvqa-hr", 3)
    assert 'src="data:image/png' in page(places(root))


def broken(root, **changes):
    path = root / "runs/Sees/aid/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "does not name its model"),
        ({"benchmark": "aidd"}, "there is no benchmark 'aidd'"),
        ({"boxes": "xywh"}, "boxes are written as 'xywh'"),
        ({"benchmark": "rsvqa-lr"}, "both Sees on rsvqa-lr"),
    ],
)
def test_a_run_that_is_not_whole_stops_the_board_with_its_name(root, changes, message):
    broken(root, **changes)
    with pytest.raises(EarthloomError, match=message):
        page(places(root))


def test_a_run_without_predictions_is_named(root):
    (root / "runs/Sees/aid/predictions.parquet").unlink()
    with pytest.raises(MissingInputError, match="but none of predictions"):
        page(places(root))


def test_a_board_without_any_run_says_how_to_get_one(tmp_path):
    with pytest.raises(MissingInputError, match="earthloom demo"):
        page(places(tmp_path))


def test_a_model_is_held_against_the_best_on_its_benchmark_by_the_paired_difference(root):
    row = row_of(page(places(root)), "Says yes", "RSVQA")
    said = re.search(r'<small class="beside">(.*?)</small>', row, re.DOTALL)[1]
    assert re.fullmatch(r"\W[\d.]+ to Sees, \W[\d.]+ to \W[\d.]+; McNemar p (&lt; )?0.\d+", said.strip()), said
    assert 'class="beside"' not in row_of(page(places(root)), "Sees", "RSVQA")


def test_the_second_figure_after_extraction_stands_beside_the_score(root):
    assert re.search(r'<small class="extracted">[\d.]+ after extraction', row_of(page(places(root)), "Sees", "RSVQA"))
