"""The board: models by benchmark, each score beside its controls, as one page with nothing outside it.

Reads what runs left behind, asks no model. `tasks.board.page.fragment` gives the same as a section of another page.
"""
