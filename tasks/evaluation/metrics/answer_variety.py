"""How much the answers of a file vary, and the alarm if they do not."""

from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from tasks.evaluation.metrics.predictions import Predictions
from tasks.evaluation.metrics.text_normalisation import normalise_text

COMMON, RARE = 0.95, 0.90
"""The alarm: at least this share of the answers is one answer, and less than this share of the truth is one."""
SHOWN = 200
"""Characters of an answer that are shown."""


def shown(text: str) -> str:
    """A text as a table can show it, with a mark where it is cut."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def answer_variety(predictions: Predictions) -> dict[str, Any]:
    """How much the answers vary beside the truth, and the alarm if they do not."""
    answers, truths = _shares(predictions.frame["answer"]), _shares(_first_truths(predictions))
    common = next(iter(answers))
    constant = len(answers) == 1 and len(truths) > 1
    nearly = answers[common] >= COMMON and next(iter(truths.values())) < RARE
    return {
        "distinct": len(answers),
        "entropy_bits": _entropy(answers),
        "truth_entropy_bits": _entropy(truths),
        "commonest": shown(common),
        "commonest_share": 100 * answers[common],
        "truth_commonest_share": 100 * next(iter(truths.values())),
        "constant_answer_alarm": constant or nearly,
    }


def _first_truths(predictions: Predictions) -> pl.Series:
    return predictions.frame[predictions.truth].fill_null("")


def _shares(texts: pl.Series) -> dict[str, float]:
    """Share of each distinct text, the commonest first."""
    merged: Counter[str] = Counter()
    for text, count in texts.value_counts().iter_rows():
        merged[normalise_text(text)] += count
    total = merged.total()
    return {text: count / total for text, count in sorted(merged.items(), key=lambda item: (-item[1], item[0]))}


def _entropy(shares: dict[str, float]) -> float:
    probabilities = np.array(list(shares.values()))
    return float(max(0.0, -(probabilities * np.log2(probabilities)).sum()))
