"""The commands about batches."""

import json
import sys
from pathlib import Path
from typing import TextIO

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from slipway.client import Client
from slipway.models import Json
from slipway.terminal import FAILED, bars, command, err, transfer

limit = click.IntRange(min=1)


@click.command()
@click.argument("file", type=click.Path(allow_dash=True, exists=True, path_type=Path))
@click.option("--endpoint", "-e", required=True, help="What runs the items.")
@click.option("--name", default="", help="What the batch is called.")
@click.option("--workers", type=limit, help="Jobs on their way at a time.")
@click.option("--max-attempts", type=limit, help="Of each item, whatever its error.")
@click.option("--timeout", type=limit, help="Seconds for all of it.")
@click.option("--batch-size", type=limit, help="Items in one job: for batch handlers.")
@click.option("--check", "is_checked", is_flag=True, help="Only look what would fail.")
@click.option("--wait/--no-wait", "-w", "is_waiting", help="Wait for the end.")
@command
def batch(
    slipway: Client,
    *,
    file: Path,
    endpoint: str,
    is_checked: bool,
    is_waiting: bool,
    **options: str | int | None,
) -> None:
    """Submit a batch: FILE has JSON lines, a JSON array, a table or lines of text.

    The server reads it, whatever its size. "-" takes up to 5,000 JSON lines from the pipe.
    """
    arguments: Json = {name: value for name, value in options.items() if value}
    if str(file) == "-":
        arguments["items"] = _items(sys.stdin)
    with bars() as shown:
        sent = None if str(file) == "-" else file
        see = transfer(shown, "Upload") if sent else None
        arguments |= {"file": sent, "see": see}
        if is_checked:
            made = slipway.check_batch(endpoint, **arguments)
        else:
            made = slipway.submit_batch(endpoint, **arguments)
    if is_checked:
        _tell(made)
        return
    if is_waiting:
        made = _watch(slipway, made)
    _show(made)


@click.command()
@click.argument("batch_id")
@click.option("--wait/--no-wait", "-w", "is_waiting", help="Wait for the end.")
@command
def batch_status(slipway: Client, *, batch_id: str, is_waiting: bool) -> None:
    """Show what became of a batch, and why items failed."""
    batch = slipway.batch(batch_id)
    if is_waiting:
        batch = _watch(slipway, batch)
    for group in batch["failures"]:
        err.print(f"{group['count']:6}  {group['code']}: {group['signature']}")
    _show(batch)


@click.command()
@click.argument("batch_id")
@command
def retry_failed(slipway: Client, *, batch_id: str) -> None:
    """Run the items of a batch again that have no result."""
    click.echo(f"{slipway.retry_failed(batch_id)} items run again.")


@click.command()
@click.argument("batch_id")
@click.option(
    *("--out", "-o"),
    type=click.Path(path_type=Path),
    required=True,
    help="Where to: a .zip has every file, anything else a line for each item.",
)
@click.option("--failed", "is_failed", is_flag=True, help="Only the failed items.")
@command
def results(slipway: Client, *, batch_id: str, out: Path, is_failed: bool) -> None:
    """Fetch all results of a batch."""
    kind = "results.zip" if out.suffix == ".zip" else "results.ndjson"
    slipway.batch_results(batch_id, out, "failures.ndjson" if is_failed else kind)
    err.print(f"Saved {out}", highlight=False, soft_wrap=True)


COMMANDS = (batch, batch_status, retry_failed, results)


def _items(file: TextIO) -> list[Json]:
    items = []
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                items.append(json.loads(line))
            except ValueError:
                text = f"line {number}: this is not JSON."
                raise click.UsageError(text) from None
    return items


def _tell(plan: Json) -> None:
    """Say what a check has found; exit 1 where items would fail."""
    for problem in plan["problems"]:
        err.print(f"item {problem['index'] + 1}: {problem['message']}", highlight=False)
    total = "at least " if plan["total"] is None else ""
    click.echo(f"{total}{plan['checked']} jobs, {len(plan['problems'])} would fail")
    if plan["problems"]:
        sys.exit(FAILED)


def _show(made: Json) -> None:
    counts = ", ".join(
        f"{number} {kind}" for kind, number in made["counts"].items() if number
    )
    click.echo(f"{made['id']}  {made['status']}  {counts}".rstrip())
    if made["enqueue_error"]:
        err.print(made["enqueue_error"], highlight=False)
    if made["counts"]["failed"]:
        sys.exit(FAILED)


def _watch(slipway: Client, made: Json) -> Json:
    """Show how many items have ended until all have; Ctrl-C leaves it running."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=err, transient=True, disable=not err.is_terminal
    ) as shown:
        task = shown.add_task("Batch", total=made["total"])

        def see(now: Json) -> None:
            left = now["counts"]["waiting"] + now["counts"]["active"]
            failed = now["counts"]["failed"]
            text = f"{now['status']}, {failed} failed" if failed else now["status"]
            shown.update(
                task,
                description=text,
                total=now["total"],
                completed=now["total"] - left,
            )

        try:
            return slipway.wait_for_batch(made["id"], see)
        except KeyboardInterrupt:
            err.print(f"The batch goes on: {made['urls']['self']}", soft_wrap=True)
            sys.exit(130)
