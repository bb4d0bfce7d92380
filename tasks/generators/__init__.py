"""Who writes question-answer pairs: templates, models behind a server, models in process; see `choose`."""
