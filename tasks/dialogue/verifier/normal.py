"""Plain words out of a text: one spelling for numbers, units, apostrophes, hyphens and short forms."""

import re
import unicodedata

SHORT_FORMS = (
    (re.compile(r"\bcan(?:'t|not)\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(there|it|that|what|where|which|he|she|who|here)'s\b"), r"\1 is"),
    (re.compile(r"'(?:re)\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'m\b"), " am"),
    (re.compile(r"'s\b|s'(?=\s)"), ""),
)
SIGNS = (
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
    (re.compile(r"(?<=\d)\s*%|\bper\s+cent\b|\bpct\b"), " percent "),
    (re.compile(r"\b(?:km\s*(?:\^?2|²)|sq(?:uare)?\.?\s*(?:km|kilomet(?:er|re)s?))(?!\w)"), " km2 "),
    (re.compile(r"(?<![a-z])(?:m\s*(?:\^?2|²)|sq(?:uare)?\.?\s*(?:m|met(?:er|re)s?))(?!\w)"), " m2 "),
    (re.compile(r"\bhectares?\b|(?<=\d)\s*ha\b"), " ha "),
    (re.compile(r"\bkilomet(?:er|re)s?\b|(?<=\d)\s*km\b(?!2)"), " km "),
    (re.compile(r"\bmet(?:er|re)s?\b|(?<=\d)\s*m\b(?!2)"), " metres "),
    (re.compile(r"°\s*c\b|\bdegrees?\s+celsius\b|\bdeg\.?\s*c\b|(?<=\d)\s*c\b|\bcentigrade\b"), " celsius "),
    (re.compile(r"\bdecibels?\b|(?<=\d)\s*db\b"), " db "),
    (re.compile(r"(?<=\d)\s*k\b|\bkelvins?\b"), " kelvin "),
    (re.compile(r"\b(\d+)(?:st|nd|rd|th)\b"), r"\1"),
    (re.compile(r"\be\.g\.|\bi\.e\."), " "),
    (re.compile(r"&"), " and "),
    (re.compile(r"(?<=[a-z0-9])-(?=[a-z])|(?<=[a-z])-(?=[a-z0-9])"), " "),
    (re.compile(r"(?<=[a-z])/(?=[a-z])"), " "),
    (re.compile(r"[\"“”„*_`<>|=~]"), " "),
)
TOKEN = re.compile(r"-?\d+(?:\.\d+)?|[^\W\d_]+\d*|[.,;:?!()\n]")
NUMBERS = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | {
    word: 10 * number
    for number, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
DASHES = dict.fromkeys(map(ord, "\N{MINUS SIGN}\N{HYPHEN}\N{NON-BREAKING HYPHEN}"), "-") | dict.fromkeys(
    map(ord, "\N{EN DASH}\N{EM DASH}"), " , "
)
QUOTES = dict.fromkeys(map(ord, "\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}\N{ACUTE ACCENT}"), "'")
RATIO = re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})(?![\d/])")
RANGE = re.compile(r"(?<=\d)\s*[\N{EN DASH}\N{EM DASH}]\s*(?=\d)")


def words_of(text: str) -> list[str]:
    """Words, numbers and stops of a text, in lower case, in the one spelling of this module."""
    plain = unicodedata.normalize("NFKC", RANGE.sub(" to ", text)).translate(DASHES | QUOTES).lower()
    plain = RATIO.sub(_percent, plain)
    for pattern, instead in SHORT_FORMS + SIGNS:
        plain = pattern.sub(instead, plain)
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
