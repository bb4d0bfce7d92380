from tasks.pages.examples import bare, choose, examples
from tasks.pages.runs import find
from tasks.pages.scored_runs import scored
from tests.tasks.pages.runs_on_disk import places, questions, run, truths


def first_run(root):
    return scored(find(root / "runs", places(root).demo)[0], root / "cache")


def test_right_and_wrong_answers_are_dealt_over_the_types_of_question(tmp_path):
    truth = truths()
    answers = [answer if number < 20 else "perhaps" for number, answer in enumerate(truth)]
    run(tmp_path, "A", "rsvqa-lr", questions(answers, truth))
    scored = first_run(tmp_path)
    rows = choose(scored, 4)
    picked = examples(scored, rows)
    assert [example.mood for example in picked] == ["right"] * 4 + ["wrong"] * 4
    assert [example.kind for example in picked].count("presence") == 4
    assert rows == choose(scored, 4)


def test_a_run_with_every_answer_wrong_shows_no_success(tmp_path):
    run(tmp_path, "A", "rsvqa-lr", questions(["perhaps"] * 40, truths()))
    scored = first_run(tmp_path)
    assert {example.mood for example in examples(scored, choose(scored, 4))} == {"wrong"}


def test_wrong_answers_are_shown_of_a_run_however_small(tmp_path):
    run(tmp_path, "A", "rsvqa-lr", questions(["perhaps"] * 2, truths(2)))
    scored = first_run(tmp_path)
    assert sorted(choose(scored, 4)) == [0, 1]


def test_a_chip_is_not_shown_twice_while_others_wait(tmp_path):
    truth = truths()
    chips = [f"chip{number // 5}" for number in range(40)]
    run(tmp_path, "A", "rsvqa-lr", questions(truth, truth, chip_id=chips))
    scored = first_run(tmp_path)
    assert len({chips[row] for row in choose(scored, 8)}) == 8


def test_a_question_is_shown_without_its_tags():
    assert bare("[refer] [hr_rgb_0.5] <image> \\n Where are <ref>2 ships</ref>?") == "Where are 2 ships ?"
    assert bare("<image>\nIs there a road?") == "Is there a road?"
