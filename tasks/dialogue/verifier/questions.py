"""Questions: what an answer to each of them must say."""

import re
from dataclasses import dataclass

from tasks.dialogue.verifier.clauses import assertions, listed
from tasks.dialogue.verifier.expressions import Concept, Expression, Interval, Not
from tasks.dialogue.verifier.lexicon import table
from tasks.dialogue.verifier.patterns import statement
from tasks.dialogue.verifier.reading import Reading

AUXILIARIES = ("is", "does", "can", "could", "should", "may", "have", "will", "would", "show")
WHETHER = re.compile(
    r"^(?:(?:wonder|locate|see|check|checking|know|like|would|could|can|mind|say|to|be|so|as|kind|good|enough|determine|judge|"
    r"decide|want|need|curious|interested|have|if|please|find|out|find out|verify|confirm|say|think|about) )*(?:whether|if|wonder) "
)
PLAIN = frozenset(
    [
        "ground",
        "land",
        "earth",
        "world",
        "said",
        "compare",
        "compared",
        "consist",
        "region",
        "parts",
        "most",
        "you",
        "your",
        "approximate",
        "size",
        "sizes",
        "overall",
        "following",
        "listed",
        "named",
        "remote",
        "sensing",
        "of",
        "how",
        "much",
        "many",
        "what",
        "which",
        "in",
        "at",
        "to",
        "for",
        "by",
        "with",
        "as",
        "from",
        "on",
        "it",
        "this",
        "that",
        "there",
        "all",
        "most",
        "where",
        "who",
        ",",
        "and",
        "or",
        "is",
        "does",
        "can",
        "could",
        "image",
        "see",
        "show",
        "not",
        "be",
        "if",
        "into",
        "out",
        "up",
        "tell",
        "whether",
        "there",
        "large",
        "big",
        "long",
        "high",
        "wide",
        "dense",
        "warm",
        "hot",
        "cold",
        "strong",
        "far",
        "often",
        "near",
        "me",
        "them",
        "they",
        "these",
        "those",
        "has",
        "have",
        "look",
        "following",
        "provide",
        "every",
        "each",
        "present",
        "than",
        "largest",
        "smallest",
        "more",
        "less",
        "does",
        "its",
        "between",
        "some",
        "come",
        "belong",
        "like",
        "around",
        "square",
        "your",
        "covers",
        "covered",
        "total",
        "happen",
        "change",
        "changed",
        "changes",
        "over",
        "under",
        "now",
        "been",
        "since",
        "time",
        "first",
        "second",
        "two",
        "dates",
        "date",
        "three",
        "other",
        "another",
        "only",
        "text",
        "sentence",
        "sentences",
        "words",
        "word",
        "short",
        "detailed",
        "brief",
        "detail",
        "briefly",
        "concise",
        "single",
        "phrase",
        "bounding",
        "form",
        "format",
        "coordinates",
        "thousand",
        "normalised",
        "normalized",
        "x1",
        "y1",
        "x2",
        "y2",
        "using",
        "single",
        "ha",
        "km2",
        "km",
        "metres",
        "m2",
        "percent",
        "celsius",
        "kelvin",
        "db",
        "value",
        "values",
        "much",
        "main",
        "mainly",
        "dominated",
        "dominate",
        "contribute",
        "biggest",
        "lowest",
        "highest",
        "meant",
        "stand",
        "stands",
        "visible",
        "do",
        "when",
        "did",
        "rank",
        "order",
        "sorted",
        "size",
        "by",
        "first",
        "down",
        "descending",
        "starting",
        "go",
        "going",
        "half",
        "part",
        "away",
        "side",
        "hand",
        "else",
        "right",
        "upon",
        "next",
        "say",
        "call",
        "called",
        "describe",
        "seen",
        "expect",
        "extract",
        "full",
        "one",
        "sentence", "during", "within", "inside", "areas", "patches", "features", "places", "spots", "objects", "anything", "landscape",
]
)
MOST = Interval(0.5, 1.0)
INSTRUCTION = re.compile(
    r"(?:(?:look|and|answer|yes|no|or|with|in|a|at|image|single|word|words|short|phrase|consider|based|on|examine|reply|respond|using|"
    r"choose|only|be|brief|please|following|consider|study|about|question|locate|just|class|share|number|sentence|sentences|"
    r"true|this|that|is|it|here|M\d+|take|as|box|form|the|full|percent|exactly|count|to|from|by|,|one|describe) ?)+"
)


@dataclass(frozen=True)
class Question:
    """What is asked."""

    kind: str
    """yes-no, which, about, compare, share, size, count, position, boxes, extreme, list, region, there, neighbours, quantity, date, country, sensor,
    hemisphere, describe, change, vegetated or unseen."""
    expression: Expression | None = None
    """Of yes-no: what "yes" asserts."""
    subjects: tuple[str, ...] = ()
    """Words of `Reading` for what is asked about."""
    extra: str = ""
    """largest or smallest; unit of a size; part that is asked about; the quantity."""
    mapped: bool = False
    ordered: bool = False

    def concepts(self, reading: Reading) -> tuple[Concept, ...]:
        """What is asked about."""
        return tuple(reading.of(word) for word in self.subjects if word[0] == "C")


def ask(clause: str, reading: Reading, subject: tuple[str, ...] = ()) -> Question | None:
    """A clause as a question; None where not all of it is understood.

    Args:
        clause: tidy.
        reading: has its values.
        subject: words that "it" stands for, from the pair before.
    """
    clause = re.sub(r"\b(?:yes|true) or no\b,? ?", "", clause).strip(" ,")
    clause = re.sub(r",? (?:is|does) (?:it|there|they) not$", "", clause)
    clause = WHETHER.sub("", clause)
    if len(re.findall(r"\bC\d+\b", clause)) > 1:
        clause = re.sub(r" *\bboth\b *", " ", clause).strip()
    clause = re.sub(r"^(?:would )?(?:say|think|believe|agree|confirm|is it right|right) (?=\S)", "", clause)
    clause = re.sub(r"^than (C\d+) ?,? (.*?(?:more|less) C\d+)$", r"\2 than \1", clause)
    clause = re.sub(r"^than (C\d+) ?,? (.*?)(C\d+)(.*(?:more|less).*)$", r"\2\3\4 than \1", clause)
    clause = re.sub(
        r"^(?:looking|based|judging|considering|see)(?: at| on| from| by)?(?: image)? ?,? (?=(?:is|does|can|what|which|how|where|count|see|would|could|there|show)\b)",
        "",
        clause,
    )
    clause = re.sub(r"^(?:am )?(?:yes|right|true) (?=no|there|C|image)", "", clause)
    clause = re.sub(
        r"^(?:and|but|so|or|also|then|if|tell whether|say whether|locate if|locate whether|whether|see if) ", "", clause
    )
    return _yes_no(clause, reading, subject) or _open(clause, reading, subject)


def _yes_no(clause: str, reading: Reading, subject: tuple[str, ...]) -> Question | None:
    words = clause.split()
    if not words:
        return None
    if re.fullmatch(r"is (?:image |it |this )?M\d+(?: image)? or M\d+(?: image)?", clause):
        return Question("sensor")
    if re.fullmatch(r"(?:no )?C\d+(?: nearby)?", clause):
        made = assertions(f"there is {clause}", reading, subject)
        return Question("yes-no", made, _named(clause, subject)) if made else None
    if words[0] not in AUXILIARIES:
        # A statement to be confirmed.
        if set(words) & {
            "what",
            "which",
            "how",
            "where",
            "count",
            "when",
            "locate",
            "describe",
            "sensor",
            "country",
            "season",
        }:
            return None
        made = assertions(clause, reading, subject)
        named = any(word[0] in "CLQASTPMZ" and word[1:].isdigit() for word in words)
        return Question("yes-no", made, _named(clause, subject)) if made and named and len(words) > 1 else None
    if words[0] == "would" and words[1:2] == ["see"]:
        words = ["can", *words[1:]]
    rest = words[1:]
    if rest[:1] == ["untrue"] or rest[:2] == ["it", "untrue"]:
        made = assertions(" ".join(rest[rest.index("untrue") :]), reading, subject)
        return Question("yes-no", made, _named(clause, subject)) if made else None
    if words[0] == "is" and rest[:1] == ["see"]:
        made = assertions(" ".join(rest), reading, subject)
        return Question("yes-no", made, _named(clause, subject)) if made else None
    if rest[:1] == ["not"]:
        rest = rest[1:]
    if rest[:1] == ["true"] or rest[:2] == ["it", "true"]:
        made = assertions(" ".join(rest[rest.index("true") + 1 :]), reading, subject)
        return Question("yes-no", made, _named(clause, subject)) if made else None
    if rest[:2] == ["not", "true"]:
        made = assertions(" ".join(rest[2:]), reading, subject)
        return Question("yes-no", Not(made), _named(clause, subject)) if made else None
    joined = listed(" ".join(rest), reading).split()
    for tokens in (joined, rest):
        for end in range(1, min(len(tokens), 6) + 1):
            verb = [words[0]] if words[0] == "is" else []
            for one in _with_subject(" ".join([*tokens[:end], *verb, *tokens[end:]]), subject):
                made = statement(one, reading)
                if made is not None:
                    return Question("yes-no", made, _named(clause, subject))
    made = assertions(" ".join(rest), reading, subject) if words[0] in ("can", "does", "could", "would") else None
    return Question("yes-no", made, _named(clause, subject)) if made else None


def _with_subject(clause: str, subject: tuple[str, ...]) -> list[str]:
    out = [clause]
    for name in subject:
        changed = re.sub(r"\b(?:it|they|them|this class|these|this)\b", name, clause, count=1)
        if changed != clause:
            out.append(changed)
    return out


def _named(clause: str, subject: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*re.findall(r"\b[CQA]\d+\b", clause), *subject]))


def _open(clause: str, reading: Reading, subject: tuple[str, ...]) -> Question | None:
    """By its words: whatever their order, none of them may be unknown."""
    words = clause.split()
    known = PLAIN | set(table()["words"])
    unseen = re.search(r"\bX\d", clause) and not re.search(r"\b[CQ]\d", clause)
    if not unseen and [w for w in words if w not in known and not re.fullmatch(r"[A-Z]\d+", w)] or ("except" in words and "else" not in words):
        return None
    has = set(words)
    if not re.search(r"\bX\d", clause) and not has & {
        "what",
        "which",
        "how",
        "where",
        "when",
        "count",
        "compare",
        "number",
        "locate",
        "describe",
        "class",
        "share",
        "sensor",
        "country",
        "season",
        "year",
        "month",
        "date",
        "see",
        "box",
    }:
        return None
    named = re.findall(r"\b[CLO]\d+\b", clause)
    values = {letter: re.findall(rf"\b{letter}\d+\b", clause) for letter in "XBDQATPMZSNV"}
    if has & {"not", "no", "lack", "absent"} or values["N"] or values["T"] or values["P"] or values["M"]:
        return None
    if not named and subject and has & {"it", "they", "them", "its"}:
        named = [name for name in subject if name[0] == "C"][:1]
    mapped = "mapped" in has
    most = [word for word in values["S"] if reading.of(word) == MOST]
    if most and not named and has & {"cover", "dominate", "show", "is"}:
        has |= {"largest"}
    extra = (
        "smallest"
        if has & {"smallest", "less", "lowest"}
        else "largest"
        if has & {"largest", "more", "dominate", "dominated", "biggest", "most", "main"}
        else ""
    )
    subjects = tuple(named)

    def made(kind: str, what: str = "", of: tuple[str, ...] = subjects) -> Question:
        return Question(
            kind,
            None,
            of,
            what,
            mapped,
            bool(has & {"rank", "order", "sorted", "descending", "first"}) or extra == "largest",
        )

    if "except" in has:
        return made("else") if len(named) == 1 and named[0][0] == "C" and has & {"what", "which"} else None
    if values["X"] and not named:
        topic = reading.of(values["X"][0])
        return made("quantity", "temperature") if topic == "temperature" else made("unseen", topic, tuple(values["X"]))
    if values["S"] and extra != "largest" and not has & {"cover", "dominate"}:
        return None
    if values["B"]:
        return made("region", of=tuple(values["B"])) if not named else None
    if values["Q"]:
        return made("quantity", reading.of(values["Q"][0])) if not named else None
    if "compare" in has:
        return made("compare") if (len(named) == 1 and named[0][0] in "LO") or len(named) == 2 else None
    if has & {"when", "year", "month", "season"} or "date" in has:
        return made("date") if not named else None
    for word in ("country", "sensor", "hemisphere"):
        if word in has and not named:
            return made(word)
    if "adjacent" in has:
        return made("neighbours") if len(named) == 1 and named[0][0] == "C" else None
    if "count" in has or "number" in has:
        unit = next((w for w in words if w in ("ha", "km2", "m2", "km", "metres", "percent")), "")
        if unit:
            return made("size", unit) if len(named) == 1 else None
        return made("count") if len(named) == 1 and named[0][0] == "C" and not values["D"] else None
    if named and (has & {"box", "coordinates"} or (words[0] == "locate" and "where" not in has)):
        return made("boxes", "largest" if "largest" in has else "all") if len(named) == 1 else None
    if "where" in has:
        return made("position", "largest" if "largest" in has else "") if len(named) == 1 else None
    if named and (
        has & {"share", "much"} or ("how" in has and has & {"large", "big", "long", "wide", "high"}) or "area" in has
    ):
        return made("share") if len(named) == 1 and not values["D"] and extra == "" else None
    if values["A"]:
        return made("vegetated", reading.of(values["A"][0]), tuple(values["A"])) if not named else None
    if extra:
        return (
            made("extreme", extra)
            if not named or (len(named) == 1 and named[0][0] in "LO") or len(named) == 2
            else None
        )
    if (
        named
        and (named[0][0] in "LO" or len(named) > 1)
        and has & {"what", "which"}
        and has & {"present", "see", "show", "there"}
    ):
        return made("which")
    if named and len(named) == 1 and named[0][0] == "C" and has & {"say", "said", "describe", "about"}:
        return made("about")
    if named:
        return None
    if has & {"change", "changed", "changes", "happen"}:
        return made("change")
    if values["D"]:
        return made("there", values["D"][0], ())
    return made("describe" if "describe" in has else "list")
