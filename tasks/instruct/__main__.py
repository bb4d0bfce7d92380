"""`python -m tasks.instruct earthdial-instruct PATH`: the same command without the front door."""

import sys

from tasks.core import log
from tasks.core.errors import EarthloomError
from tasks.instruct import app

if __name__ == "__main__":
    log.setup()
    try:
        app()
    except EarthloomError as error:
        log.console.print(f"[bold red]error:[/bold red] {error}", soft_wrap=True, highlight=False)
        sys.exit(error.exit_code)
