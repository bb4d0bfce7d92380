"""Who writes question-answer pairs: templates, and language models that see the chip."""
