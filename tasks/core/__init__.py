"""What it takes to run a stage, and knows no Earth: command line, parameters, paths, tables, errors, log, code."""
