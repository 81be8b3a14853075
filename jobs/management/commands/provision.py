"""`manage.py provision SLUG --image … --gpu …`: volume, template and endpoint at RunPod."""

from argparse import ArgumentParser
from dataclasses import fields
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.lib.errors import InvalidInput, SlipwayError
from jobs.models import Endpoint
from jobs.runpod.errors import RunPodError
from jobs.services.operations import endpoint_spec, provisioning
from jobs.services.operations.endpoint_spec import SCALER_TYPES, EndpointSpec


class Command(BaseCommand):
    """Make an endpoint, or release changes to the one of this name."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("slug")
        parser.add_argument("--image", required=True, help="user/worker:tag")
        parser.add_argument(
            "--gpu",
            dest="gpu_ids",
            action="append",
            required=True,
            help="a GPU tier; give several",
        )
        parser.add_argument("--env", action="append", default=[], help="NAME=value")
        parser.add_argument(
            "--model", dest="models", action="append", default=[], help="org/name"
        )
        parser.add_argument(
            "--volume", dest="data_center", metavar="DATA_CENTER", default=""
        )
        parser.add_argument("--volume-gb", type=int, default=0)
        parser.add_argument("--container-disk-gb", type=int, default=0)
        parser.add_argument("--workers-min", type=int, default=EndpointSpec.workers_min)
        parser.add_argument("--workers-max", type=int, default=EndpointSpec.workers_max)
        parser.add_argument(
            "--idle-seconds", type=int, default=EndpointSpec.idle_seconds
        )
        parser.add_argument(
            "--scaler-type",
            choices=SCALER_TYPES,
            default=EndpointSpec.scaler_type,
            help="add workers by how long a job has waited, or by how many wait",
        )
        parser.add_argument(
            "--scaler-value",
            type=int,
            default=EndpointSpec.scaler_value,
            help="seconds, or jobs",
        )
        parser.add_argument("--start-command", default="")
        parser.add_argument("--contract", choices=Endpoint.Contract.values)
        parser.add_argument("--runner", default="")
        parser.add_argument("--key-name", default="")
        parser.add_argument("--dry-run", action="store_true", help="only say what")

    def handle(
        self, *, slug: str, dry_run: bool, key_name: str, **options: Any
    ) -> None:
        """Say what will be done; then do it."""
        row = {"slug": slug, "runner": options["runner"]}
        if options["contract"]:
            row["contract"] = options["contract"]
        try:
            spec = _spec(slug, options)
            plan = provisioning.plan(spec, key_name)
            for line in (*plan.steps, *(f"-> {text}" for text in plan.warnings)):
                self.stdout.write(line)
            for problem in plan.problems:
                self.stdout.write(f"!! {problem.pointer[1:]}: {problem.message}")
            if not dry_run:
                made = provisioning.provision(spec, key_name=key_name, **row)
                self.stdout.write(f"{made.slug} is endpoint {made.runpod_id}.")
        except InvalidInput as error:
            lines = [f"{one.pointer[1:]}: {one.message}" for one in error.problems]
            raise CommandError("\n".join(lines)) from None
        except (SlipwayError, RunPodError) as error:
            raise CommandError(str(error)) from None


def _spec(slug: str, options: dict[str, Any]) -> EndpointSpec:
    given = {
        field.name: options[field.name]
        for field in fields(EndpointSpec)
        if field.name in options
    }
    given |= {
        "name": slug,
        "gpu_ids": tuple(options["gpu_ids"]),
        "models": tuple(options["models"]),
        "has_volume": bool(options["data_center"]),
        "env": endpoint_spec.variables(options["env"]),
    }
    return EndpointSpec(**given)
