"""Confidence intervals of shares of few events in many cases."""

from scipy.stats import beta

LEVEL = 0.95


def clopper_pearson(events: int, cases: int, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson, 1934), which also holds where there was no event.

    Args:
        events: that were counted.
        cases: that were looked at.
        level: of confidence, between 0 and 1.

    Returns:
        Lower and upper bound; 0 and 1 where nothing was looked at.

    Raises:
        ValueError: there are more events than cases, or fewer than none.
    """
    if not 0 <= events <= cases:
        raise ValueError(f"{events} events in {cases} cases")
    if cases == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if events == 0 else float(beta.ppf(tail, events, cases - events + 1))
    high = 1.0 if events == cases else float(beta.ppf(1 - tail, events + 1, cases - events))
    return low, high
