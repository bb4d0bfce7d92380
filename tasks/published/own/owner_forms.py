"""Records as the owners of two data sets publish them: RSICap's captions, and IconQA's questions with choices.

RS-MoE's repository trains on both layouts (spec of RS-MoE, sections 0.3, 3.1 and 4.5); no picture or text of either
comes with this project.
"""

import string
from collections.abc import Mapping
from typing import Any

from tasks.dialogue.conversations import IMAGE
from tasks.published.own.formats import Talk
from tasks.published.repairs import Notes, RowError

RSICAP_KEY = "annotations"
"""The object of captions.json holds its records under this name."""


def rsicap(record: Mapping[str, Any], notes: Notes) -> Talk:
    """`filename`, `text_input` and `text_output` of captions.json; `caption` in its split by sub-task."""
    if "qa_pairs" in record:
        raise RowError(
            "other-split",
            "the record is of RSIEval, which is for tests: `earthloom bench import rsieval-captions` or `rsieval-vqa`",
        )
    answer = record.get("text_output", record.get("caption"))
    named = {"filename": record.get("filename"), "text_input": record.get("text_input"), "text_output": answer}
    texts = _texts(named)
    claim = {name: record[name] for name in ("image_id",) if name in record}
    return Talk(_turns(texts["text_input"], texts["text_output"]), (texts["filename"],), claim, "caption")


def iconqa(record: Mapping[str, Any], notes: Notes) -> Talk:
    """`id`, `question`, `choices` (texts) and `answer`, the index of the right one; the picture is `<id>/image.png`.

    The wording of question and answer is that of RS-MoE's reader. IconQA's two other sub-tasks choose between pictures
    or fill in a blank, and are refused.
    """
    texts = _texts({"id": str(record["id"]) if "id" in record else None, "question": record.get("question")})
    choices, answer = record.get("choices"), record.get("answer")
    asked = record.get("ques_type", "choose_txt")
    if asked != "choose_txt" or not isinstance(choices, list):
        raise RowError("unsupported", f"the record is of {asked!s:.40}: questions with `choices` of texts are read")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise RowError("wrong-type", "`choices` must be texts")
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise RowError("wrong-type", f"`answer` must be an index of the {len(choices)} choices, found {answer!r:.40}")
    if len(choices) > len(string.ascii_lowercase):
        raise RowError("unsupported", f"the record has {len(choices)} choices, {len(string.ascii_lowercase)} at most")
    options = [f"({letter}) {choice}" for letter, choice in zip(string.ascii_lowercase, choices, strict=False)]
    question = f"Question: {texts['question']} Options: {' '.join(options)}. Short answer:"
    claim = {"choices": choices, "answer": answer}
    return Talk(_turns(question, options[answer]), (f"{texts['id']}/image.png",), claim, "vqa")


def _texts(named: Mapping[str, Any]) -> dict[str, str]:
    """The fields, all of which must be texts."""
    for name, value in named.items():
        if value is None:
            raise RowError("missing-text" if name != "filename" else "missing-image", f"the record has no `{name}`")
        if not isinstance(value, str):
            raise RowError("wrong-type", f"`{name}` must be a text, found {type(value).__name__}")
    return dict(named)


def _turns(question: str, answer: str) -> list[Any]:
    return [{"from": "human", "value": f"{IMAGE}\n{question}"}, {"from": "gpt", "value": answer}]
