"""`vlmpost reward`: what rewards and rule profiles there are, and what they make of stored answers."""

from __future__ import annotations

import typer

from vlmpost.cli.reward import agree, bench, curve, explain, listing, score

app = typer.Typer(help="Rewards and rule profiles: list, try on stored answers, draw.", no_args_is_help=True)
app.command("ls")(listing.list_rewards)
app.command("show")(listing.show)
app.command("score")(score.score)
app.command("explain")(explain.explain)
app.command("curve")(curve.curve)
app.command("bench")(bench.bench)
app.command("agree")(agree.agree)
