"""`manage.py audit`: what each account at RunPod holds and spends, and what is odd."""

import json
from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.lib.errors import SlipwayError
from jobs.runpod.errors import RunPodError
from jobs.services.operations import accounts, overviews
from jobs.services.operations.overviews import Overview


class Command(BaseCommand):
    """Ask every account whose key is set."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *, json: bool, **_: Any) -> None:
        """Print what was found."""
        names = accounts.key_names()
        if not names:
            raise CommandError(
                "RUNPOD_API_KEY is not set, so there is no account to ask."
            )
        seen = [_seen(name) for name in names]
        self.stdout.write(_document(seen) if json else "\n\n".join(map(_text, seen)))


def _seen(name: str) -> Overview:
    try:
        return overviews.overview(name)
    except (RunPodError, SlipwayError) as error:
        raise CommandError(f"{accounts.variable(name)}: {error}") from None


def _document(seen: list[Overview]) -> str:
    return json.dumps({"accounts": [overviews.as_json(one) for one in seen]})


def _text(seen: Overview) -> str:
    lines = [accounts.variable(seen.key_name)]
    if seen.money:
        days = seen.money.days_left
        left = f", {days:.1f} days left" if days is not None else ""
        lines.append(
            f"  Balance ${seen.money.balance}, ${seen.money.spend_per_hour} an hour{left}"
        )
    lines.append(f"  Endpoints ({len(seen.endpoints)})")
    lines += [
        f"    {one.id}  {one.name:24} {one.workers_min}-{one.workers_max} workers  "
        f"{','.join(one.gpu_ids)}  {one.template.image}  {_billed(billed)}  "
        f"[{', '.join(seen.names.get(one.id, [])) or 'not in Slipway'}]"
        for one, billed in seen.billed
    ]
    lines.append(f"  Pods ({len(seen.pods)})")
    lines += [f"    {pod.id}  {pod.name:24} {pod.status}" for pod in seen.pods]
    lines.append(
        f"  Volumes ({len(seen.volumes)}): ${seen.storage_per_month:.2f} a month"
    )
    lines += [
        f"    {one.id}  {one.name:24} {one.size_gb} GB  {one.data_center}"
        for one in seen.volumes
    ]
    return "\n".join([*lines, *(f"  -> {finding}" for finding in seen.findings)])


def _billed(amount: Decimal | None) -> str:
    return "" if amount is None else f"${amount:.2f} in 30 days"
