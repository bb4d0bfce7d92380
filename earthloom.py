"""The front door: the command line, a list of the subcommands in tasks/commands and flows/*commands.py."""

import sys
from importlib import metadata

import cyclopts
from rich.markup import escape

from flows.commands import demo, flow, run, status
from flows.deploy.commands import deploy
from flows.model_commands import models, promote, rollback
from flows.services.commands import down, up
from tasks.commands.bench import app as bench
from tasks.commands.board import board
from tasks.commands.cache import cache
from tasks.commands.catalog import app as catalog
from tasks.commands.chat import chat
from tasks.commands.check import check
from tasks.commands.doctor import doctor
from tasks.commands.evaluate import evaluate
from tasks.commands.export import app as export
from tasks.commands.finetune import finetune
from tasks.commands.gate import gate
from tasks.commands.import_ import app as import_
from tasks.commands.leakage import leakage
from tasks.commands.mcp import mcp
from tasks.commands.publish import publish
from tasks.commands.report import report
from tasks.commands.review import review
from tasks.commands.score import score
from tasks.commands.serve import serve
from tasks.commands.verify import verify
from tasks.commands.weights import app as weights
from tasks.core import log
from tasks.core.errors import EarthloomError

app = cyclopts.App(
    name="earthloom",
    help="Satellite scenes in through STAC; a versioned instruction dataset, a trained model and its report out.",
    version=lambda: metadata.version("earthloom"),
)
for command in (
    demo, run, flow, status, report, check, doctor, catalog, cache,
    import_, export, verify, review, weights, publish, finetune, chat, serve, mcp,
    bench, evaluate, score, leakage, board, gate, models, promote, rollback, up, down, deploy,
):  # fmt: skip
    app.command(command)


def main() -> None:
    """Entry point: errors that are the user's to fix are shown as a sentence, not a traceback."""
    log.setup()
    try:
        app()
    except EarthloomError as error:
        # Brackets of the message are its own: [refer] is a tag of a prompt, no style.
        log.console.print(f"[bold red]error:[/bold red] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
