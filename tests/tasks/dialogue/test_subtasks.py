"""tasks/dialogue/subtasks.py: every type of question has an expert, and no sentence of a caption is lost."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from models.rsmoe.prompt import EXPERTS, SENTENCE
from tasks.core.errors import SubtaskError
from tasks.dialogue import subtasks
from tasks.dialogue.kinds import CLOSED, FREE_TEXT, OPEN, TASK_TAGS
from tasks.dialogue.subtasks import KINDS, TYPES, deal, joined, kind_of, targets
from tasks.generators.templates.generator import Choice, TemplateGenerator
from tasks.generators.templates.registry import ABSTENTION
from tasks.generators.templates.registry import KINDS as TEMPLATES
from tasks.published.registry import PUBLISHED
from tests.fixtures.chip_facts import chips
from tests.tasks.dialogue.paragraphs import PARAGRAPHS

ROOT = Path(__file__).parents[3]
PREDICTIONS = ROOT.parent / "shared" / "predictions" / "captioning"


def test_every_type_of_question_that_we_write_or_import_has_one_kind() -> None:
    asked = yaml.safe_load((ROOT / "params.yaml").read_text())["qa"]["kinds"]
    ours = {*asked, *TEMPLATES, ABSTENTION.name, *CLOSED, *OPEN, *FREE_TEXT, *TASK_TAGS}
    imported = {entry.kind for entry in PUBLISHED} | {entry.task.strip("[]") for entry in PUBLISHED if entry.task}
    assert sorted((ours | imported) - set(TYPES)) == []
    assert set(TYPES.values()) == set(KINDS)
    named = [name for names in subtasks.TABLE["types"].values() for name in names]
    assert [name for name, times in Counter(named).items() if times > 1] == []


def test_a_type_that_nobody_knows_is_refused_by_name_until_the_parameters_name_its_expert() -> None:
    with pytest.raises(SubtaskError, match=r"type 'referring-bbox'.*`subtasks.types`"):
        kind_of("referring-bbox")
    assert targets("Where is the lake?", "north", "referring-bbox", {"referring-bbox": "relation"}) == [
        ("relation", "north")
    ]


@pytest.mark.parametrize(
    ("question_type", "question", "answer", "expert"),
    [
        ("scene-class", "Which kind of cover dominates the image?", "forest", "theme"),
        ("count", "How many areas of meadow are mapped?", "2", "object"),
        ("change", "Has there been any forest loss?", "No, there has been none. It is as it was.", "relation"),
        ("vqa", "Is the car next to the house?", "yes", "relation"),
        ("vqa", "Is it a rural or an urban area?", "rural", "theme"),
        ("vqa", "How many cars are in the scene?", "3", "object"),
    ],
)
def test_a_short_answer_is_learned_unchanged_by_one_expert(
    question_type: str, question: str, answer: str, expert: str
) -> None:
    assert targets(question, answer, question_type) == [(expert, answer)]


def test_the_sentences_of_a_paragraph_are_dealt_by_what_they_say() -> None:
    wrong = [
        (sentence, one.expert)
        for paragraph in PARAGRAPHS
        for (sentence, right), one in zip(paragraph, deal(" ".join(s for s, _ in paragraph)), strict=True)
        if one.expert != right
    ]
    assert wrong == []


def _keeps_every_sentence(caption: str) -> bool:
    """Whether the experts' texts hold the sentences of the caption, each as often as it does, and nothing else."""
    learned = [sentence for _, text in joined(deal(caption)) for sentence in SENTENCE.split(text)]
    return Counter(learned) == Counter(map(str.strip, SENTENCE.split(caption.strip())))


def test_nothing_of_a_caption_is_lost_and_experts_without_a_sentence_are_left_out() -> None:
    texts = [" ".join(sentence for sentence, _ in paragraph) for paragraph in PARAGRAPHS]
    assert all(map(_keeps_every_sentence, texts))
    assert [expert for expert, _ in joined(deal(texts[0]))] == list(EXPERTS)
    assert targets("Describe it.", "A lake. A lake. It is blue!", "caption") == [
        ("theme", "A lake."), ("object", "A lake. It is blue!"),
    ]  # fmt: skip
    assert targets("Caption it.", "some planes are in an airport .", "caption") == [
        ("theme", "some planes are in an airport .")
    ]


def test_of_what_may_be_a_caption_the_question_decides() -> None:
    text = "A harbour. There are 3 ships. They lie beside the pier."
    assert [expert for expert, _ in targets("Describe the picture.", text, "conversation")] == list(EXPERTS)
    assert targets("What do you make of it?", text, "conversation") == [("object", text)]


def test_the_captions_that_templates_write_reach_every_expert_and_keep_what_they_say() -> None:
    said = ("share", "position", "presence", "comparison", "adjacency", "count", "nearby", "season", "spectral")
    writer = TemplateGenerator(Choice(8, 1, kinds=(*FREE_TEXT, *said, "backscatter"), short=0.0))
    pairs = [pair for facts in (*chips(100), *chips(50, sensor="sentinel-1")) for pair in writer.write(facts)]
    captions = [pair.answer for pair in pairs if pair.question_type in FREE_TEXT]
    counts = Counter(one.expert for caption in captions for one in deal(caption))
    assert len(captions) > 100 and all(map(_keeps_every_sentence, captions))
    assert min(counts[expert] / counts.total() for expert in EXPERTS) > 0.1
    # What a caption says of a place is learned by the expert that also learns to answer where it is.
    other = [
        pair.answer
        for pair in pairs
        if pair.question_type not in FREE_TEXT
        and deal(f"A scene. {pair.answer}")[1].expert != TYPES[pair.question_type]
    ]
    assert len(pairs) - len(captions) > 500 and other == []


@pytest.mark.skipif(not PREDICTIONS.is_dir(), reason="the published predictions are not here")
def test_nothing_of_published_captions_is_lost() -> None:
    for path in sorted(PREDICTIONS.glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        captions = [row[name] for row in lines for name in ("answer", "caption0")]
        assert [text for text in captions if not _keeps_every_sentence(text)] == []
