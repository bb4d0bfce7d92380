"""Honest scores of captions: BLEU-1 to -4, METEOR, ROUGE-L and CIDEr-D, one rule for several references.

The rule: an answer is held against the reference it fits best. Empty references are left out and counted; an answer
without any reference is wrong. SPICE merges all references instead, and is a Java program: see `spice` beside this.
"""

from collections.abc import Sequence

import numpy as np
from nltk.translate.meteor_score import single_meteor_score

from tasks.evaluation.metrics import rouge
from tasks.evaluation.metrics.bleu_cider import Cider, bleu, bleu_counts, words
from tasks.evaluation.metrics.bootstrap import Array, MetricSums, ratio
from tasks.evaluation.metrics.predictions import Predictions, listed
from tasks.evaluation.metrics.text_normalisation import normalise_text
from tasks.evaluation.metrics.tokens import stemmer
from tasks.evaluation.metrics.wordnet import wordnet

NAMES = ("meteor", "rougeL", "cider", "exact")
BLEU = 10
"""Columns of `bleu_counts`."""
Words = tuple[str, ...]


def captioning(predictions: Predictions) -> dict[str, MetricSums]:
    """All rows, and by size where the file tells it."""
    sums = scored(predictions.texts("answer"), predictions.references())
    if "size_group" not in predictions.frame.columns:
        return {"": sums}
    sizes = predictions.rows_of("size_group").items()
    return {"": sums, **{f"by_size/{size}": sums.rows(rows) for size, rows in sizes if size}}


def usable(references: Sequence[str]) -> list[str]:
    """References that hold a word; one that is a JSON list of captions is taken apart (SYSU's published files)."""
    apart = [text for reference in references for text in (listed(reference) or [reference])]
    return [text for text in apart if words(text)]


def empty_references(references: Sequence[Sequence[str]]) -> int:
    """References without a word, of all rows."""
    return sum(not words(text) for texts in references for text in texts)


def scored(answers: Sequence[str], references: Sequence[Sequence[str]]) -> MetricSums:
    """Statistics of captions: the columns of `bleu_counts`, those of `NAMES`, and a 1 that counts the row."""
    usable_texts = [usable(texts) for texts in references]
    tokens = [[words(text) for text in texts] for texts in usable_texts]
    cider = Cider(tokens)
    rows = np.zeros((len(answers), BLEU + len(NAMES) + 1))
    known: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    for row, (answer, texts, split) in enumerate(zip(answers, usable_texts, tokens, strict=True)):
        # Change data sets repeat the sentence for no change many times, and METEOR is slow.
        key = (answer, tuple(texts))
        if key not in known:
            known[key] = _row(answer, texts, split, cider)
        rows[row] = [*known[key], 1.0]
    return MetricSums.of_rows(rows, _metrics)


def _row(answer: str, texts: list[str], tokens: list[Words], cider: Cider) -> list[float]:
    said = words(answer)
    counts = bleu_counts(said, tokens)
    if not tokens or not said:
        return [*counts, *[0.0] * len(NAMES)]
    exact = float(any(normalise_text(answer) == normalise_text(text) for text in texts))
    stems = stemmed(said)
    longest = max(rouge.rouge_l(stemmed(reference), stems).f1 for reference in tokens)
    meteor = max(_meteor(said, reference) for reference in tokens)
    similar = cider.similarities(said, tokens)
    return [*counts, meteor, 1.0 if said in tokens else longest, float(similar.max()), exact]


def _meteor(said: Words, reference: Words) -> float:
    """NLTK's METEOR; a sentence that is the reference is not fragmented (as in METEOR 1.5), so it scores 1."""
    if said == reference:
        return 1.0
    return float(single_meteor_score(reference, said, stemmer=stemmer(), wordnet=wordnet()))


def _metrics(sums: Array) -> dict[str, Array]:
    means = {name: ratio(sums[..., BLEU + column], sums[..., -1]) for column, name in enumerate(NAMES)}
    return {**bleu(sums[..., :BLEU]), **means}


def published_cider(answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr-D as pycocoevalcap prints it, 0 to 10: ten times the mean over references."""
    tokens = [[words(text) for text in usable(means)] for means in references]
    cider = Cider(tokens)
    means = [
        cider.similarities(words(answer), split).mean() if split else 0.0
        for answer, split in zip(answers, tokens, strict=True)
    ]
    return float(10 * np.mean(means))


def stemmed(said: Words) -> Words:
    """Words by their stems, the short ones as they are, as rouge-score has it."""
    return tuple(stemmer().stem(word) if len(word) > 3 else word for word in said)
