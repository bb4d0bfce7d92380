"""What the verifier catches and what a solver guesses from the text alone: suites, blind solvers, figures."""
