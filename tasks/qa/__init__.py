"""Stage `qa`: question-answer conversations about each chip, generated from its labels, then verified against them."""
