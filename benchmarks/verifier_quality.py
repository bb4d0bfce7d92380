"""How often the verifier errs, no speed: false pairs kept, true pairs contradicted, what it cannot check.

    python -m benchmarks.verifier_quality [--half held-out] [--failures N] [--kind KIND] [--json PATH] [--document PATH]

Two suites of pairs of known truth, about made-up chips of every kind of label source and about chips of the built
sample (`--data`): statements and their corruptions, and rewordings that keep or change the meaning. They
are written by rules that know neither the verifier nor the templates. A half is a matter of wordings: those of the
held-out half are never shown, and its figures are the published ones. `--failures` prints pairs of the other half.
`--document` writes the tables into a page between its markers, `--json` writes the figures.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tasks.dialogue.verifier import judge
from tasks.quality import document
from tasks.quality.cases import DEVELOPMENT, HELD_OUT
from tasks.quality.made_chips import EACH, made_chips
from tasks.quality.measure import Outcome, figures, outcomes
from tasks.quality.sample_chips import sample_chips
from tasks.quality.suites import suites

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def show(failures: list[Outcome], most: int) -> None:
    """Print pairs that went wrong, kind by kind in turn."""
    by_kind: dict[str, list[Outcome]] = {}
    for one in failures:
        by_kind.setdefault(f"{one.case.suite} / {one.case.kind} / {one.case.truth}", []).append(one)
    shown = [(kind, one) for turn in range(most) for kind, ones in by_kind.items() for one in ones[turn : turn + 1]][
        :most
    ]
    for kind, one in sorted(shown, key=lambda pair: pair[0]):
        print(f"\n[{kind}] {one.verdict.state}: {one.verdict.reason}")
        print(f"  chip {one.case.facts.chip_id}; asserts {json.dumps(one.case.claims)}")
        print(f"  Q: {one.case.pair.question!r}\n  A: {one.case.pair.answer!r}")
    print(
        f"\n{len(failures)} failures, {len(shown)} shown: "
        + ", ".join(f"{kind} {len(ones)}" for kind, ones in by_kind.items())
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=(DEVELOPMENT, HELD_OUT), help="held-out unless failures are asked for")
    parser.add_argument("--failures", type=int, default=0, help="pairs of the development half to print")
    parser.add_argument("--kind", help="only this kind")
    parser.add_argument("--data", type=Path, default=Path("data/qa"), help="conversations of the built sample")
    parser.add_argument("--made", type=int, default=EACH, help="made-up chips of each kind of source and sensor")
    parser.add_argument("--sample", type=int, default=120, help="chips of the sample")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--document", type=Path, help="page whose tables are replaced")
    options = parser.parse_args()
    half = options.half or (DEVELOPMENT if options.failures else HELD_OUT)
    if options.failures and half == HELD_OUT:
        sys.exit("failures of the held-out half are not shown: whoever sees them tunes to them")
    chips = [*made_chips(options.made), *sample_chips(options.data, options.sample)]
    cases = [case for case in suites(chips) if case.half == half and options.kind in (None, case.kind)]
    began = time.process_time()
    found = outcomes(cases, judge)
    seconds = time.process_time() - began
    if options.failures:
        show([one for one in found if one.wrong], options.failures)
        return
    sources = f"{half} half: {len(cases)} pairs about {len({case.facts.chip_id for case in cases})} chips"
    measured = {"half": half, "pairs": len(cases), **figures(found)}
    text = f"{sources}.\n\n{document.sections(measured)}"
    print(f"{text}\n{len(cases) / seconds:.0f} pairs a CPU-second")
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    if options.document:
        page = options.document.read_text()
        head, _, rest = page.partition(BEGIN)
        options.document.write_text(f"{head}{BEGIN}\n\nThe {text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
