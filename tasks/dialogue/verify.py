"""The verifier: reads the answer as a person would, recomputes it from the label rows, and compares.

It knows nothing of how a pair was written, so that it holds for a language model's pairs as well.
"""

from collections.abc import Callable

from tasks.dialogue.facts import SHARES, ChipFacts, Draft

VERIFIED = "verified"
MIN_LISTED = 0.06
"""Share from which a label belongs in a list of what the image shows."""


def verify(draft: Draft, subject: ChipFacts) -> str:
    """`verified`, or why the pair cannot be believed."""
    if not draft.question.strip() or not draft.answer.strip():
        return "empty question or answer"
    check = CHECKS.get(draft.question_type)
    if check is None:
        return f"unknown question type '{draft.question_type}'"
    unknown = [n for n in draft.labels_used if not any(n in s.labels for s in subject.used)]
    if unknown:
        return f"labels {unknown} are not known to the chip's sources"
    silent = [name for name in draft.labels_used if name.lower() not in f"{draft.question} {draft.answer}".lower()]
    if silent:
        return f"the pair does not speak of {silent}"
    try:
        truth = check(draft, subject)
    except KeyError as error:
        return f"the claim lacks {error}"
    return VERIFIED if normal(draft.answer) == normal(truth) else f"the labels say '{truth}'"


def normal(text: str) -> str:
    """An answer without case, outer blanks and final stop."""
    return text.strip().rstrip(".").lower()


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _presence(draft: Draft, subject: ChipFacts) -> str:
    name = draft.claim["label"]
    given = {label.name for label in subject.labels if label.kind in ("area", "line", "point")}
    if name not in given and not any(s.can_deny(name) and not s.is_tag and name not in s.change for s in subject.used):
        return "unknown: no complete source tells whether it is there"
    return _yes(name in given)


def _nearby(draft: Draft, subject: ChipFacts) -> str:
    name = draft.claim["label"]
    given = {label.name for label in subject.labels if label.kind == "tag"}
    if name not in given and not any(s.can_deny(name) and s.is_tag for s in subject.used):
        return "unknown: no complete source tells whether it is there"
    return _yes(name in given)


def _shares(subject: ChipFacts) -> dict[str, float]:
    return {label.name: label.fraction or 0.0 for label in subject.labels if label.kind == "area"}


def _dominant(draft: Draft, subject: ChipFacts) -> str:
    shares = _shares(subject)
    if not all(source.complete and source.looked_for is None for source in subject.used):
        return "unknown: the sources do not describe the whole chip"
    return max(sorted(shares), key=lambda name: shares[name])


def _share(draft: Draft, subject: ChipFacts) -> str:
    fraction = _shares(subject)[draft.claim["label"]]
    return next(name for bound, name in SHARES if fraction < bound)


def _comparison(draft: Draft, subject: ChipFacts) -> str:
    shares = _shares(subject)
    return _yes(shares[draft.claim["more"]] > shares[draft.claim["less"]])


def _position(draft: Draft, subject: ChipFacts) -> str:
    found = next(a for a in subject.labels if a.kind == "area" and a.name == draft.claim["label"])
    return found.position or "unknown"


def _count(draft: Draft, subject: ChipFacts) -> str:
    counted = [a for a in subject.labels if a.kind in ("area", "point") and a.name == draft.claim["label"]]
    found = min(counted, key=lambda label: label.kind)  # an area before a point
    return "unknown: features were not counted" if found.count is None else str(found.count)


def _change(draft: Draft, subject: ChipFacts) -> str:
    name = draft.claim["label"]
    happened = any(a.kind == "change" and a.name == name and a.fraction != 0 for a in subject.labels)
    if not happened and not any(s.can_deny(name) and name in s.change for s in subject.used):
        return "unknown: no complete source tells whether it happened"
    return _yes(happened)


def _list(draft: Draft, subject: ChipFacts) -> str:
    shares = _shares(subject)
    names = sorted((n for n, f in shares.items() if f >= MIN_LISTED), key=lambda n: (-shares[n], n))
    return ", ".join(names)


CHECKS: dict[str, Callable[[Draft, ChipFacts], str]] = {
    "presence": _presence,
    "nearby": _nearby,
    "dominant": _dominant,
    "share": _share,
    "comparison": _comparison,
    "position": _position,
    "count": _count,
    "change": _change,
    "list": _list,
}
