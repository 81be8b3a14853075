"""The command `slipway`."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from slipway import __version__, batch_commands
from slipway.client import Client
from slipway.models import Job, Json
from slipway.terminal import FAILED, as_json, bars, command, err, out, transfer


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", envvar="SLIPWAY_URL", help="The server [SLIPWAY_URL].")
@click.option("--key", envvar="SLIPWAY_KEY", help="Your API key [SLIPWAY_KEY].")
@click.version_option(__version__, prog_name="slipway")
@click.pass_context
def main(context: click.Context, url: str, key: str) -> None:
    """Submit GPU jobs to a Slipway server, wait for them, fetch their results."""
    context.obj = {"url": url or "", "key": key or ""}


for _command in batch_commands.COMMANDS:
    main.add_command(_command)


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
    with bars() as shown:
        job = slipway.submit(
            endpoint,
            input,
            priority=priority or "normal",
            webhook=webhook,
            see=transfer(shown, "Upload") if files else None,
        )
    err.print(f"Job {job.id}  {job.web_url}", highlight=False, soft_wrap=True)
    if is_waiting or out:
        job = _watch(slipway, job)
    _finish(slipway, job, out, is_json=is_json)


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
    chosen = {name: value for name, value in filters.items() if value}
    for job in slipway.jobs(limit, **chosen):
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
    with bars() as shown:
        sent = slipway.upload(file, transfer(shown, "Upload"))
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
    fields: Json = dict(zip(names, files, strict=False))
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise click.UsageError(f"--input {pair}: write NAME=VALUE.")
        is_file = name in names and Path(text).is_file()
        fields[name] = Path(text) if is_file else _typed(properties.get(name, {}), text)
    return fields


def _typed(schema: Json, text: str) -> Any:
    """Read a value as the schema says; what it does not say is text, or JSON."""
    if schema.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


# --- what is shown --------------------------------------------------------------------
def _watch(slipway: Client, job: Job) -> Job:
    """Show how far a job is until it ends; Ctrl-C leaves it running."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=err, transient=True, disable=not err.is_terminal
    ) as shown:
        task = shown.add_task(job.status, total=None)

        def see(now: Job) -> None:
            place = f", place {now.position}" if now.position else ""
            text = now.progress.get("message") or ""
            fraction = now.progress.get("fraction")
            shown.update(
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


def _finish(slipway: Client, job: Job, out: Path | None, *, is_json: bool) -> None:
    if out is not None and job.outputs:
        with bars() as shown:
            paths = slipway.download(job, out, transfer(shown, "Download"))
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
