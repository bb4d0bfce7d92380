"""What is asked of the experts, and how their texts become one."""

import pytest

from models.rsmoe.prompt import asks_for_caption, instruction_of, join_texts
from tasks.generators.templates.captions import DETAILED, SHORT


@pytest.mark.parametrize("question", [*SHORT, *DETAILED, "What can be seen in {i}?", "[caption] Go on."])
def test_a_question_for_a_caption_is_known_by_its_words_without_a_tag(question: str) -> None:
    assert asks_for_caption(question.format(i="this image"))


@pytest.mark.parametrize(
    "question", ["Is there water in this image?", "How many farms are there?", "Which cover dominates the scene?"]
)
def test_a_question_for_one_answer_is_not(question: str) -> None:
    assert not asks_for_caption(question)


def test_texts_are_joined_in_order_with_each_sentence_once_whatever_its_case() -> None:
    texts = ["A farm. There is a road.", "there is a road", "", "The road is near the farm!  A FARM."]
    assert join_texts(texts) == "A farm. There is a road. The road is near the farm!"
    assert join_texts(["", " "]) == ""
    assert join_texts(["There is a", "Two ponds."]) == "There is a. Two ponds."


def test_the_q_former_reads_the_last_question_without_images() -> None:
    assert instruction_of([("<image>\nFirst?", "yes"), ("[s2] <image>\nSecond?", "")]) == "[s2] \nSecond?"
