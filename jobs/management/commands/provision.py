"""`manage.py provision SLUG --image … --gpu …`: volume, template and endpoint at RunPod."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.lib.errors import InvalidInput, SlipwayError
from jobs.models import Endpoint
from jobs.runpod.errors import RunPodError
from jobs.services.operations import provisioning, spec
from jobs.services.operations.spec import Wish


class Command(BaseCommand):
    """Make an endpoint, or release changes to the one of this name."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("slug")
        parser.add_argument("--image", required=True, help="user/worker:tag")
        parser.add_argument(
            "--gpu", action="append", required=True, help="a GPU tier; give several"
        )
        parser.add_argument("--env", action="append", default=[], help="NAME=value")
        parser.add_argument("--model", action="append", default=[], help="org/name")
        parser.add_argument("--volume", metavar="DATA_CENTER", default="")
        parser.add_argument("--volume-gb", type=int, default=0)
        parser.add_argument("--container-disk-gb", type=int, default=0)
        parser.add_argument("--workers-min", type=int, default=0)
        parser.add_argument("--workers-max", type=int, default=3)
        parser.add_argument("--idle-seconds", type=int, default=5)
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
            wish = _wish(slug, options)
            plan = provisioning.plan(wish, key_name)
            for line in (*plan.steps, *(f"-> {text}" for text in plan.warnings)):
                self.stdout.write(line)
            for problem in plan.problems:
                self.stdout.write(f"!! {problem.pointer[1:]}: {problem.message}")
            if not dry_run:
                made = provisioning.provision(wish, key_name=key_name, **row)
                self.stdout.write(f"{made.slug} is endpoint {made.runpod_id}.")
        except InvalidInput as error:
            lines = [f"{one.pointer[1:]}: {one.message}" for one in error.problems]
            raise CommandError("\n".join(lines)) from None
        except (SlipwayError, RunPodError) as error:
            raise CommandError(str(error)) from None


def _wish(slug: str, options: dict[str, Any]) -> Wish:
    env = spec.variables(options["env"])
    return Wish(
        name=slug,
        image=options["image"],
        gpu_ids=tuple(options["gpu"]),
        start_command=options["start_command"],
        env=env,
        models=tuple(options["model"]),
        has_volume=bool(options["volume"]),
        data_center=options["volume"],
        volume_gb=options["volume_gb"],
        container_disk_gb=options["container_disk_gb"],
        workers_min=options["workers_min"],
        workers_max=options["workers_max"],
        idle_seconds=options["idle_seconds"],
    )
