"""What `earthloom up` starts on one machine: database, Prefect server, object store and workers, as processes.

No pid files: every process carries the folder of its services and its service's name in its environment, which its
children inherit. Who is running is read from the system, so neither a kill nor a pid that is used again can mislead.
"""
