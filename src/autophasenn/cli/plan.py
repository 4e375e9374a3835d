"""The command that prints every parameter."""

from __future__ import annotations

from typing import Annotated

import typer

from autophasenn.cli.app import app


@app.command()
def plan(
    training: Annotated[bool, typer.Option("--training", help="That of a training, not of a reconstruction.")] = False,
) -> None:
    """Print the default plan, every parameter explained: a file to change and to give to --plan."""
    if training:
        from autophasenn.training.plan import TrainingPlan
        from autophasenn.training.train import dump_training_plan

        typer.echo(dump_training_plan(TrainingPlan()), nl=False)
        return
    from autophasenn.pipeline.plan import Plan, dump_plan

    typer.echo(dump_plan(Plan()), nl=False)
