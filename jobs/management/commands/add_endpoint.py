"""`manage.py add_endpoint SLUG --runpod-id ID`: makes a RunPod endpoint usable."""

import json
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

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
        parser.add_argument("--title", default="")
        parser.add_argument("--runner", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the row."""
        slug = options["slug"]
        endpoint, is_new = Endpoint.objects.update_or_create(
            slug=slug,
            defaults={
                "title": options["title"] or slug.replace("-", " ").capitalize(),
                "kind": Endpoint.Kind.RUNPOD,
                "runpod_id": options["runpod_id"],
                "api_base": options["api_base"],
                "key_name": options["key_name"],
                "runner": options["runner"],
                "contract": options["contract"] or Endpoint.Contract.SLIPWAY,
                "input_schema": _schema(options["schema"]) if options["schema"] else {},
            },
        )
        self.stdout.write(
            f"{'Added' if is_new else 'Changed'} {slug}: {endpoint.base_url}"
        )


def _schema(path: str) -> dict[str, Any]:
    try:
        schema = json.loads(Path(path).read_text())
        Draft202012Validator.check_schema(schema)
    except (OSError, ValueError) as error:
        raise CommandError(f"--schema {path}: {error}") from None
    except SchemaError as error:
        raise CommandError(f"--schema {path}: {error.message}") from None
    if not isinstance(schema, dict):
        raise CommandError(f"--schema {path}: a JSON object is needed.")
    return schema
