"""A RunPod account at a glance: money, endpoints, pods, volumes, and findings."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.utils.timezone import now

from jobs.lib import conf
from jobs.lib.sizes import HOURS_A_MONTH, VOLUME_PER_GB_HOUR
from jobs.models import Endpoint
from jobs.runpod.account import Money, Pod, RemoteEndpoint, Volume
from jobs.runpod.errors import RunPodError
from jobs.services.operations import accounts

BILL_DAYS = 30


@dataclass(frozen=True)
class Overview:
    """What the account contains. `names` are our slugs by RunPod's endpoint ids."""

    key_name: str
    money: Money | None
    endpoints: list[RemoteEndpoint]
    pods: list[Pod]
    volumes: list[Volume]
    names: dict[str, list[str]]
    bills: dict[str, Decimal]  # for thirty days, by RunPod's endpoint ids

    @property
    def billed(self) -> list[tuple[RemoteEndpoint, Decimal | None]]:
        """Return the endpoints with RunPod's charge for each."""
        return [(one, self.bills.get(one.id)) for one in self.endpoints]

    @property
    def spare(self) -> list[Volume]:
        """Return the volumes that no endpoint uses."""
        used = {one.volume_id for one in self.endpoints}
        return [volume for volume in self.volumes if volume.id not in used]

    @property
    def storage_per_month(self) -> float:
        """What the volumes cost a month, even while nothing runs."""
        size = sum(volume.size_gb for volume in self.volumes)
        return size * VOLUME_PER_GB_HOUR * HOURS_A_MONTH

    @property
    def findings(self) -> list[str]:
        """Return what the operator should check, in sentences."""
        return [*_of_money(self), *_of_endpoints(self), *_of_pods(self)]


def overview(key_name: str = "") -> Overview:
    """Ask the account; raise RunPodError, or `Conflict` without a key."""
    with accounts.open_account(key_name) as account:
        endpoints, pods = account.endpoints(), account.pods()
        volumes = account.volumes()
    arguments = (_money(key_name), endpoints, pods, volumes, _names(key_name))
    return Overview(key_name, *arguments, _bills(key_name))


def _bills(key_name: str) -> dict[str, Decimal]:
    try:
        with accounts.open_rest(key_name) as account:
            return account.bills(now() - timedelta(days=BILL_DAYS))
    except RunPodError:
        return {}  # only REST v2 reports bills


def _money(key_name: str) -> Money | None:
    try:
        with accounts.open_money(key_name) as account:
            return account.money()
    except RunPodError:
        return None  # GraphQL may be down; the rest is still worth showing


def _names(key_name: str) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    rows = Endpoint.objects.filter(kind=Endpoint.Kind.RUNPOD, key_name=key_name)
    for runpod_id, slug in rows.values_list("runpod_id", "slug"):
        names.setdefault(runpod_id, []).append(slug)
    return names


def _of_money(seen: Overview) -> list[str]:
    money = seen.money
    if money is None:
        return ["The balance is unknown: GraphQL did not report it."]
    if money.balance < 0:
        return [
            f"The balance is ${money.balance:.2f}: RunPod answers 404 for every endpoint. "
            "Top it up, then recreate the endpoints; the old ones stay dead."
        ]
    findings = []
    days = money.days_left
    if days is not None and days < conf.LOW_DAYS:
        findings.append(f"The balance lasts for {days:.1f} days at this rate.")
    is_idle = not any(pod.status == "RUNNING" for pod in seen.pods)
    has_workers = any(one.workers_min for one in seen.endpoints)
    if money.spend_per_hour > 0 and is_idle and not has_workers and seen.volumes:
        rate = money.spend_per_hour
        findings.append(
            f"The account spends ${rate} an hour while no pod runs: storage. "
            f"{len(seen.volumes)} volumes cost about ${seen.storage_per_month:.2f} a month; "
            "delete unused ones."
        )
    return findings


def _of_endpoints(seen: Overview) -> list[str]:
    findings = []
    ids = {one.id for one in seen.endpoints}
    for one in seen.endpoints:
        if one.workers_max == 0:
            findings.append(
                f"{one.name}: the maximum is 0 workers, so no job starts. Wake it."
            )
        if not one.gpu_ids[1:] and one.volume_id:
            findings.append(f"{one.name}: one GPU tier in one data centre; add others.")
    for runpod_id, slugs in seen.names.items():
        if runpod_id not in ids:
            findings.append(
                f"{', '.join(slugs)}: the account has no endpoint {runpod_id}."
            )
    findings += [
        f"No endpoint uses the volume {volume.name} ({volume.size_gb} GB)."
        for volume in seen.spare
    ]
    return findings


def _of_pods(seen: Overview) -> list[str]:
    return [
        f"The pod {pod.name or pod.id} is running and costs money until you stop it."
        for pod in seen.pods
        if pod.status == "RUNNING"
    ]


def as_json(seen: Overview) -> dict[str, object]:
    """Return it for programs. Amounts are strings with RunPod's exact digits."""
    money = seen.money
    return {
        "key": accounts.variable(seen.key_name),
        "balance": _text(money.balance if money else None),
        "spend_per_hour": _text(money.spend_per_hour if money else None),
        "days_left": money.days_left if money else None,
        "storage_per_month": round(seen.storage_per_month, 2),
        "endpoints": [_endpoint_json(one, seen) for one in seen.endpoints],
        "pods": [vars(pod) for pod in seen.pods],
        "volumes": [vars(volume) for volume in seen.volumes],
        "findings": seen.findings,
    }


def _endpoint_json(one: RemoteEndpoint, seen: Overview) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "slugs": seen.names.get(one.id, []),
        "image": one.template.image,
        "env_names": sorted(one.template.env),
        "gpu_ids": list(one.gpu_ids),
        "volume_id": one.volume_id,
        "billed_30_days": _text(seen.bills.get(one.id)),
        "workers_min": one.workers_min,
        "workers_max": one.workers_max,
        "idle_seconds": one.idle_seconds,
        "container_disk_gb": one.template.container_disk_gb,
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
