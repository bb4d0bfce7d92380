"""Work done once for each distinct (answer, truth), however many rows have it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.read import Predictions
from tasks.scoring.tally import codes


def by_distinct(predictions: Predictions, score: Callable[[str, str], float]) -> NDArray[np.float64]:
    """`score(answer, truth)` of every row, (rows,), computed once for each distinct pair."""
    return distinct(predictions, score)


def distinct(predictions: Predictions, score: Callable[[str, str], Any]) -> NDArray[Any]:
    """The same for anything that numpy holds: numbers, truths, objects."""
    frame = predictions.frame.select("answer", predictions.truth)
    index, first = codes(frame)
    pairs = frame[first].fill_null("")
    told = [score(answer, truth) for answer, truth in zip(pairs["answer"], pairs[predictions.truth], strict=True)]
    return np.array(told)[index]
