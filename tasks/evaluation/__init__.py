"""Models judged: data sets of questions, the runner that asks them, metrics of the answers, leakage into training."""
