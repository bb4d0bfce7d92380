"""The board: models by benchmark, each score beside its controls, as one page with nothing outside it.

Reads what runs left behind, asks no model. The report has one of its own, of the model it is about.
"""
