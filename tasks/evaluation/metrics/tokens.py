"""Tokens and stems of texts as the captioning scores and EarthDial's recall count them, by NLTK's rules."""

import re
from functools import cache, lru_cache

import punkt
from nltk.stem.porter import PorterStemmer
from nltk.tokenize import NLTKWordTokenizer

WORD = re.compile(r"[a-z0-9_]+")
SPLIT_WORDS = re.compile(r"cannot|d'ye|gimme|gonna|gotta|lemme|wanna")
"""Words that the Treebank rules split, though they are letters only."""


@cache
def _sentences() -> punkt.PunktSentenceTokenizer:
    return punkt.tokenizer_for("english")


_words = NLTKWordTokenizer()


@lru_cache(maxsize=200_000)
def word_tokens(text: str) -> tuple[str, ...]:
    """NLTK's `word_tokenize`: Punkt's English sentences, then the Treebank's words."""
    sentences = _sentences().tokenize(text) if "." in text or "?" in text or "!" in text else [text]
    return tuple(token for sentence in sentences for token in _words.tokenize(sentence))


@lru_cache(maxsize=200_000)
def recall_tokens(text: str) -> tuple[str, ...]:
    """Tokens of EarthDial's recall (spec, section 5.1): stripped, lower case, spaces deleted, then `word_tokens`."""
    packed = text.strip().lower().replace(" ", "")
    if WORD.fullmatch(packed) and not SPLIT_WORDS.search(packed):
        return (packed,)
    return word_tokens(packed.strip())


class Stemmer(PorterStemmer):  # type: ignore[misc]
    """Porter's stemmer, each word once."""

    @lru_cache(maxsize=200_000)  # noqa: B019 -- one stemmer a process, see `stemmer`
    def stem(self, word: str, to_lowercase: bool = True) -> str:
        """The stem of a word."""
        stem: str = super().stem(word, to_lowercase)
        return stem


@cache
def stemmer() -> Stemmer:
    """The one stemmer of the process."""
    return Stemmer()
