"""RSIVQA's text files: a line a question, `picture:question?answer`, and a folder for each set of pictures."""

import re
from collections.abc import Iterator
from pathlib import Path

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.adapters.job import ImportJob, short_answer_type
from tasks.evaluation.datasets.files import ImageIndex, found, matches, read_lines
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected

LINE = re.compile(r"(?P<name>[^:]+):\s*(?P<question>.+\?)(?P<answer>[^?]*)")
TYPES = (
    ("scene", re.compile(r"\btheme\b", re.IGNORECASE)),
    ("quantity", re.compile(r"^how many\b", re.IGNORECASE)),
    ("ab_position", re.compile(r"\b(where|location)\b", re.IGNORECASE)),
    ("presence", re.compile(r"^(does|do|is|are)\b", re.IGNORECASE)),
)
"""Type of a question by its words, named as RSIEval names them: the files tell none."""


def lines(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each line of the files, in the order of their names; pictures lie in or below a file's folder.

    Options: `files`, patterns of the text files.
    """
    files = sorted({path for pattern in job.option("files") for path in matches(root, pattern)})
    if not files:
        raise BenchmarkError(f"{root}: looked for {' or '.join(job.option('files'))}; {found(root)}")
    indices = {folder: ImageIndex(folder) for folder in {path.parent for path in files}}
    for path in files:
        for number, line in enumerate(read_lines(path), start=1):
            id = f"{path.stem}#{number}"
            parts = LINE.fullmatch(line)
            name, question, answer = (parts[key].strip() for key in LINE.groupindex) if parts else ("", "", "")
            if not answer:
                detail = f"{path}, line {number} is no `picture: question?answer`: {line[:60]}"
                yield Rejected(id, "no_truth", detail, name)
                continue
            kind = next((kind for kind, words in TYPES if words.search(question)), "other")
            yield job.sample(
                id,
                [job.image(indices[path.parent].find(name))],
                job.question(question=question),
                [answer],
                answer_type=short_answer_type(answer),
                vqa_type=kind,
                group=f"{path.parent.name}/{name}",
            )
