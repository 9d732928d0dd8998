"""`vlmpost tasks`: what tasks there are, one of their problems with replies to it, and stored replies verified in bulk."""

from __future__ import annotations

import typer

from vlmpost.cli.tasks import listing, show, verify

app = typer.Typer(help="Tasks: list, look at a problem and verify replies to it, verify stored replies.", no_args_is_help=True)
app.command("ls")(listing.list_tasks)
app.command("show")(show.show)
app.command("verify")(verify.verify)
