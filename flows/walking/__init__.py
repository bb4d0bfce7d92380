"""Every instance of the graph once, after those it depends on: their Prefect task, their processes, their outcome."""
