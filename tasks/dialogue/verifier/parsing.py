"""A question and its answer as one expression: what the pair asserts of the chip."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from tasks.dialogue.verifier.clauses import assertions, tidy
from tasks.dialogue.verifier.expressions import (
    Adjacent,
    And,
    Atom,
    Boxes,
    CannotBeSeen,
    Changed,
    Complete,
    Concept,
    Count,
    Equal,
    Expression,
    Extent,
    Extreme,
    Hemisphere,
    Located,
    More,
    Not,
    Position,
    Presence,
    Quantity,
    Ratio,
    Region,
    Sensed,
    Share,
    Taken,
    Unread,
    atoms,
    both,
    rebuilt,
)  # fmt: skip
from tasks.dialogue.verifier.lexicon import Lexicon, table
from tasks.dialogue.verifier.open_questions import Question
from tasks.dialogue.verifier.questions import ask, is_instruction
from tasks.dialogue.verifier.reading import read, unseen_needs
from tasks.dialogue.verifier.short_answers import short_answer
from tasks.dialogue.verifier.turns_of_phrase import AFFIRMED, ELLIPSIS, ONE, TAG
from tasks.dialogue.verifier.words import Reading

MOST_CHARACTERS = 2_000
"""Of a question or an answer; more are not read."""
ANSWERS: dict[str, tuple[type, ...]] = {
    "share": (Share, Extent, Quantity, Extreme),
    "size": (Extent, Share),
    "count": (Count,),
    "position": (Position, Boxes),
    "boxes": (Boxes, Position),
    "extreme": (Extreme, Share, More),
    "region": (Region,),
    "there": (Presence, Position),
    "neighbours": (Adjacent,),
    "quantity": (Quantity,),
    "vegetated": (Quantity,),
    "date": (Taken,),
    "country": (Located,),
    "sensor": (Sensed,),
    "hemisphere": (Hemisphere,),
    "change": (Changed,),
    "unseen": (CannotBeSeen,),
    "compare": (More, Equal, Ratio),
}
"""What the answer to a question of each kind must contain."""

IN_THE_BOX = re.compile(r"(?: is)?(?: present| located| cover)?(?: in| within| inside)? (?:box|it|there)$")
"""The end of "forest lies in the box"."""


SENTENCE_END = re.compile(r"(?<=[a-z]{3}\.)(?<!deg\.) (?=[A-Z])")
"""Where a text can be cut: what stands before is a word, and no short form of a unit."""


@dataclass(frozen=True)
class Parsed:
    """A pair as it is understood."""

    expression: Expression
    question: Question | None
    reading: Reading


@cache
def common_labels() -> frozenset[str]:
    """Labels that the lexicon knows other names of. They are read in every text, so that a text means the same whatever
    a chip's sources can give; what a concept means of a chip is for the checks to find."""
    return frozenset(table()["synonyms"])


@lru_cache(64)
def lexicon_of(labels: frozenset[str]) -> Lexicon:
    """The words for chips whose sources can give these labels beside the common ones."""
    return Lexicon(common_labels() | labels)


@lru_cache(65_536)  # a text and what it means take some 3 kB; of a million chips a sixth of the texts is new then
def parse(question: str, answer: str, labels: frozenset[str]) -> Parsed:
    """What a pair asserts; the same texts are read once.

    Args:
        question, answer: as they stand.
        labels: that the chip's sources can give, less `common_labels`.
    """
    return parse_after(question, answer, labels, None)


def parse_after(question: str, answer: str, labels: frozenset[str], before: Parsed | None) -> Parsed:
    """As `parse`, of a pair that goes on with a dialogue: "it" may stand for what the pair before was about."""
    lexicon = lexicon_of(labels)
    reading = Reading([], list(before.reading.values)) if before else Reading()
    subject = before.question.subjects if before and before.question else ()
    if max(len(question), len(answer)) > MOST_CHARACTERS:
        return Parsed(Unread(f"a text of more than {MOST_CHARACTERS} characters"), None, reading)
    if before is None:
        asked, values = asked_of(question, labels)
        reading.values.extend(values)
    else:
        asked = _question(question, lexicon, reading, subject)
    if isinstance(asked, Unread):
        return Parsed(asked, None, reading)
    if asked.kind == "yes-no" and AFFIRMED.fullmatch(answer):
        answer = "yes"
    if asked.kind == "count":
        answer = ONE.sub("1", answer)
    if asked.kind == "date":
        answer = re.sub(r"^\s*May\b", "in May", answer)
    clauses = _clauses(answer, labels, reading)
    found = _answer(asked, clauses, reading)
    if isinstance(found, Unread):
        found = Unread(found.words or f"the answer '{answer.strip()[:80]}'")
    # "It" of the next question may be what this answer named.
    named = tuple(dict.fromkeys(re.findall(r"\bC\d+\b", " ".join(clauses))))
    subjects = tuple(dict.fromkeys([*asked.subjects, *named]))
    return Parsed(found, replace(asked, subjects=subjects), reading)


def _clauses(answer: str, labels: frozenset[str], reading: Reading) -> list[str]:
    """The clauses of an answer; what their words stand for is added to a reading."""
    clauses: list[str] = []
    # What says anything of a whole text, like a list with a dash on every line, is read as a whole.
    for sentence in [answer] if "\n" in answer else SENTENCE_END.split(answer):
        found, values = _sentence(sentence, labels, len(reading.values))
        clauses += found
        reading.values.extend(values)
    return clauses


@lru_cache(20_000)
def _sentence(text: str, labels: frozenset[str], start: int) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Clauses of a sentence, and the values of its words, of which the first is number `start`: whole answers are as
    many as the chips, the sentences that they consist of are not."""
    reading = Reading([], [None] * start)
    clauses = [tidy(clause) for clause in read(text, lexicon_of(labels), reading).clauses]
    return tuple(clause for clause in clauses if clause), tuple(reading.values[start:])


@lru_cache(20_000)
def asked_of(text: str, labels: frozenset[str]) -> tuple[Question | Unread, tuple[Any, ...]]:
    """A question, and the values of its words: the same are asked of many chips."""
    reading = Reading()
    return _question(text, lexicon_of(labels), reading, ()), tuple(reading.values)


def _question(text: str, lexicon: Lexicon, reading: Reading, subject: tuple[str, ...]) -> Question | Unread:
    text = TAG.sub("?", text)
    clauses = [c for c in (tidy(clause) for clause in read(text, lexicon, reading).clauses) if c]
    asked: list[Question] = []
    for clause in clauses:
        if is_instruction(clause) and len(clauses) > 1:
            continue
        found = ask(clause, reading, subject)
        for comma in re.finditer(r",", clause) if found is None else ():
            # "Looking at this image, is there ...": what stands before the comma asks nothing.
            if is_instruction(clause[: comma.start()]):
                found = ask(clause[comma.end() :].strip(), reading, subject)
                if found is not None:
                    break
        if found is None:
            return Unread(f"the question '{text.strip()[:80]}'")
        asked.append(found)
    if not asked and not clauses and text.strip(" .?!"):
        return Question("describe")  # "Tell me about this image."
    if not asked:
        return Unread("an empty question" if not clauses else f"the question '{text.strip()[:80]}'")
    if len(asked) > 1 and all(one.kind == "yes-no" for one in asked[:-1]) and asked[-1].kind != "yes-no":
        # "There is a lake. Where is it?": the statement is asserted by whoever asks.
        return replace(asked[-1], expression=And(tuple(one.expression for one in asked[:-1] if one.expression)))
    return asked[0] if len(asked) == 1 else Unread(f"the question '{text.strip()[:80]}'")


def _answer(asked: Question, clauses: Sequence[str], reading: Reading) -> Expression:
    if not clauses:
        return Unread("an empty answer")
    if chosen := re.fullmatch(r"(exactly )?(former|latter|first|second)(?: one)?( exactly)?", clauses[0]):
        named = [word for word in asked.subjects if word[0] == "C"]
        if len(named) == 2:
            name = named[chosen[2] in ("latter", "second")]
            clauses = [f"exactly {name}" if chosen[1] or chosen[3] else name, *clauses[1:]]
    if asked.kind == "region":
        clauses = [IN_THE_BOX.sub("", re.sub(r"^image is (C\d+)$", r"\1", clause)) for clause in clauses]
    if turned := re.fullmatch(r"C\d+, (yes|no)", clauses[0]):
        clauses = [turned[1], *clauses[1:]]
    if any("impossible" in clause for clause in clauses):
        return _abstention(asked, clauses, reading)
    if asked.kind == "yes-no":
        assert asked.expression is not None
        return _confirmed(asked, asked.expression, clauses, reading)
    first = short_answer(asked, clauses[0], reading)
    parts: list[Expression] = [first] if first is not None else []
    for clause in clauses[1:] if parts else clauses:
        found = assertions(clause, reading, asked.subjects)
        if found is None:
            return Unread(f"'{readable(clause, reading)}'")
        parts.append(found)
    if asked.kind == "position":
        parts = [_placed(part) for part in parts]
    whole = both(*parts)
    if asked.mapped:
        whole = rebuilt(whole, _as_mapped)
    if asked.around:
        whole = rebuilt(whole, _around)
    wanted = ANSWERS.get(asked.kind)
    # Of what is not there no share, number or place can be given.
    denied = asked.kind in ("share", "size", "count", "position", "boxes") and _denies(whole)
    if wanted and not denied and not any(isinstance(atom, wanted) for atom in atoms(whole)):
        return Unread(f"an answer that does not say what is asked: '{readable(clauses[0], reading)}'")
    concepts = asked.concepts(reading)
    if concepts and asked.kind in ("share", "size", "count", "position", "boxes"):
        # The answer is about what is asked about.
        about = {label for atom in atoms(whole) for label in _labels(atom)}
        if not about & {label for concept in concepts for label in concept.labels}:
            return Unread(f"an answer about something else: '{readable(clauses[0], reading)}'")
    if asked.kind == "list" and first is None:
        whole = And(
            (whole, Complete(tuple(c for atom in atoms(whole) if isinstance(atom, Presence) for c in (atom.concept,))))
        )
    return both(asked.expression, whole) if asked.expression is not None else whole


def _placed(expression: Expression) -> Expression:
    """Of "where is it?", "it is visible in the north" says where it lies."""
    if isinstance(expression, Presence) and expression.where is not None and expression.where.direction:
        return Position(expression.concept, expression.where)
    return expression


def _confirmed(asked: Question, expression: Expression, clauses: Sequence[str], reading: Reading) -> Expression:
    """An answer that begins with yes or no, or a statement instead."""
    head, _, rest = clauses[0].partition(" ")
    said = head.replace("true", "yes").strip(",")
    polar = said in ("yes", "no")
    texts = ([rest.strip(" ,")] if polar else [clauses[0]]) + list(clauses[1:])
    texts = [
        re.sub(r"^(?:but|and|in fact|instead|because|since|as|however) ", "", text)
        for text in texts
        if text.strip(" ,")
    ]
    if head == "no" and re.match(r"^C\d", rest):
        # "No forest.": a statement.
        polar, texts = False, [clauses[0], *clauses[1:]]
    parts: list[Expression] = []
    for text in texts:
        if text in ("present", "absent"):
            text = f"it is {text}"
        short = ELLIPSIS.fullmatch(text)
        if polar and (said, text) in (("no", "less"), ("yes", "more")):
            continue
        compared = re.fullmatch(r"(?:it )?(?:is )?(more|less|over|under|high|low)", text)
        if polar and compared and isinstance(expression, Quantity | Share):
            bounds = expression.value if isinstance(expression, Quantity) else expression.share
            upwards = bounds.high is None or bounds.high == 1.0
            parts.append(expression if upwards == (compared[1] in ("more", "over", "high")) else Not(expression))
            continue
        if short and polar and text in ("yes", "no", "true"):
            continue  # "No, that is wrong.": the same once more
        if short:
            denied = bool(short["no"])
            parts.append(Not(expression) if denied and not isinstance(expression, Not) else expression)
            continue
        made = _only_one(text, expression, reading) or assertions(text, reading, asked.subjects)
        if made is None:
            return Unread(f"'{readable(text, reading)}'")
        parts.append(made)
    parts = [_as_asked(part, expression) for part in parts]
    if not polar:
        if not _about_same(expression, both(*parts)):
            return Unread(f"an answer that does not say what is asked: '{readable(clauses[0], reading)}'")
        return both(*parts)
    agrees = said == "yes"
    if isinstance(expression, Not) and parts and not agrees:
        # "Is there no forest?" "No, there is none.": what stands after it says which is meant.
        return both(*parts)
    return both(expression if agrees else Not(expression), *parts)


def _only_one(text: str, asked: Expression, reading: Reading) -> Expression | None:
    """Of "is there forest and water?", "only forest" denies the water, not all else."""
    halves = re.fullmatch(r"(C\d+),? yes ?,? (?:and )?(C\d+),? no", text)
    if halves:
        return And((Presence(reading.of(halves[1])), Not(Presence(reading.of(halves[2])))))
    left_out = re.fullmatch(r"(?:[a-z]+ |S\d+ )*(?:except|all but) (C\d+)", text)
    if left_out and len(list(atoms(asked))) > 1:
        gone = reading.of(left_out[1]).labels
        named = [atom.concept for atom in atoms(asked) if isinstance(atom, Presence)]
        return And(tuple(Not(Presence(c)) if c.labels == gone else Presence(c) for c in named)) if named else None
    found = re.fullmatch(r"(?:[a-z]+ )*exactly (?:(?:them|of|,) )*(C\d+)(?: [a-z]+)*|(C\d+) (?:[a-z]+ )*exactly", text)
    about = list(dict.fromkeys(atom.concept for atom in atoms(asked) if isinstance(atom, Presence)))
    if found is None or len(about) < 2:
        return None
    named = reading.of(found[1] or found[2])
    return And(tuple(Presence(c) if c.labels == named.labels else Not(Presence(c)) for c in about))


def _as_asked(part: Expression, asked: Expression) -> Expression:
    """Of what is asked about the surroundings too, an answer speaks of them too."""
    around = any(isinstance(atom, Presence) and atom.around for atom in atoms(asked))
    return rebuilt(part, _around) if around else part


def _around(atom: Atom) -> Expression:
    """The same of the chip and what lies around it."""
    return replace(atom, around=True) if isinstance(atom, Presence) and atom.where is None else atom


def _as_mapped(atom: Atom) -> Expression:
    """The same of what is mapped."""
    if isinstance(atom, Count | Share | Extreme | More | Complete | Extent):
        return replace(atom, mapped=True)
    return atom


def _about_same(first: Expression, second: Expression) -> bool:
    one = {label for atom in atoms(first) for label in _labels(atom)}
    other = {label for atom in atoms(second) for label in _labels(atom)}
    return bool(one & other) or {type(a) for a in atoms(first)} & {type(a) for a in atoms(second)} != set()


def _abstention(asked: Question, clauses: Sequence[str], reading: Reading) -> Expression:
    """An answer that says that it cannot be told: true only of what no label and no pixel tells."""
    if len(clauses) > 1 and not all("impossible" in clause for clause in clauses):
        return Unread(f"'{readable(clauses[0], reading)}'")
    if asked.kind == "unseen":
        return CannotBeSeen(asked.extra, unseen_needs(asked.extra))
    if asked.kind == "quantity":
        return CannotBeSeen(asked.extra, asked.extra)
    return Unread("an answer that says it cannot be told")


def _denies(expression: Expression) -> bool:
    return isinstance(expression, Not) and isinstance(expression.part, Presence)


def _labels(atom: Atom) -> set[str]:
    found = [getattr(atom, name, None) for name in ("concept", "first", "second")]
    several = getattr(atom, "concepts", ())
    return {label for one in (*found, *several) if isinstance(one, Concept) for label in one.labels}


def readable(clause: str, reading: Reading) -> str:
    """A clause with the words of the text for what was read in it."""

    def word(found: re.Match[str]) -> str:
        value = reading.of(found.group())
        return value.word if isinstance(value, Concept) else "..."

    return re.sub(r"\b[A-Z]\d+\b", word, clause)
