"""Pages for people: the report of a run and the board of models, on one toolkit of charts and maps."""
