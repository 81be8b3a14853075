"""The command `slipway`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from slipway.client import Client
from slipway.errors import SlipwayError
from slipway.models import Job, Json

err = Console(stderr=True)
FAILED = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", envvar="SLIPWAY_URL", help="The server [SLIPWAY_URL].")
@click.option("--key", envvar="SLIPWAY_KEY", help="Your API key [SLIPWAY_KEY].")
@click.pass_context
def main(context: click.Context, url: str, key: str) -> None:
    """Submit GPU jobs to a Slipway server, wait for them, fetch their results."""
    context.obj = {"url": url or "", "key": key or ""}


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


@main.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--endpoint", "-e", required=True, help="What runs the job.")
@click.option("--input", "-i", "pairs", multiple=True, help="NAME=VALUE, repeatable.")
@click.option("--priority", type=click.Choice(["low", "normal", "high"]))
@click.option("--webhook", help="An address to tell of the end.")
@click.option("--wait/--no-wait", "-w", "is_waiting", help="Wait for the end.")
@out
@as_json
@command
def submit(
    slipway: Client,
    *,
    files: tuple[Path, ...],
    endpoint: str,
    pairs: tuple[str, ...],
    priority: str | None,
    webhook: str | None,
    is_waiting: bool,
    out: Path | None,
    is_json: bool,
) -> None:
    """Submit a job: FILES go to the endpoint's file fields, in their order."""
    schema = slipway.endpoint(endpoint)["input_schema"]
    input = _input(schema, files, pairs)
    with _bars() as bars:
        job = slipway.submit(
            endpoint,
            input,
            priority=priority or "normal",
            webhook=webhook,
            see=_transfer(bars, "Upload") if files else None,
        )
    err.print(f"Job {job.id}  {job.web_url}", highlight=False, soft_wrap=True)
    if is_waiting or out:
        job = _watch(slipway, job)
    _finish(slipway, job, out, is_json=is_json)


@main.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--endpoint", "-e", required=True, help="What runs the items.")
@click.option("--name", default="", help="What the batch is called.")
@click.option("--workers", type=int, help="Jobs on their way at a time.")
@click.option("--wait/--no-wait", "-w", "is_waiting", help="Wait for the end.")
@command
def batch(
    slipway: Client,
    *,
    file: TextIO,
    endpoint: str,
    name: str,
    workers: int | None,
    is_waiting: bool,
) -> None:
    """Submit a batch: FILE has one input a line, as JSON; "-" reads from the pipe."""
    items = _items(file)
    options: Json = {"workers": workers} if workers else {}
    made = slipway.submit_batch(endpoint, items, name=name, **options)
    if is_waiting:
        made = _watch_batch(slipway, made)
    counts = ", ".join(
        f"{number} {kind}" for kind, number in made["counts"].items() if number
    )
    click.echo(f"{made['id']}  {made['status']}  {counts}")
    if made["counts"]["failed"]:
        sys.exit(FAILED)


@main.command()
@click.argument("job_id")
@out
@as_json
@command
def wait(slipway: Client, *, job_id: str, out: Path | None, is_json: bool) -> None:
    """Wait for the end of a job."""
    job = _watch(slipway, slipway.job(job_id))
    _finish(slipway, job, out, is_json=is_json)


@main.command()
@click.argument("job_id")
@as_json
@command
def status(slipway: Client, *, job_id: str, is_json: bool) -> None:
    """Show a job."""
    _show(slipway.job(job_id), is_json=is_json)


@main.command("list")
@click.option("--status")
@click.option("--endpoint", "-e")
@click.option("--limit", "-n", default=20, show_default=True)
@as_json
@command
def list_(
    slipway: Client,
    *,
    status: str | None,
    endpoint: str | None,
    limit: int,
    is_json: bool,
) -> None:
    """List jobs, newest first."""
    filters = {"status": status, "endpoint": endpoint}
    told = {name: value for name, value in filters.items() if value}
    for job in slipway.jobs(limit, **told):
        if is_json:
            click.echo(json.dumps(job.raw))
        else:
            created = job.raw["created_at"][:19].replace("T", " ")
            click.echo(f"{job.id}  {created}  {job.status:12} {job.endpoint}")


@main.command()
@click.argument("job_id")
@command
def cancel(slipway: Client, *, job_id: str) -> None:
    """Ask for the end of a job."""
    job = slipway.cancel(job_id)
    click.echo("CANCELLING" if not job.has_ended else job.status)


@main.command()
@click.argument("job_id")
@command
def retry(slipway: Client, *, job_id: str) -> None:
    """Run a job again; print the new job's id."""
    click.echo(slipway.retry(job_id).id)


@main.command()
@click.argument("job_id")
@out
@command
def download(slipway: Client, *, job_id: str, out: Path | None) -> None:
    """Fetch the files of a job."""
    _finish(slipway, slipway.job(job_id), out or Path(), is_json=False)


@main.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@command
def upload(slipway: Client, *, file: Path) -> None:
    """Send a file; print how it is named in a job's input."""
    with _bars() as bars:
        sent = slipway.upload(file, _transfer(bars, "Upload"))
    if sent.was_known:
        err.print("The server has this file already; nothing was sent.")
    click.echo(sent.reference)


@main.command()
@command
def endpoints(slipway: Client) -> None:
    """List what can run."""
    for one in slipway.endpoints():
        state = "" if one["is_active"] else "  (paused)"
        click.echo(f"{one['slug']:24} {one['title']}{state}")


@main.command()
@command
def whoami(slipway: Client) -> None:
    """Show whose key this is, and what it may do."""
    me = slipway.me()
    click.echo(f"{me['username']} at {slipway.url}: {', '.join(me['scopes'])}")


# --- inputs ---------------------------------------------------------------------------
def _input(schema: Json, files: tuple[Path, ...], pairs: tuple[str, ...]) -> Json:
    properties = schema.get("properties", {})
    names = [n for n, one in properties.items() if one.get("x-widget") == "file"]
    if len(files) > len(names):
        takes = f"takes {len(names)}" if names else "takes no file"
        raise click.UsageError(f"{len(files)} files given, but the endpoint {takes}.")
    found: Json = dict(zip(names, files, strict=False))
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise click.UsageError(f"--input {pair}: write NAME=VALUE.")
        is_file = name in names and Path(text).is_file()
        found[name] = Path(text) if is_file else _typed(properties.get(name, {}), text)
    return found


def _items(file: TextIO) -> list[Json]:
    found = []
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError:
                text = f"{file.name}, line {number}: this is not JSON."
                raise click.UsageError(text) from None
    return found


def _typed(schema: Json, text: str) -> Any:
    """Read a value as the schema says; what it does not say is text, or JSON."""
    if schema.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


# --- what is shown --------------------------------------------------------------------
@contextmanager
def _bars() -> Iterator[Progress]:
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


def _transfer(bars: Progress, name: str) -> Callable[[int, int], None]:
    task: list[TaskID] = []

    def see(done: int, size: int) -> None:
        if not task:
            task.append(bars.add_task(name, total=size))
        bars.update(task[0], completed=done, total=size)

    return see


def _watch(slipway: Client, job: Job) -> Job:
    """Show how far a job is until it ends; Ctrl-C leaves it running."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=err, transient=True, disable=not err.is_terminal
    ) as bars:
        task = bars.add_task(job.status, total=None)

        def see(now: Job) -> None:
            place = f", place {now.position}" if now.position else ""
            text = now.progress.get("message") or ""
            fraction = now.progress.get("fraction")
            bars.update(
                task,
                description=f"{now.status}{place} {text}".strip()[:60],
                total=None if fraction is None else 1.0,
                completed=fraction or 0,
            )

        try:
            return slipway.wait(job.id, see)
        except KeyboardInterrupt:
            err.print(f"The job goes on. Come back with: slipway wait {job.id}")
            sys.exit(130)


def _watch_batch(slipway: Client, made: Json) -> Json:
    """Show how many items have ended until all have; Ctrl-C leaves it running."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=err, transient=True, disable=not err.is_terminal
    ) as bars:
        task = bars.add_task("Batch", total=made["total"])

        def see(now: Json) -> None:
            left = now["counts"]["waiting"] + now["counts"]["active"]
            failed = now["counts"]["failed"]
            text = f"{now['status']}, {failed} failed" if failed else now["status"]
            bars.update(task, description=text, completed=now["total"] - left)

        try:
            return slipway.wait_for_batch(made["id"], see)
        except KeyboardInterrupt:
            err.print(f"The batch goes on: {made['urls']['self']}", soft_wrap=True)
            sys.exit(130)


def _finish(slipway: Client, job: Job, out: Path | None, *, is_json: bool) -> None:
    if out is not None and job.outputs:
        with _bars() as bars:
            paths = slipway.download(job, out, _transfer(bars, "Download"))
        for path in paths:
            err.print(f"Saved {path}", highlight=False, soft_wrap=True)
    _show(job, is_json=is_json)
    if job.has_ended and job.status != "COMPLETED":
        sys.exit(FAILED)


def _show(job: Job, *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps(job.raw, indent=2))
        return
    click.echo(f"{job.id}  {job.status}")
    if job.error:
        click.echo(f"{job.error['code']}: {job.error['message']}")
    elif job.raw.get("explanation"):
        click.echo(job.raw["explanation"])
    if job.output is not None:
        click.echo(json.dumps(job.output, indent=2, ensure_ascii=False))
    for file in job.outputs:
        click.echo(f"{file.name}  {file.size:,} bytes  {file.url}")
