"""What a text asserts does not depend on how it was read."""

import re

import pytest

from tasks.dialogue.verifier import parsing
from tasks.generators.templates.generator import Choice, TemplateGenerator
from tasks.quality.made_chips import made_chips
from tasks.quality.suites import suites


def test_an_answer_read_sentence_by_sentence_asserts_what_it_asserts_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chips = list(made_chips(1))
    writers = [TemplateGenerator(Choice(2, seed, ("caption", "detailed-caption"), short=0)) for seed in range(8)]
    pairs = [case.pair for case in suites(chips)]
    pairs += [pair for writer in writers for facts in chips for pair in writer.write(facts)]
    texts = sorted({(pair.question, pair.answer) for pair in pairs})
    labels = chips[0].vocabulary - parsing.common_labels()
    by_sentence = [parsing.parse_after(*one, labels, None).expression for one in texts]
    cut = sum(len(parsing.SENTENCE_END.split(answer)) > 1 for _, answer in texts)
    monkeypatch.setattr(parsing, "SENTENCE_END", re.compile(r"(?!)"))
    parsing._sentence.cache_clear()
    assert cut > 100
    assert by_sentence == [parsing.parse_after(*one, labels, None).expression for one in texts]
