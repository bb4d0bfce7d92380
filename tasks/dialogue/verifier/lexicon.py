"""The words that the verifier knows: those of `lexicon.toml`, and the names of labels."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tasks.dialogue.verifier.expressions import Concept
from tasks.dialogue.verifier.normal import words_of
from tasks.earth.countries import all_countries
from tasks.earth.sensors import SENSORS

TABLE = Path(__file__).with_name("lexicon.toml")
COUNTRY_NAMES = {
    "usa": "United States of America",
    "us": "United States of America",
    "united states": "United States of America",
    "america": "United States of America",
    "uk": "United Kingdom",
    "great britain": "United Kingdom",
    "holland": "Netherlands",
    "ivory coast": "Côte d'Ivoire",
    "cape verde": "Cabo Verde",
    "congo kinshasa": "Democratic Republic of the Congo",
}
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
SEASONS = {
    "wintertime": "winter",
    "summertime": "summer",
    "springtime": "spring",
    "spring": "spring",
    "summer": "summer",
    "autumn": "autumn",
    "fall": "autumn",
    "winter": "winter",
}
Phrase = tuple[str, ...]


@dataclass(frozen=True)
class Meaning:
    """What a phrase stands for."""

    kind: str
    """word (of the grammar; empty: it is dropped), image, concept, area, quantity, place, season, month, unseen."""
    value: Any


class Lexicon:
    """All phrases, by their first word and their length."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._meanings = {phrase: meaning for phrase, meaning in _common().items() if phrase}
        self._meanings |= _labels(sorted(labels))
        lengths: dict[str, set[int]] = {}
        for phrase in self._meanings:
            lengths.setdefault(phrase[0], set()).add(len(phrase))
        self._lengths = {word: sorted(some, reverse=True) for word, some in lengths.items()}

    def longest(self, words: list[str], start: int) -> tuple[int, Meaning] | None:
        """How many words from `start` on are the longest phrase there, and its meaning; None if there is none."""
        for length in self._lengths.get(words[start], ()):
            meaning = self._meanings.get(tuple(words[start : start + length]))
            if meaning is not None:
                return length, meaning
        return None


@cache
def table() -> Mapping[str, Any]:
    """`lexicon.toml`."""
    return tomllib.loads(TABLE.read_text())


@cache
def _common() -> dict[Phrase, Meaning]:
    """Phrases that mean the same whatever a chip's sources can give; of two meanings the later counts."""
    entries = table()
    found: dict[Phrase, Meaning] = {}
    for topic, phrases in entries["unseen"].items():
        found |= {_phrase(one): Meaning("unseen", topic) for one in phrases}
    found |= {_phrase(one): Meaning("word", "") for one in entries["fillers"]["words"]}
    for word, phrases in entries["words"].items():
        found |= {_phrase(one): Meaning("word", word) for one in (word, *phrases)}
    found |= {_phrase(one): Meaning("image", "image") for one in entries["image"]["words"]}
    for name, phrases in entries["quantities"].items():
        found |= {_phrase(one): Meaning("quantity", name) for one in phrases if name != "backscatter"}
    polarisations = {band.common_name for sensor in SENSORS.values() if sensor.unit == "dB" for band in sensor.bands}
    for name in polarisations:
        found |= {_phrase(f"{name} {one}"): Meaning("quantity", name) for one in entries["quantities"]["backscatter"]}
        found[(name,)] = Meaning("quantity", name)
    for name, phrases in entries["areas"].items():
        found |= {_phrase(one): Meaning("area", name) for one in phrases}
    found |= {_phrase(name): Meaning("place", name) for name in all_countries()}
    found |= {_phrase(name): Meaning("place", full) for name, full in COUNTRY_NAMES.items()}
    found |= {(name,): Meaning("season", season) for name, season in SEASONS.items()}
    return found


def _labels(labels: list[str]) -> dict[Phrase, Meaning]:
    synonyms: Mapping[str, list[str]] = table()["synonyms"]
    meant: dict[Phrase, list[str]] = {}
    for label in labels:
        for other in synonyms.get(label, ()):
            for form in _forms(_phrase(other)):
                meant.setdefault(form, []).append(label)
    own = {form: label for label in labels for form in _forms(_phrase(label))}
    own |= {(*_phrase(label), more): label for label in labels for more in ("land", "area", "areas", "patches")}
    own |= {phrase: label for label in labels for phrase in (_phrase(label), tuple(words_of(label)))}
    found = {}
    for phrase in sorted({*meant, *own}):
        others = tuple(dict.fromkeys(label for label in meant.get(phrase, ()) if label != own.get(phrase)))
        # A label by its very name is that label; what it is a synonym of counts where nothing is known of it.
        first = (own[phrase],) if phrase in own else others
        found[phrase] = Meaning("concept", Concept(" ".join(phrase), first, others if phrase in own else ()))
    return found


def _phrase(text: str) -> Phrase:
    return tuple(word for word in words_of(text) if word[0].isalnum())


def _forms(phrase: Phrase) -> list[Phrase]:
    """A phrase, and its last word in the plural."""
    if not phrase:
        return []
    last = phrase[-1]
    plural = last[:-1] + "ies" if last.endswith("y") and last[-2:-1] not in "aeiou" else last + "s"
    if last.endswith(("s", "sh", "ch", "x")):
        plural = last + "es"
    if last in ("cover", "land", "ground", "water", "vegetation"):
        return [phrase]  # "covers" is a verb, the others have no plural
    return [phrase, (*phrase[:-1], plural)]
