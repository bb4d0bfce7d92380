"""Whether it is there, how many, how much, and what there is more of."""

from collections.abc import Callable
from itertools import pairwise

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.verifier.expressions import (
    Changed,
    Complete,
    Concept,
    Count,
    Equal,
    Extent,
    Extreme,
    Interval,
    More,
    Presence,
    Ratio,
    Share,
)  # fmt: skip
from tasks.dialogue.verifier.known import Known, agreed, each, known, region, silent
from tasks.dialogue.verifier.outcomes import Outcome, unknown

SLACK = 0.01
"""Of a share: labels are measured to about a pixel."""
LISTED = 0.06
"""Share from which a label belongs into a list of what there is."""
EQUAL = 0.05
"""Shares that differ by less are about as large."""


def presence(facts: ChipFacts, atom: Presence) -> Outcome:
    """Is it there?"""
    if is_change(facts, atom.concept):
        return changed(facts, Changed(atom.concept, atom.where))
    kinds = ("area", "line", "point", "tag") if atom.around else ("area", "line", "point")

    def test(one: Known) -> Outcome:
        if one.row is None:
            if atom.around != one.source.is_tag:
                # What lies around the chip only a tag tells; a tag's footprint is coarser than the chip.
                return unknown(f"'{one.source.name}' does not tell whether there is {one.name} {_scope(atom.around)}")
            return Outcome(False, f"there is no {one.name} {_scope(atom.around)}", (one.evidence(),))
        found = one.evidence("fraction", "count", "position")
        if atom.where is None:
            return Outcome(True, f"there is {one.name}", (found,))
        if one.row.cells is None:
            return unknown(f"'{one.source.name}' does not tell where {one.name} lies")
        inside = bool(one.row.cells & region(atom.where))
        if not inside and not one.whole:
            return unknown(f"'{one.source.name}' has no {one.name} there, but may lack some")
        return Outcome(inside, f"{one.name} lies in the {one.row.position}", (found,))

    outcome = each(facts, atom.concept, test, kinds)
    if outcome.holds is None and not atom.around and _tagged(facts, atom.concept):
        return unknown(f"'{atom.concept.word}' holds somewhere around the chip, perhaps not in it")
    return outcome


def _scope(around: bool) -> str:
    return "in or around the chip" if around else "in the chip"


def _tagged(facts: ChipFacts, concept: Concept) -> bool:
    return any(one.row is not None for one in known(facts, concept, ("tag",)))


def is_change(facts: ChipFacts, concept: Concept) -> bool:
    """Whether it is a name of what changed."""
    names = {name for source in facts.used for name in source.change}
    return bool(concept.labels) and all(label in names for label in concept.labels)


def changed(facts: ChipFacts, atom: Changed) -> Outcome:
    """Did it happen?"""

    def test(one: Known) -> Outcome:
        if one.row is None or one.row.fraction == 0:
            return Outcome(False, f"there was no {one.name}", (one.evidence(),))
        if atom.where is not None and one.row.cells is not None:
            there = bool(one.row.cells & region(atom.where))
            return Outcome(there, f"{one.name} lies in the {one.row.position}", (one.evidence("fraction", "position"),))
        return Outcome(True, f"there was {one.name}", (one.evidence("fraction", "position"),))

    return each(facts, atom.concept, test, ("change",))


def count(facts: ChipFacts, atom: Count) -> Outcome:
    """How many are there?"""

    def test(one: Known) -> Outcome:
        number = 0 if one.row is None else one.row.count
        if number is None:
            return unknown(f"'{one.source.name}' does not count {one.name}")
        found = (one.evidence("count"),)
        if one.whole or atom.mapped:
            return Outcome(atom.number.holds(number), f"there are {number} of {one.name}", found)
        if atom.number.high is not None and atom.number.high < number:
            return Outcome(False, f"there are at least {number} of {one.name}", found)
        if atom.number.high is None and atom.number.holds(number):
            return Outcome(True, f"there are at least {number} of {one.name}", found)
        return unknown(f"'{one.source.name}' has {number} of {one.name}, but may lack some")

    # Areas are counted before points of the same name.
    kinds = next((k for k in ("area", "point", "line") if any(o.row for o in known(facts, atom.concept, (k,)))), "area")
    return each(facts, atom.concept, test, (kinds,))


def share(facts: ChipFacts, atom: Share) -> Outcome:
    """How much of the chip is it?"""
    return _amount(facts, atom.concept, atom.share, atom.mapped, 1.0, "{:.0%} of the chip", SLACK)


def extent(facts: ChipFacts, atom: Extent) -> Outcome:
    """How much ground is it?"""
    if not atom.length:
        if facts.side is None:
            return unknown("the size of the chip is not known")
        return _amount(facts, atom.concept, atom.size, atom.mapped, facts.side**2, "{:,.0f} square metres", 0.0)

    def test(one: Known) -> Outcome:
        if one.row is None or one.row.length is None:
            return unknown(f"'{one.source.name}' does not measure the length of {one.name}")
        return _bounded(one, one.row.length, atom.size, atom.mapped, "{:,.0f} metres", 0.0, "length")

    return each(facts, atom.concept, test, ("line", "change"))


def _amount(
    facts: ChipFacts, concept: Concept, wanted: Interval, mapped: bool, unit: float, text: str, slack: float
) -> Outcome:
    def test(one: Known) -> Outcome:
        if one.row is not None and one.row.fraction is None:
            return unknown(f"'{one.source.name}' does not measure how much of the chip is {one.name}")
        amount = unit * (0.0 if one.row is None else one.row.fraction or 0.0)
        return _bounded(one, amount, wanted, mapped, text, slack, "fraction")

    return each(facts, concept, test, ("area", "change"))


def _bounded(one: Known, amount: float, wanted: Interval, mapped: bool, text: str, slack: float, field: str) -> Outcome:
    """An amount that is exact if the source is complete, else a least amount."""
    found = (one.evidence(field),)
    if one.whole or mapped:
        return Outcome(wanted.holds(amount, slack), f"{one.name} is {text.format(amount)}", found)
    # A share of 1 is no bound: what the source lacks can only add to it.
    high = None if wanted.high is None or (slack and wanted.high >= 1.0) else wanted.high
    if high is not None and amount > high + slack:
        return Outcome(False, f"{one.name} is at least {text.format(amount)}", found)
    if high is None and wanted.low is not None and amount >= wanted.low:
        return Outcome(True, f"{one.name} is at least {text.format(amount)}", found)
    return unknown(f"'{one.source.name}' has {text.format(amount)} of {one.name}, but may lack some")


def _shares(facts: ChipFacts, concept: Concept, mapped: bool) -> dict[str, tuple[float, bool, Known]]:
    """Share of a concept by source: how much, and whether that is all."""
    out = {}
    for one in known(facts, concept, ("area",)):
        if one.row is None or one.row.fraction is not None:
            out[one.source.name] = (one.row.fraction or 0.0 if one.row else 0.0, one.whole or mapped, one)
    return out


def more(facts: ChipFacts, atom: More) -> Outcome:
    """Is there more of the first than of the second?"""
    return _compared(facts, atom.first, atom.second, atom.mapped)


def equal(facts: ChipFacts, atom: Equal) -> Outcome:
    """Is there about as much of both?"""
    return _compared(facts, atom.first, atom.second, False, lambda a, b: abs(a - b) <= EQUAL)


def ratio(facts: ChipFacts, atom: Ratio) -> Outcome:
    """Does the first cover so many times as much as the second?"""
    return _compared(facts, atom.first, atom.second, False, lambda a, b: b > 0 and atom.times.holds(a / b, 0.05))


def _compared(
    facts: ChipFacts, first: Concept, second: Concept, mapped: bool, holds: Callable[[float, float], bool] | None = None
) -> Outcome:
    """Two shares, by the sources that know both; without `holds`, whether the first is larger."""
    a, b = _shares(facts, first, mapped), _shares(facts, second, mapped)
    same = [(a[name], b[name]) for name in a if name in b]
    pairs = same or [(one, other) for one in a.values() for other in b.values()]
    found = []
    for (left, left_whole, one), (right, right_whole, other) in pairs:
        evidence = (one.evidence("fraction"), other.evidence("fraction"))
        reason = f"{one.name} is {left:.0%} of the chip, {other.name} {right:.0%}"
        difference = left - right
        if left_whole and right_whole:
            if holds is not None:
                found.append(Outcome(holds(left, right), reason, evidence))
            elif abs(difference) < SLACK:
                found.append(Outcome(None, f"{reason}: too close to tell", evidence))
            else:
                found.append(Outcome(difference > 0, reason, evidence))
        elif holds is None and right_whole and difference > SLACK:
            found.append(Outcome(True, reason, evidence))  # more of the first can only add to it
        elif holds is None and left_whole and difference < -SLACK:
            found.append(Outcome(False, reason, evidence))
        else:
            found.append(unknown(f"{reason}, but their source may lack some"))
    return agreed(found, silent(first if not a else second))


def extreme(facts: ChipFacts, atom: Extreme) -> Outcome:
    """Is it what there is most of?"""
    found = []
    for name, (own, _, one) in _shares(facts, atom.concept, atom.mapped).items():
        source = facts.sources[name]
        rows = {r.name: r.fraction for r in facts.labels if r.source == name and r.kind == "area" and r.fraction}
        others = {k: v for k, v in rows.items() if k != one.name}
        if atom.among:
            wanted = {label for concept in atom.among for label in concept.all}
            others = {label: rows.get(label, 0.0) for label in wanted - {one.name} if label in source.labels}
            if one.name not in wanted:
                found.append(Outcome(False, f"{one.name} is not one of those asked about"))
                continue
        if not (source.complete and source.looked_for is None) and not atom.mapped:
            found.append(unknown(f"'{name}' does not describe the whole chip"))
            continue
        evidence = (one.evidence("fraction"),)
        rival = (min if atom.least else max)(others, key=lambda k: (others[k], k), default=None)
        if one.row is None:
            found.append(Outcome(False, f"there is no {one.name}", evidence))
        elif rival is None:
            found.append(Outcome(True, "", evidence))
        elif abs(own - others[rival]) < SLACK:
            found.append(unknown(f"{one.name} and {rival} cover about as much"))
        else:
            leads = own < others[rival] if atom.least else own > others[rival]
            found.append(Outcome(leads, f"{rival} is {others[rival]:.0%} of the chip, {one.name} {own:.0%}", evidence))
    return agreed(found, silent(atom.concept))


def complete(facts: ChipFacts, atom: Complete) -> Outcome:
    """Is there nothing else of any size?"""
    named = {label for concept in atom.concepts for label in concept.all}
    found = []
    for source in facts.used:
        rows = [label for label in facts.labels if label.source == source.name and label.kind != "change"]
        own = [label for label in rows if label.name in named]
        if not own:
            continue
        evidence = tuple(Known(label.name, source, label).evidence("fraction") for label in own)
        lacking = [r.name for r in rows if r.name not in named and (r.kind != "area" or (r.fraction or 0) >= LISTED)]
        if lacking:
            found.append(Outcome(False, f"there is also {', '.join(lacking)}", evidence))
            continue
        if not (source.complete and source.looked_for is None) and not atom.mapped:
            found.append(unknown(f"'{source.name}' may lack some of what there is"))
            continue
        order = [r.fraction or 0 for c in atom.concepts for r in own if r.name in c.all and r.kind == "area"]
        falls = all(first >= second - SLACK for first, second in pairwise(order))
        found.append(Outcome(falls or not atom.ordered, "they do not stand by size", evidence))
    return agreed(found, "no label source describes all of the chip")
