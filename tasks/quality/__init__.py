"""What the verifier catches and what a solver guesses without the image: suites, blind solvers, figures."""
