"""The experts of RS-MoE: what each is asked for, and how their texts become one. No torch here.

The paper names three sub-tasks and publishes no prompt and no rule of joining (spec of RS-MoE, sections 1.2 and 1.3):
the wording and the rule below are ours. A template stands where the chat layout has its system prompt.
"""

import re
from collections.abc import Sequence
from typing import Any

from models.parts.prompt import IMAGE

EXPERTS = ("theme", "object", "relation")
"""Theme comprehension, object recognition and relationship inference, in the order in which a caption has them."""
TEMPLATES = {
    "theme": "State the image type, quality and overall scene of this remote sensing image.",
    "object": "List the visible objects in this remote sensing image with number, colour and size.",
    "relation": "Describe where the objects in this remote sensing image are relative to each other.",
}
"""Prompt of each expert, which the router then fits to the image and the question."""
QFORMER_TOKENIZER = "qformer_tokenizer"
"""Folder of a checkpoint with the tokenizer of the Q-Former, as InstructBLIP's processor names it; absent where the
Q-Former reads with the one of the language model."""
SENTENCE = re.compile(r"(?<=[.!?])\s+")
"""Between two sentences."""
CAPTION = re.compile(
    r"\[caption\]|\b(describe|captions?|summari[sz]e|characteri[sz]e|description|depicts?|sentences about"
    r"|what (?:is|can be) (?:shown|seen) in)\b",
    re.IGNORECASE,
)
"""A question that asks for a caption, to which every expert adds its part."""


class ExpertError(ValueError):
    """Experts that are not there, or prompts that cannot be given to them."""


def asks_for_caption(question: str) -> bool:
    """Whether the answer is joined from the texts of all experts; any other question has one answer."""
    return CAPTION.search(question) is not None


def request_for(template: str, question: str) -> str:
    """What the network without experts is asked for the prompt of an expert; ours, as the templates are."""
    return f"{question}\nWrite in one sentence what an expert has to answer first. {template}"


def instruction_of(turns: Sequence[tuple[str, str]]) -> str:
    """What the Q-Former reads of a conversation: its last question, without images."""
    return turns[-1][0].replace(IMAGE, "").strip()


def instruction_ids(turns: Sequence[tuple[str, str]], tokenizer: Any, reader: Any = None) -> list[int]:
    """`instruction_of` in tokens of the Q-Former.

    Args:
        turns: (question, answer).
        tokenizer: the language model's.
        reader: the Q-Former's, with its special tokens; None where it reads with the other.
    """
    ids: list[int] = (reader or tokenizer).encode(instruction_of(turns), add_special_tokens=reader is not None)
    return ids


def join_texts(texts: Sequence[str]) -> str:
    """The texts of the experts in their order, one after the other, each sentence once.

    Experts are asked apart and may say the same: the second time a sentence is left out, whatever its case.
    """
    said: set[str] = set()
    joined = []
    for sentence in (sentence for text in texts for sentence in SENTENCE.split(text.strip())):
        key = " ".join(sentence.lower().split()).rstrip(".!?")
        if key and key not in said:
            said.add(key)
            # A text that was cut at its longest would run into the next.
            joined.append(sentence.strip() if sentence.rstrip().endswith((".", "!", "?")) else f"{sentence.strip()}.")
    return " ".join(joined)
