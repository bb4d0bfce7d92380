"""Filters on the text of pairs, which say why one cannot stay: what a writer may do wrong besides being wrong.

Each pair is looked at alone (`fault`), then beside those of its chip and of the shard (`TextFilter`).
"""

import re
import tomllib
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from tasks.dialogue.conversations import IMAGE, TAGS
from tasks.dialogue.kinds import CLOSED, FREE_TEXT, is_sentence
from tasks.dialogue.pairs import Pair

NO_TEXT = ("Cc", "Cs", "Co")
"""Categories of code points: control, surrogate, private use."""
MAX_QUESTION, MAX_ANSWER = 400, 2000
"""Letters."""
ROLES = re.compile(
    r"<\|?\w+\|?>|\[UNUSED_TOKEN|\[/?INST\]|<</?SYS>>|^\s*(?:user|human|assistant|gpt|system|question|answer|q|a)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
"""Marks of who speaks, which stand around texts and not in them."""
LEAKAGE = re.compile(
    r"\bjson\b|\bmetadata\b|\bground truth\b|\bthe prompt\b|\bin-context\b|\bsystem prompt\b|```"
    r"|\binstruct(?:ed|ions?)\b"
    r"|\b(?:the|these|given|provided) (?:labels?|annotations?)\b|\blabels? (?:say|state|list|given|provided)"
    r"|\b(?:provided|given|above) (?:information|context|data|description|caption|facts)"
    r"|\bbased on the (?:labels?|data|information|facts)"
    r"|\b(?:ignore|disregard|forget) (?:all |any |the )?(?:previous|prior|above|earlier)\b",
    re.IGNORECASE,
)
"""Words of the prompt, or to a language model: who is shown an image alone knows nothing of labels."""
REFUSAL = re.compile(
    r"\bI(?:'m| am) (?:sorry|unable|not able)\b|\bsorry\b|\bI (?:cannot|can't|can not|won't|do not|don't)\b"
    r"|\bas an? (?:AI|language model|assistant)\b|\bunable to (?:assist|help|process|view|see)\b"
    r"|\bI (?:apologi[sz]e|must decline)",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
WORDS = {
    name: frozenset(words.split())
    for name, words in tomllib.loads(Path(__file__).with_suffix(".toml").read_text()).items()
}
"""english, others."""
LAST_LATIN = 0x24F
"""Code point; those beyond are of other scripts, or signs."""
SHINGLE = 3
NEAR = 0.8
"""Jaccard similarity of word shingles from which two texts count as one."""
BANDS, ROWS = 16, 4
"""Of the signatures: a pair at `NEAR` is found with probability 1 - (1 - 0.8^4)^16 = 99.98 %."""
REMEMBERED = 65_536
"""Texts of a shard that the next ones are held against, the latest: memory does not grow with the shard."""
NO_NAME = 4
"""Words from which an answer is no name of a place."""
WARM = 20
"""Answers of a kind before their shares say something."""
TOKENS = (*TAGS, IMAGE)
OPENERS = frozenset(token[0] for token in TOKENS)


@dataclass(frozen=True)
class Fault:
    """Why a pair cannot stay."""

    reason: str
    """schema, turns, language, length, refusal, leakage, duplicate, near-duplicate, diversity or balance."""
    detail: str


def fault(pair: Pair) -> Fault | None:
    """What is wrong with a pair's text; None if nothing is."""
    question, answer = pair.question.strip(), pair.answer.strip()
    if not question or not answer:
        return Fault("schema", f"the {'answer' if question else 'question'} is empty")
    if len(question) > MAX_QUESTION or len(answer) > MAX_ANSWER:
        return Fault("length", f"{len(question)} and {len(answer)} letters; {MAX_QUESTION} and {MAX_ANSWER} at most")
    asked, said = _seen(question), _seen(answer)
    if not (asked.is_text and said.is_text):
        return Fault("schema", "it holds bytes that are no text")
    if asked.words < 2:
        return Fault("schema", "the question is no sentence")
    if mark := asked.role or said.role or next((one for one in TOKENS if one in asked.tokens | said.tokens), None):
        return Fault("leakage", f"it holds a mark of dialogue or image: {mark!r}")
    if leak := asked.leak or said.leak:
        return Fault("leakage", f"it speaks of what only the prompt held: {leak!r}")
    if refused := said.refusal:
        return Fault("refusal", f"the answer is a refusal: {refused!r}")
    # A short answer may be a name in any language; a longer one is held by itself as well.
    return _language(asked, said) or (_language(said) if said.words >= NO_NAME else None)


@dataclass(frozen=True)
class _Seen:
    """What stands in one text, a question or an answer."""

    is_text: bool
    words: int
    role: str
    tokens: frozenset[str]
    leak: str
    refusal: str
    letters: int
    beyond: int
    """Letters of other scripts."""
    english: int
    other: int
    """Words of other languages."""


@lru_cache(20_000)  # the same is asked of many chips, and often answered
def _seen(text: str) -> _Seen:
    # Nearly all texts are plain, and letters are looked at one by one in the others alone.
    plain = text.isascii() and text.replace("\n", " ").isprintable()
    is_text = plain or not any(
        c == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(c) in NO_TEXT for c in text.replace("\n", " ")
    )
    marked = any(opener in text for opener in OPENERS)
    words = [word.lower() for word in WORD.findall(text)]
    return _Seen(
        is_text=is_text,
        words=len(text.split()),
        role=_first(ROLES, text),
        tokens=frozenset(token for token in TOKENS if token in text) if marked else frozenset(),
        leak=_first(LEAKAGE, text),
        refusal=_first(REFUSAL, text),
        letters=sum(map(str.isalpha, text)),
        beyond=0 if text.isascii() else sum(ord(c) > LAST_LATIN for c in text if c.isalpha()),
        english=sum(word in WORDS["english"] for word in words),
        other=sum(word in WORDS["others"] for word in words),
    )


def _first(pattern: re.Pattern[str], text: str) -> str:
    """What a pattern finds first; empty if nothing."""
    found = pattern.search(text)
    return found.group() if found else ""


def _language(*texts: _Seen) -> Fault | None:
    if sum(one.beyond for one in texts) > 0.05 * sum(one.letters for one in texts):
        return Fault("language", "it is not written in Latin letters")
    if sum(one.other for one in texts) > sum(one.english for one in texts):
        return Fault("language", "it is not English")
    return None


class TextFilter:
    """Holds pairs against the others of their chip and of the shard. One for a shard; order decides who stays."""

    def __init__(self, free: bool, max_same_type: int, max_answer_share: float) -> None:
        """Without anything seen.

        Args:
            free: whether pairs are written freely, so that all of them are held against the shard; else captions of
                templates repeat by design and nothing is.
            max_same_type: pairs of one kind about one chip.
            max_answer_share: of one short answer among those of its kind.
        """
        self._free, self._most, self._share = free, max_same_type, max_answer_share
        if free:
            # Here, for it takes a quarter of a second that templates need not spend.
            from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

            self._signature = partial(MinHash, num_perm=BANDS * ROWS, seed=1)
            self._lsh = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
        self._texts: OrderedDict[int, frozenset[str]] = OrderedDict()
        self._made = 0
        self._answers: dict[str, Counter[str]] = {kind: Counter() for kind in CLOSED}

    def chip(self, pairs: Sequence[Pair]) -> list[Fault | None]:
        """What is wrong with each of the pairs of one chip, in their order; None if nothing is."""
        out: list[Fault | None] = []
        kept: list[tuple[Pair, frozenset[str]]] = []
        types: Counter[str] = Counter()
        for pair in pairs:
            # Templates ask nothing twice in nearly the same words, but of several classes by design.
            own = shingles(f"{pair.question} {pair.answer}") if self._free else frozenset()
            found = fault(pair) or self._beside(pair, own, kept, types) or self._near(pair) or self._balance(pair)
            if found is None:
                kept.append((pair, own))
                types[pair.question_type] += 1
            out.append(found)
        return out

    def _beside(
        self, pair: Pair, own: frozenset[str], kept: Sequence[tuple[Pair, frozenset[str]]], types: Counter[str]
    ) -> Fault | None:
        for other, others in kept:
            if other.question == pair.question and not pair.follows:
                return Fault("duplicate", f"the chip was asked the same: {other.question!r}")
            if self._free and len(own & others) >= NEAR * len(own | others):
                return Fault("near-duplicate", f"the chip has nearly the same pair: {other.question!r}")
        if types[pair.question_type] >= self._most:
            return Fault("diversity", f"the chip has {self._most} pairs of {pair.question_type}, qa.max_same_type")
        return None

    def _near(self, pair: Pair) -> Fault | None:
        """Whether a long answer was given before, about any chip."""
        if not self._free or not (pair.question_type in FREE_TEXT or is_sentence(pair.answer)):
            return None
        own = shingles(pair.answer)
        if len(own) < 2 * SHINGLE:
            return None
        signature = self._signature()
        signature.update_batch([shingle.encode() for shingle in sorted(own)])
        for number in sorted(self._lsh.query(signature)):
            others = self._texts[number]
            if len(own & others) >= NEAR * len(own | others):
                return Fault(
                    "near-duplicate", f"an earlier answer of the shard is nearly the same: {pair.answer[:80]!r}"
                )
        self._lsh.insert(self._made, signature)
        self._texts[self._made] = own
        self._made += 1
        if len(self._texts) > REMEMBERED:
            oldest, _ = self._texts.popitem(last=False)
            self._lsh.remove(oldest)
        return None

    def _balance(self, pair: Pair) -> Fault | None:
        """Whether an answer is so common among those of its kind that no more of it are wanted."""
        if pair.question_type not in self._answers or is_sentence(pair.answer):
            return None
        counts = self._answers[pair.question_type]
        answer, total = pair.answer.lower(), counts.total()
        if total >= WARM and counts[answer] + 1 > self._share * (total + 1):
            return Fault("balance", f"{counts[answer]} of {total} answers are {answer!r}; qa.max_answer_share")
        counts[answer] += 1
        return None


def shingles(text: str) -> frozenset[str]:
    """Every `SHINGLE` words in a row, in lower case, without punctuation."""
    words = re.findall(r"[\w.%-]+", text.lower())
    return frozenset(" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1)))
