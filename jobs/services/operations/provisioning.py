"""Endpoints at RunPod: create, change, recreate, wake, delete.

Volume, then template, then endpoint. Each is looked up by name before it is created, so
a run that crashed can start again without paying twice. Every change is written to the
audit log. Our row keeps the requested configuration, for recreating the endpoint later.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import uuid4

from django.utils.timezone import now

from jobs.lib.errors import Conflict, InvalidInput, Problem
from jobs.models import Endpoint
from jobs.runpod.account import VOLUME_MIN_GB, Account, RemoteEndpoint, Template, Volume
from jobs.runpod.errors import Refused
from jobs.services.operations import (
    accounts,
    alerts,
    audit,
    endpoint_spec,
    endpoints,
    watch,
)
from jobs.services.operations.endpoint_spec import EndpointSpec, Sizes

PRIVATE = ("env",)  # never stored on our rows


@dataclass(frozen=True)
class Plan:
    """A dry run: what would be done, what must be fixed first, and what to know."""

    steps: tuple[str, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    sizes: Sizes


def plan(spec: EndpointSpec, key_name: str = "") -> Plan:
    """Return what `provision` would do, without doing it. Asks registries and account."""
    sizes = endpoint_spec.look_up(spec)
    with accounts.open_account(key_name) as account:
        volume = _volume_of(account, spec)
        endpoint = _named(account.endpoints(), spec.name)
        stock = {gpu.pool for gpu in account.gpus() if gpu.stock}
    template = spec.template(sizes)
    steps = []
    if spec.has_volume:
        size = spec.volume_gb or sizes.disks.volume_gb or VOLUME_MIN_GB
        steps.append(
            f"Use the volume {volume.name} ({volume.size_gb} GB, {volume.data_center})."
            if volume
            else f"Buy the volume {_volume_name(spec)}: {size} GB in {spec.data_center}."
        )
    steps.append(
        f"Save the template {spec.name}: {spec.image}, {template.container_disk_gb} GB of "
        f"container disk, {len(template.env)} variables."
    )
    what = "Release to the endpoint" if endpoint else "Create the endpoint"
    steps.append(
        f"{what} {spec.name}: {', '.join(spec.gpu_ids)}, {spec.workers_min} to "
        f"{spec.workers_max} workers, idle for {spec.idle_seconds} s."
    )
    warnings = endpoint_spec.warnings(spec, sizes)
    out = [pool for pool in spec.gpu_ids if stock and pool not in stock]
    if out:
        warnings.append(f"Out of stock at this moment: {', '.join(out)}.")
    return Plan(
        tuple(steps), tuple(endpoint_spec.problems(spec, sizes)), tuple(warnings), sizes
    )


def provision(
    spec: EndpointSpec, *, key_name: str = "", user: Any = None, **row: Any
) -> Endpoint:
    """Make or change what `spec` says, and our endpoint for it; return that.

    `row` holds fields of a new Endpoint. Raise `InvalidInput` for what `plan` calls a
    problem, and RunPodError if RunPod refuses; calling again then continues.
    """
    sizes = endpoint_spec.look_up(spec)
    wrong = endpoint_spec.problems(spec, sizes)
    if wrong:
        raise InvalidInput(*wrong)
    endpoint = _begun(spec, key_name, row)
    with accounts.open_account(key_name) as account:
        volume = _volume_of(account, spec)
        if spec.has_volume and volume is None:
            size = spec.volume_gb or sizes.disks.volume_gb or VOLUME_MIN_GB
            volume = account.create_volume(_volume_name(spec), size, spec.data_center)
            audit.record(user, "volume_bought", volume.name, size_gb=size)
        old = _named(account.endpoints(), spec.name)
        known = endpoint.remote.get("template", {}).get("id", "")
        template = spec.template(sizes, id=old.template.id if old else known)
        saved = _saved(account, template)
        volume_id = volume.id if volume else ""
        wanted = spec.endpoint(saved, volume_id, id=old.id if old else "")
        endpoint.remote["image_gb"] = round(sizes.image_gb, 2)
        # Templates cannot be listed: losing the id would leave an orphan behind.
        remember(endpoint, wanted)
        made = account.save_endpoint(wanted)
    _finished(endpoint, made)
    audit.record(user, "provisioned", endpoint.slug, **_shown(made))
    return endpoint


def release(
    endpoint: Endpoint,
    *,
    user: Any = None,
    image: str = "",
    env: dict[str, str] | None = None,
    container_disk_gb: int = 0,
    **settings: Any,
) -> RemoteEndpoint:
    """Change image, environment, disk or settings, and roll the change out.

    First the template, then the endpoint: only the second call starts a release at
    RunPod. `env` is added to the existing variables; an empty value removes a variable.
    """
    wrong = list(endpoint_spec.of_env(env or {}))
    if wrong:
        raise InvalidInput(*wrong)
    with accounts.open_account(endpoint.key_name) as account:
        old = _remote(account, endpoint)
        variables = {**old.template.env, **(env or {})}
        template = Template(
            id=old.template.id,
            name=old.template.name,
            image=image or old.template.image,
            start_command=old.template.start_command,
            container_disk_gb=container_disk_gb or old.template.container_disk_gb,
            env={name: value for name, value in variables.items() if value},
        )
        saved = account.save_template(template)
        made = account.save_endpoint(old.with_(template=saved, **settings))
    remember(endpoint, made)
    audit.record(
        user, "released", endpoint.slug, env_changed=sorted(env or {}), **_shown(made)
    )
    return made


def recreate(endpoint: Endpoint, *, user: Any = None) -> str:
    """Recreate a dead endpoint with the same configuration; return its new id.

    RunPod disables endpoints when the balance is negative, and topping it up does not
    revive them. The dead endpoint is deleted; all our rows then use the new id.
    """
    _refuse_without_money(endpoint.key_name)
    with accounts.open_account(endpoint.key_name) as account:
        remotes = account.endpoints()
        old = next((one for one in remotes if one.id == endpoint.runpod_id), None)
        wanted = old or _remembered(endpoint)
        remember(endpoint, wanted)  # before the deletion: later it may be the only copy
        if old:
            account.delete_endpoint(old)
        # An earlier run may have created it and crashed before storing its id.
        twin = _named(
            [one for one in remotes if one.id != endpoint.runpod_id], wanted.name
        )
        made = twin or account.save_endpoint(wanted.with_(id=""))
    repoint(endpoint, made)
    audit.record(user, "recreated", endpoint.slug, old_id=wanted.id, new_id=made.id)
    return made.id


def repoint(endpoint: Endpoint, made: RemoteEndpoint) -> None:
    """Make all our endpoints that use the old id use the new one."""
    same = Endpoint.objects.filter(
        kind=Endpoint.Kind.RUNPOD,
        runpod_id=endpoint.runpod_id,
        key_name=endpoint.key_name,
    )
    for one in list(same) or [endpoint]:
        Endpoint.objects.filter(pk=one.pk).update(runpod_id=made.id)
        one.runpod_id = made.id
        endpoints.mark_reachable(one)
        remember(one, made)
    endpoint.refresh_from_db()


def pause(endpoint: Endpoint, *, user: Any = None) -> None:
    """Accept no new jobs and keep no idle worker; accepted jobs continue."""
    Endpoint.objects.filter(pk=endpoint.pk).update(is_active=False)
    endpoint.is_active = False
    if _is_ours(endpoint):
        with accounts.open_account(endpoint.key_name) as account:
            remote = _remote(account, endpoint)
            if remote.workers_min:
                account.save_endpoint(remote.with_(workers_min=0))
                remember(endpoint, remote)  # stores the number to wake up to
    audit.record(user, "paused", endpoint.slug)


def wake(endpoint: Endpoint, *, user: Any = None) -> None:
    """Accept jobs again and allow workers: RunPod sets idle endpoints to 0 workers."""
    if _is_ours(endpoint):
        with accounts.open_account(endpoint.key_name) as account:
            remote = _remote(account, endpoint)
            before = endpoint.remote
            most = (
                remote.workers_max or before.get("workers_max") or endpoint.max_workers
            )
            least = remote.workers_min or int(before.get("workers_min") or 0)
            woken = remote.with_(workers_max=most, workers_min=min(least, most))
            if woken != remote:
                remember(endpoint, account.save_endpoint(woken))
    Endpoint.objects.filter(pk=endpoint.pk).update(is_active=True)
    endpoint.is_active = True
    audit.record(user, "woken", endpoint.slug)


def delete(endpoint: Endpoint, *, user: Any = None) -> None:
    """Delete the endpoint at RunPod. Our row stays, paused, for the history of jobs."""
    with accounts.open_account(endpoint.key_name) as account:
        by_id = {one.id: one for one in account.endpoints()}
        remote = by_id.get(endpoint.runpod_id)
        if remote:
            remember(endpoint, remote)
            account.delete_endpoint(remote)
    Endpoint.objects.filter(pk=endpoint.pk).update(is_active=False)
    endpoint.is_active = False
    alerts.resolve(endpoint)
    watch.judge(endpoint, None)
    audit.record(user, "deleted_at_runpod", endpoint.slug, id=endpoint.runpod_id)


def _is_ours(endpoint: Endpoint) -> bool:
    """Whether we may change it at RunPod: it has an id there, and we have a key."""
    has_key = endpoint.key_name in accounts.key_names()
    is_remote = endpoint.kind == Endpoint.Kind.RUNPOD and bool(endpoint.runpod_id)
    return is_remote and has_key


def _remote(account: Account, endpoint: Endpoint) -> RemoteEndpoint:
    for one in account.endpoints():
        if one.id == endpoint.runpod_id:
            return one
    text = f"RunPod's account has no endpoint {endpoint.runpod_id}. Recreate it."
    raise Conflict(text, code="endpoint_not_found")


def _named(remotes: list[RemoteEndpoint], name: str) -> RemoteEndpoint | None:
    return next((one for one in remotes if one.name == name), None)


def _volume_name(spec: EndpointSpec) -> str:
    return f"{spec.name}-models"


def _volume_of(account: Account, spec: EndpointSpec) -> Volume | None:
    if not spec.has_volume:
        return None
    volumes = [one for one in account.volumes() if one.name == _volume_name(spec)]
    return volumes[0] if volumes else None


def _begun(spec: EndpointSpec, key_name: str, row: dict[str, Any]) -> Endpoint:
    """Return our endpoint; a new one takes no jobs before RunPod has it."""
    fields = {"title": spec.name, "is_active": False, **row}
    endpoint, _ = Endpoint.objects.get_or_create(
        slug=fields.pop("slug", spec.name),
        defaults={**fields, "kind": Endpoint.Kind.RUNPOD, "key_name": key_name},
    )
    if endpoint.kind != Endpoint.Kind.RUNPOD or endpoint.key_name != key_name:
        text = f"{endpoint.slug} is a different endpoint here. Choose another name."
        raise Conflict(text, code="name_taken")
    return endpoint


def _saved(account: Account, template: Template) -> Template:
    try:
        return account.save_template(template)
    except Refused as error:
        if template.id:  # it was deleted at RunPod in the meantime
            return _saved(account, replace(template, id=""))
        if "unique" not in str(error).lower():
            raise
        # Left by a run that crashed before it could store the id.
        name = f"{template.name}-{uuid4().hex[:6]}"
        return account.save_template(replace(template, name=name))


def _finished(endpoint: Endpoint, made: RemoteEndpoint) -> None:
    is_new = not endpoint.runpod_id
    fields = {"runpod_id": made.id, "max_workers": made.workers_max}
    Endpoint.objects.filter(pk=endpoint.pk).update(
        **fields, **({"is_active": True} if is_new else {})
    )
    remember(endpoint, made)
    endpoint.refresh_from_db()


def remember(endpoint: Endpoint, remote: RemoteEndpoint) -> None:
    """Store its configuration on our row, without the values of its environment."""
    config = {**asdict(remote), "at": now().isoformat()}
    config["image_gb"] = endpoint.remote.get("image_gb", 0)
    config["template"] = {
        k: v for k, v in config["template"].items() if k not in PRIVATE
    }
    config["template"]["env_names"] = sorted(remote.template.env)
    Endpoint.objects.filter(pk=endpoint.pk).update(remote=config)
    endpoint.remote = config


def _remembered(endpoint: Endpoint) -> RemoteEndpoint:
    config = {k: v for k, v in endpoint.remote.items() if k not in {"at", "image_gb"}}
    if not config:
        raise Conflict(
            "RunPod no longer lists this endpoint, and Slipway has no record of its "
            "configuration. Provision a new one under the same slug.",
            code="endpoint_not_found",
        )
    template = {k: v for k, v in config["template"].items() if k != "env_names"}
    config["gpu_ids"] = tuple(config["gpu_ids"])
    return RemoteEndpoint(**{**config, "template": Template(**template)})


def _refuse_without_money(key_name: str) -> None:
    with accounts.open_money(key_name) as account:
        money = account.money()
    if money and money.balance < 0:
        text = f"The balance is ${money.balance:.2f}. Top it up at RunPod first."
        raise Conflict(text, code="payment_required")


def _shown(remote: RemoteEndpoint) -> dict[str, Any]:
    return {
        "runpod_id": remote.id,
        "image": remote.template.image,
        "gpu_ids": list(remote.gpu_ids),
        "workers": [remote.workers_min, remote.workers_max],
    }
