"""SPICE (Anderson et al., ECCV 2016): its authors' Java program, on a folder that the user has.

Neither the program nor the parser it needs is shipped here (AGPL-3.0 and GPL-3.0), and nothing is downloaded:
docs/reference/metrics.md says how to come by them. The scene graphs of all references of an image are merged, so that
an answer that is one of several references is not perfect: the figure stands with those "as published".
"""

import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import MissingInputError, SpiceError
from tasks.evaluation.metrics.bleu_cider import words

JAR = "spice-1.0.jar"
PARSER = ("lib/stanford-corenlp-3.6.0.jar", "lib/stanford-corenlp-3.6.0-models.jar")
ABSENT = "no SPICE folder is named (--spice or EARTHLOOM_SPICE; docs/reference/metrics.md says how to get one)"
START_SECONDS, SECONDS_PER_ANSWER = 600.0, 5.0
"""Seconds that the program may take to load its parser, and for each answer."""
MEAN = re.compile(r"f-score:\s*([0-9.]+) \(SPICE metric\)")
NEW = "Java 15 and later cannot write its table: they lack the JavaScript that it uses"


@dataclass(frozen=True)
class Spice:
    """What the program says, 0 to 1."""

    mean: float
    rows: NDArray[np.float64] | None
    """Of each answer, (rows,); None where the program printed its mean only, to three digits."""


def spice(
    folder: Path, answers: Sequence[str], references: Sequence[Sequence[str]], seconds: float | None = None
) -> Spice:
    """Score captions; one without words, or without any reference, is worth 0.

    Args:
        folder: with `JAR` and, in `lib`, the jars it came with and those of `PARSER`.
        answers: one a row.
        references: those of each row.
        seconds: that the program may take; by the number of answers if not given.

    Raises:
        MissingInputError: a jar or Java is missing.
        SpiceError: the program failed, took too long, or printed no score for each answer.
    """
    jar = program(folder)
    asked = [row for row, answer in enumerate(answers) if words(answer) and any(map(words, references[row]))]
    if not asked:
        return Spice(0.0, np.zeros(len(answers)))
    rows_of_input = [
        {"image_id": row, "test": answers[row], "refs": [text for text in references[row] if words(text)]}
        for row in asked
    ]
    with tempfile.TemporaryDirectory() as scratch:
        given, taken = Path(scratch) / "given.json", Path(scratch) / "taken.json"
        given.write_text(json.dumps(rows_of_input))
        # The mean is written in the language of the machine, and in English anywhere.
        command = [java(), "-Xmx8G", "-Duser.language=en", "-Dfile.encoding=UTF-8", "-jar", str(jar), str(given)]
        ran = _ran(
            [*command, "-out", str(taken)], Path(scratch), seconds or START_SECONDS + SECONDS_PER_ANSWER * len(asked)
        )
        content = taken.read_text() if taken.is_file() else ""
    if content:
        rows = np.zeros(len(answers))
        rows[asked] = _scores(content, asked)
        return Spice(float(rows.mean()), rows)
    if match := MEAN.search(ran.stdout):
        return Spice(float(match[1]) * len(asked) / len(answers), None)
    raise SpiceError(f"SPICE in {folder} ended with {ran.returncode} and without a score: {_last(ran.stderr)}")


def program(folder: Path) -> Path:
    """The jar to run.

    Raises:
        MissingInputError: it or its parser is not in the folder.
    """
    lacking = [name for name in (JAR, *PARSER) if not (folder / name).is_file()]
    if lacking:
        raise MissingInputError(
            f"SPICE needs {', '.join(lacking)} in {folder}; docs/reference/metrics.md says how to get them"
        )
    return (folder / JAR).resolve()


def java() -> str:
    """The Java to run it with: that of JAVA_HOME, or the first on the path.

    Raises:
        MissingInputError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise MissingInputError(f"SPICE needs Java, which is not {f'in {home}' if home else 'on the path'}")
    return found


def _ran(command: list[str], folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise SpiceError(f"SPICE was stopped after {seconds:.0f} s") from error


def _scores(content: str, asked: list[int]) -> list[float]:
    """F1 of each answer, in the order in which they were asked for."""
    try:
        score_of_row = {entry["image_id"]: float(entry["scores"]["All"]["f"]) for entry in json.loads(content)}
        scores = [score_of_row[row] for row in asked]
    except (ValueError, KeyError, TypeError) as error:
        raise SpiceError(f"what SPICE wrote holds no score for each answer: {error!r}") from error
    if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores):
        raise SpiceError("what SPICE wrote holds a score that is not within 0 and 1")
    return scores


def _last(text: str) -> str:
    """The last telling lines of a program's complaint."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("at ")]
    return " / ".join(lines[-3:]) or "it said nothing"
