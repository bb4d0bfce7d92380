import json

import pytest

from tasks.evaluation.metrics.extraction import extract


@pytest.mark.parametrize(
    ("answer", "kind", "options", "expected"),
    [
        ("It shows a Baseball_Field.", "class", ("baseball field", "field"), "baseball field"),
        ("river, or a pond", "class", ("river", "pond"), ""),
        ("pastures; inland waters, sea", "labels", ("Inland waters", "Pastures"), "Inland waters, Pastures"),
        ("Yes, there is.", "yes_no", (), "yes"),
        ("yes and no", "yes_no", (), ""),
        ("about 1,234 cars", "number", (), "1234"),
        ("2 or 3", "number", (), ""),
        ("B. Forest", "choice", (), "B"),
        ("Answer: A, C", "choice", (), "A, C"),
        ("b)", "choice", ("Dam", "Port"), "B"),
        ("Port", "choice", ("Dam", "Port"), "B"),
        ("(D) Ice", "choice", ("(A) Sea", "(D) Ice"), "D"),
        ("ice.", "choice", ("(A) Sea", "(D) Ice"), "D"),
        ("CA", "choice", ("Sea", "Bog", "Ice"), "C, A"),
        ("I think it is B and C", "choice", (), "B, C"),
        ("A river runs there", "choice", ("Dam", "Port"), ""),
        ("  a river  ", "caption", (), "a river"),
        ("", "class", ("river",), ""),
        ("The answer is yes", "yes_no", (), "yes"),
        ("The answer is: **No**.", "yes_no", (), "no"),
        ("<think>is it no? maybe</think>yes", "yes_no", (), "yes"),
        ("<think>it must be no", "yes_no", (), ""),
        ("so yes </think> No", "yes_no", (), "no"),
        ("Yes, there is water, but no forest.", "yes_no", (), "yes"),
        ("Yes. No.", "yes_no", (), ""),
        ("Yes/No", "yes_no", (), ""),
        ("yes or no?", "yes_no", (), ""),
        ("**No**", "yes_no", (), "no"),
        ("A. yes", "yes_no", (), "yes"),
        ("True", "yes_no", (), "yes"),
        ("<answer>no</answer> I said yes before", "yes_no", (), "no"),
        ("Nothing there, not in the north", "yes_no", (), ""),
        ("yes<|im_end|>", "yes_no", (), "yes"),
        (r"so $\boxed{B}$", "choice", (), "B"),
        (r"\boxed{\text{river}}", "class", ("river", "pond"), "river"),
        ("(B) forest", "choice", (), "B"),
        ("Answer: B", "choice", (), "B"),
        ("There are three ships.", "number", (), "3"),
        ("3 ships, that is 3.0", "number", (), "3"),
        ("Final answer: 12\nIn 2020 it was 9.", "number", (), "12"),
        ("The answer is a river, not a pond", "class", ("river", "pond"), ""),
    ],
)
def test_an_answer_is_read_by_what_was_asked(answer, kind, options, expected):
    assert extract(answer, kind, options, "internvl") == expected


def test_boxes_are_read_in_the_form_of_the_model_as_fractions_of_the_image():
    assert json.loads(extract("<box>[[0, 0, 500, 1000]]</box>", "boxes", (), "internvl")) == [
        [0.25, 0.5, 0.5, 1.0, 0.0]
    ]
    assert json.loads(extract("[[0, 0, 50, 100, 0]]", "boxes", (), "earthdial")) == [[0.25, 0.5, 0.5, 1.0, 0.0]]
    assert extract("nothing is there", "boxes", (), "earthdial") == "[]"
