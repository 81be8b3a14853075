"""`manage.py add_endpoint SLUG --runpod-id ID`: makes a RunPod endpoint usable."""

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management import BaseCommand, CommandError
from jsonschema.exceptions import SchemaError

from jobs.lib import input_schemas
from jobs.models import Endpoint


class Command(BaseCommand):
    """Add an endpoint, or change one that has this slug."""

    help = "Add or change an endpoint that runs on RunPod."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        parser.add_argument("slug")
        parser.add_argument("--runpod-id", required=True)
        parser.add_argument("--api-base", default="", help="Default: RUNPOD_API_BASE.")
        parser.add_argument("--contract", choices=Endpoint.Contract.values)
        parser.add_argument("--schema", help="File with the input's JSON Schema.")
        parser.add_argument(
            "--key-name", default="", help="NAME of RUNPOD_API_KEY_NAME."
        )
        parser.add_argument("--max-workers", type=int, help="As set at RunPod.")
        parser.add_argument(
            "--release-window",
            help="How many jobs RunPod may hold at once; 0: by its workers; none: all.",
        )
        parser.add_argument("--title", default="")
        parser.add_argument("--runner", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the row."""
        slug = options["slug"]
        endpoint = Endpoint.objects.filter(slug=slug).first() or Endpoint(slug=slug)
        is_new = endpoint.pk is None
        for name, value in _fields(slug, options).items():
            setattr(endpoint, name, value)
        try:
            endpoint.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        endpoint.save()
        self.stdout.write(
            f"{'Added' if is_new else 'Changed'} {slug}: {endpoint.base_url}"
        )


def _fields(slug: str, options: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if options["max_workers"] is not None:
        given["max_workers"] = options["max_workers"]
    if options["release_window"] is not None:
        window = options["release_window"]
        if window != "none" and not window.isdigit():
            raise CommandError("--release-window: give a number, or none.")
        given["release_window"] = None if window == "none" else int(window)
    return {
        **given,
        "title": options["title"] or slug.replace("-", " ").capitalize(),
        "kind": Endpoint.Kind.RUNPOD,
        "runpod_id": options["runpod_id"],
        "api_base": options["api_base"],
        "key_name": options["key_name"],
        "runner": options["runner"],
        "contract": options["contract"] or Endpoint.Contract.SLIPWAY,
        "input_schema": _schema(options["schema"]) if options["schema"] else {},
    }


def _schema(path: str) -> dict[str, Any]:
    try:
        schema = json.loads(Path(path).read_text())
        input_schemas.check(schema)
    except (OSError, ValueError) as error:
        raise CommandError(f"--schema {path}: {error}") from None
    except SchemaError as error:
        raise CommandError(f"--schema {path}: {error.message}") from None
    if not isinstance(schema, dict):
        raise CommandError(f"--schema {path}: a JSON object is needed.")
    return schema
