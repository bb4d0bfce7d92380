"""Questions: what an answer to each of them must say."""

import re
from functools import cache

from tasks.dialogue.verifier.clauses import assertions, listed
from tasks.dialogue.verifier.expressions import Not
from tasks.dialogue.verifier.lexicon import table
from tasks.dialogue.verifier.open_questions import Question, open_question
from tasks.dialogue.verifier.patterns import statement
from tasks.dialogue.verifier.words import Reading

AUXILIARIES = ("is", "does", "can", "could", "should", "may", "have", "will", "would", "show")
WHETHER = re.compile(
    r"^(?:(?:wonder|look|and|let|locate|see|examine|study|inspect|view|consider|answer|image|at|carefully|check|checking|"
    r"know|like|would|could|can|mind|say|to|be|so|as|kind|good|enough|determine|judge|decide|want|need|curious|"
    r"interested|have|if|please|find|out|verify|confirm|think|about) )*(?:whether|if|wonder) "
)
"""What asks for what follows: "I wonder whether", "please check if"."""


@cache
def _instructions() -> frozenset[str]:
    return frozenset(table()["instructions"]["words"].split())


def is_instruction(clause: str) -> bool:
    """Whether a clause, or what stands before a question, asks nothing itself."""
    words = clause.replace(",", " ").split()
    asks = {"what", "which", "how"} & set(words) or words[:2] in (["when", "is"], ["where", "is"])
    if words and asks:
        return False
    return all(word in _instructions() or re.fullmatch(r"M\d+", word) for word in words)


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
    clause = re.sub(r"^is there (.+?),? and is there (.+)$", r"is there \1 and \2", clause)
    if len(re.findall(r"\bC\d+\b", clause)) > 1:
        clause = re.sub(r" *\bboth\b *", " ", clause).strip()
    clause = re.sub(r"^(?:would )?(?:say|think|believe|agree|confirm|is it right|right) (?=\S)", "", clause)
    clause = re.sub(r"^than (C\d+) ?,? (.*?(?:more|less) C\d+)$", r"\2 than \1", clause)
    clause = re.sub(r"^than (C\d+) ?,? (.*?)(C\d+)(.*(?:more|less).*)$", r"\2\3\4 than \1", clause)
    clause = re.sub(
        r"^(?:looking|based|judging|considering|see)(?: at| on| from| by)?(?: image)? ?,? "
        r"(?=(?:is|does|can|what|which|how|where|count|see|would|could|there|show)\b)",
        "",
        clause,
    )
    clause = re.sub(r"^(?:am )?(?:yes|right|true) (?=no|there|C|image)", "", clause)
    clause = re.sub(
        r"^(?:and|but|so|or|also|then|if|tell whether|say whether|locate if|locate whether|whether|see if) ", "", clause
    )
    return _yes_no(clause, reading, subject) or open_question(clause, reading, subject)


def _yes_no(clause: str, reading: Reading, subject: tuple[str, ...]) -> Question | None:
    words = clause.split()
    if not words:
        return None
    if re.fullmatch(r"is (?:image |it |this )?M\d+(?: image)? or M\d+(?: image)?", clause):
        return Question("sensor")
    if chosen := re.fullmatch(
        r"(?:is there|is|does) more (C\d+) or (?:more )?(C\d+)|does (C\d+) or (C\d+) cover more", clause
    ):
        return Question("extreme", None, tuple(word for word in chosen.groups() if word), "largest")
    if re.match(r"see (?:largest|all|box) ", clause):
        return None  # "find the largest meadow"
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
