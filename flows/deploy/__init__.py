"""`earthloom deploy`: what a Prefect server is to hold for this project, made or brought up to date by one command.

`prefect.yaml` says what: deployments, their triggers, limits by tag, and what is watched for. Each part compares what
is there with what is wanted and changes the difference, so that a second run changes nothing.
"""
