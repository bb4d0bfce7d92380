"""Plain words out of a text: one spelling for numbers, units, apostrophes, hyphens and short forms."""

import re
import unicodedata

from tasks.dialogue.verifier.rules import rewritten, rule

SHORT_FORMS = (
    rule("can", r"\bcan(?:'t|not)\b", "can not"),
    rule("won't", r"\bwon't\b", "will not"),
    rule("n't", r"n't\b", " not"),
    rule("'s", r"\b(there|it|that|what|where|which|he|she|who|here)'s\b", r"\1 is"),
    rule("'re", r"'re\b", " are"),
    rule("'ve", r"'ve\b", " have"),
    rule("'ll", r"'ll\b", " will"),
    rule("'m", r"'m\b", " am"),
    rule("'s|s'", r"'s\b|s'(?=\s)"),
)
NUMBER_SIGNS = (
    rule("/", r"(?<![\d/])(\d{1,2})/(\d{1,2})(?![\d/])", lambda found: _percent(found)),
    rule(",", r"(?<=\d),(?=\d{3}\b)"),
    rule("m", r"\b(?:km\s*(?:\^?2|²)|sq(?:uare)?\.?\s*(?:km|kilomet(?:er|re)s?))(?!\w)", " km2 "),
    rule("m", r"(?<![a-z])(?:m\s*(?:\^?2|²)|sq(?:uare)?\.?\s*(?:m|met(?:er|re)s?))(?!\w)", " m2 "),
    rule("ha", r"(?<=\d)\s*ha\b", " ha "),
    rule("km", r"(?<=\d)\s*km\b(?!2)", " km "),
    rule("m", r"(?<=\d)\s*m\b(?!2)", " metres "),
    rule("c", r"(?<=\d)\s*c\b", " celsius "),
    rule("db", r"(?<=\d)\s*db\b", " db "),
    rule("k", r"(?<=\d)\s*k\b", " kelvin "),
    rule("st|nd|rd|th", r"\b(\d+)(?:st|nd|rd|th)\b", r"\1"),
)
"""For texts with a numeral."""
SIGNS = (
    rule("minus", r"\bminus (?=[a-z0-9])", "-"),
    rule("%|cent|pct", r"%|\bper\s+cent\b|\bpct\b", " percent "),
    rule("kilomet", r"\b(?:square |sq\.? )kilomet(?:er|re)s?\b", " km2 "),
    rule("met", r"\b(?:square |sq\.? )met(?:er|re)s?\b", " m2 "),
    rule("hectare", r"\bhectares?\b", " ha "),
    rule("kilomet", r"\bkilomet(?:er|re)s?\b", " km "),
    rule("met", r"\bmet(?:er|re)s?\b", " metres "),
    rule(
        "°|degree|deg|centigrade",
        r"°\s*c\b|\bdegrees?\s+(?:celsius|c)\b|(?<=\d) degrees?\b(?!\s+(?:celsius|c)\b)|\bdeg\.?\s*c\b|\bcentigrade\b",
        " celsius ",
    ),
    rule("decibel", r"\bdecibels?\b", " db "),
    rule("kelvin", r"\bkelvins?\b", " kelvin "),
    rule("e.g.|i.e.", r"\be\.g\.|\bi\.e\.", " "),
    rule("&", r"&", " and "),
    rule("-", r"(?<=[a-z0-9])-(?=[a-z])|(?<=[a-z])-(?=[a-z0-9])", " "),
    rule("/", r"(?<=[a-z])/(?=[a-z])", " "),
    rule('"|“|”|„|*|_|`|<|>|||=|~', r"[\"“”„*_`<>|=~]", " "),
)
HAS_DIGIT = re.compile(r"\d")
TOKEN = re.compile(r"-?\d+(?:\.\d+)?|-(?=[a-z])|[^\W\d_]+\d*|[.,;:?!()\n]")
UNITS_IN_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS = {word: number for number, word in enumerate(UNITS_IN_WORDS.split())}
NUMBERS |= {word: 10 * number for number, word in enumerate(TENS.split(), 2)}
DASHES = dict.fromkeys(map(ord, "\N{MINUS SIGN}\N{HYPHEN}\N{NON-BREAKING HYPHEN}"), "-") | dict.fromkeys(
    map(ord, "\N{EN DASH}\N{EM DASH}"), " , "
)
QUOTES = dict.fromkeys(map(ord, "\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}\N{ACUTE ACCENT}"), "'")
RANGE = re.compile(
    r"(?<=\d)\s*[\N{EN DASH}\N{EM DASH}]\s*(?=\d)|(?<=\d)\s*-\s*(?=\d[\d.]*\s*(?:%|percent|per cent|ha\b|hectare|km))"
)


def words_of(text: str) -> list[str]:
    """Words, numbers and stops of a text, in lower case, in the one spelling of this module."""
    plain = unicodedata.normalize("NFKC", RANGE.sub(" to ", text)).translate(DASHES | QUOTES).lower()
    if HAS_DIGIT.search(plain):
        plain = rewritten(plain, NUMBER_SIGNS)
    plain = rewritten(rewritten(plain, SHORT_FORMS), SIGNS)
    return _numbers(TOKEN.findall(plain))


def _percent(found: re.Match[str]) -> str:
    part, whole = int(found[1]), int(found[2])
    return f"{100 * part / whole:.1f} percent" if 0 < part < whole <= 10 else found.group()


def _numbers(words: list[str]) -> list[str]:
    """Numerals for number words; "one" stays, for it is a pronoun as often."""
    out: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        if word == "a" and words[index + 1 : index + 2] == ["dozen"]:
            out.append("12")
            index += 2
        elif word == "-" and index + 1 < len(words) and words[index + 1] in NUMBERS:
            out.append(f"-{NUMBERS[words[index + 1]]}")
            index += 2
        elif word in NUMBERS and word != "one":
            value = NUMBERS[word]
            following = NUMBERS.get(words[index + 1], 0) if index + 1 < len(words) else 0
            if value >= 20 and 0 < following < 10:
                value, index = value + following, index + 1
            out.append(str(value))
            index += 1
        else:
            out.append(word)
            index += 1
    return out
