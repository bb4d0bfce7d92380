"""RSVQA's split files: images, questions and answers in three JSON files that refer to each other by number."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import ImageIndex, get, need, read_json, records
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected


def split(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each active entry of the questions file, in the order of the file.

    Options: `prefix`, how the three files' names begin (`LR_split_test`, `USGS_split_test_phili`); `images`, the
    folders the pictures `<img_id>.tif` may lie in.
    """
    prefix = job.option("prefix")
    files = {part: need(root, f"**/{prefix}_{part}.json") for part in ("images", "questions", "answers")}
    content = {part: records(read_json(path), part, path) for part, path in files.items()}
    answers = _answers(_written_out(content["answers"], "answers", root), files["answers"])
    known = {get(entry, "id", str(files["images"])) for entry in content["images"] if entry.get("active")}
    index = ImageIndex(need(root, *job.option("images")))
    for entry in _written_out(content["questions"], "questions", root):
        id = str(get(entry, "id", str(files["questions"])))
        image = get(entry, "img_id", f"{files['questions']}, question {id}")
        if image not in known:
            yield Rejected(id, "unknown_image", f"image {image} is not in {files['images'].name}", str(image))
        elif entry["id"] not in answers:
            yield Rejected(id, "no_truth", f"question {id} has no active answer", str(image))
        else:
            type = str(get(entry, "type", f"{files['questions']}, question {id}"))
            question = job.question(question=str(get(entry, "question", f"{files['questions']}, question {id}")))
            answer = answers[entry["id"]]
            yield job.sample(
                id,
                [job.image(index.find(f"{image}.tif"))],
                question,
                [answer],
                answer_type=_type_of(type, answer),
                vqa_type=type,
                group=str(image),
            )


def _written_out(entries: list[dict[str, Any]], part: str, root: Path) -> list[dict[str, Any]]:
    """The active entries of a split, with their text: where a split only numbers them, it is in `all_<part>.json`."""
    active = [entry for entry in entries if entry.get("active")]
    text = {"questions": "question", "answers": "answer"}[part]
    if all(text in entry for entry in active):
        return active
    path = need(root, f"**/all_{part}.json", f"**/USGS{part}.json")
    whole = {get(entry, "id", str(path)): entry for entry in records(read_json(path), part, path)}
    missing = [entry["id"] for entry in active if entry["id"] not in whole]
    if missing:
        raise BenchmarkError(f"{path} lacks {len(missing)} of the split's {part}, the first is {missing[0]}")
    return [{**whole[entry["id"]], **entry} for entry in active]


def _answers(entries: list[dict[str, Any]], path: Path) -> dict[object, str]:
    """The answer of each question, by the question's number."""
    answers: dict[object, str] = {}
    for entry in entries:
        number, answer = get(entry, "question_id", str(path)), str(get(entry, "answer", str(path)))
        if answers.setdefault(number, answer) != answer:
            raise BenchmarkError(f"{path}: question {number} has two answers, {answers[number]!r} and {answer!r}")
    return answers


def _type_of(type: str, answer: str) -> str:
    if type in ("count", "area"):
        return "number" if answer.strip().isdigit() else "ordinal"
    return "yes_no" if answer.lower() in ("yes", "no") else "class"
