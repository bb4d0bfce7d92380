"""Pairs from templates, and the verifier that believes none of them unseen."""

from dataclasses import replace

import pytest

from tasks.dialogue.facts import ChipFacts, Draft, Label, SourceInfo
from tasks.dialogue.templates import TemplateGenerator
from tasks.dialogue.verify import VERIFIED, verify

RULES = SourceInfo(
    "spectral-rules", "spectral", True, ("bare or built-up ground", "dense vegetation", "water", "wet ground")
)
OSM = SourceInfo("osm-landuse", "polygon", False, ("forest", "meadow", "water"))
CORINE = SourceInfo("corine-bigearthnet", "tag", True, ("Pastures", "Sea and ocean"))


def _subject(number: int = 0) -> ChipFacts:
    labels = (
        Label("water", RULES.name, "area", 0.61, None, "south-east"),
        Label("dense vegetation", RULES.name, "area", 0.30, None, "north-west"),
        Label("wet ground", RULES.name, "area", 0.09, None, "centre"),
    )
    return ChipFacts(f"chip{number}", "sentinel-2", labels, {RULES.name: RULES})


def _tagged() -> ChipFacts:
    return ChipFacts(
        "t", "sentinel-2", (Label("Pastures", CORINE.name, "tag", None, None, None),), {CORINE.name: CORINE}
    )


def _mapped() -> ChipFacts:
    labels = (Label("forest", OSM.name, "area", 0.4, 3, "north"), Label("meadow", OSM.name, "area", 0.2, 2, "west"))
    return ChipFacts("m", "sentinel-2", labels, {OSM.name: OSM})


def test_every_templated_pair_is_verified_against_the_labels() -> None:
    subjects = [_subject(i) for i in range(50)] + [_tagged(), _mapped()]
    pairs = list(zip(subjects, TemplateGenerator(8, 3).generate(subjects), strict=True))
    verdicts = {verify(draft, subject) for subject, drafts in pairs for draft in drafts}
    assert verdicts == {VERIFIED}
    types = {draft.question_type for _, drafts in pairs for draft in drafts}
    assert types >= {"presence", "nearby", "dominant", "share", "comparison", "position", "count", "list"}


def test_a_wrong_answer_is_rejected_with_what_the_labels_say() -> None:
    subject = _subject()
    for draft in next(TemplateGenerator(8, 3).generate([subject])):
        wrong = replace(draft, answer="no" if draft.answer == "yes" else "yes" if draft.answer == "no" else "nonsense")
        assert verify(wrong, subject).startswith("the labels say") or "speak of" in verify(wrong, subject)


def test_absence_is_not_claimed_where_the_source_is_incomplete() -> None:
    drafts = [d for seed in range(30) for d in next(TemplateGenerator(9, seed).generate([_mapped()]))]
    assert not [d for d in drafts if d.question_type == "presence" and d.answer == "no"]
    claim = Draft("Is there any water in this image?", "no", "presence", {"label": "water"}, ("water",))
    assert verify(claim, _mapped()).startswith("the labels say 'unknown")


def test_what_is_asked_depends_on_the_seed_and_the_chip_alone() -> None:
    alone = list(TemplateGenerator(6, 7).generate([_subject(4)]))
    among = list(TemplateGenerator(6, 7).generate([_subject(i) for i in range(9)]))
    assert alone[0] == among[4]


@pytest.mark.parametrize("draft", [Draft("", "yes", "presence", {}, ()), Draft("Is it?", " ", "presence", {}, ())])
def test_an_empty_question_or_answer_is_rejected(draft: Draft) -> None:
    assert verify(draft, _subject()) == "empty question or answer"
