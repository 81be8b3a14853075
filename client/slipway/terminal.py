"""What the commands share: a client, one red line for an error, and bars."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from slipway.client import Client
from slipway.errors import SlipwayError

err = Console(stderr=True)
FAILED = 1


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Hand the command a client; show our errors in one red line, and exit 1."""

    @wraps(function)
    def wrapped(**options: Any) -> None:
        try:
            with Client(**click.get_current_context().obj) as slipway:
                function(slipway, **options)
        except SlipwayError as error:
            err.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
            sys.exit(FAILED)

    return wrapped


as_json = click.option(
    "--json", "is_json", is_flag=True, help="Print the whole as JSON."
)
out = click.option(
    *("--out", "-o"), type=click.Path(path_type=Path), help="Folder for the results."
)


@contextmanager
def bars() -> Iterator[Progress]:
    """Show how far bytes are, where somebody looks."""
    columns = (
        TextColumn("{task.description:10}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(
        *columns, console=err, transient=True, disable=not err.is_terminal
    ) as bars:
        yield bars


def transfer(bars: Progress, name: str) -> Callable[[int, int], None]:
    """Return what moves a new bar: (done, size)."""
    task: list[TaskID] = []

    def see(done: int, size: int) -> None:
        if not task:
            task.append(bars.add_task(name, total=size))
        bars.update(task[0], completed=done, total=size)

    return see
