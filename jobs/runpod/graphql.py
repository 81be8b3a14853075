"""The account by GraphQL, as RunPod's operators know it (to be retired early in 2027).

Variables travel in JSON, never inside the query. A failure is HTTP 200 with `errors`.
Not asked for, because they do not exist: `flashBoot`, `creditBalance`,
`myself.serverlessWorkers`, `myself.serverlessTemplates`, `endpoint.jobs`,
`endpoint.workers` (worker counts come from the job API's /health).
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from jobs.runpod.account import (
    MOUNT_PATH,
    Gpu,
    Money,
    Pod,
    RemoteEndpoint,
    Template,
    Volume,
)
from jobs.runpod.account_http import AccountHttp
from jobs.runpod.errors import NoAnswer, Refused

_TEMPLATE = "id name imageName dockerArgs containerDiskInGb env { key value }"
_ENDPOINT = (
    "id name templateId gpuIds networkVolumeId locations workersMin workersMax "
    "idleTimeout scalerType scalerValue"
)
_VOLUME = "id name size dataCenterId"
ENDPOINTS = (
    f"query {{ myself {{ endpoints {{ {_ENDPOINT} template {{ {_TEMPLATE} }} }} }} }}"
)
VOLUMES = f"query {{ myself {{ networkVolumes {{ {_VOLUME} }} }} }}"
PODS = "query { myself { pods { id name desiredStatus imageName } } }"
MONEY = "query { myself { clientBalance currentSpendPerHr spendLimit } }"
GPUS = (
    "query { gpuTypes { id displayName memoryInGb "
    "lowestPrice(input: {gpuCount: 1}) { stockStatus } } "
    "serverlessGpuPools { id gpuTypeIds } }"
)
CREATE_VOLUME = (
    "mutation ($input: CreateNetworkVolumeInput!) "
    f"{{ createNetworkVolume(input: $input) {{ {_VOLUME} }} }}"
)
UPDATE_VOLUME = (
    "mutation ($input: UpdateNetworkVolumeInput!) "
    "{ updateNetworkVolume(input: $input) { id size } }"
)
DELETE_VOLUME = (
    "mutation ($input: DeleteNetworkVolumeInput!) "
    "{ deleteNetworkVolume(input: $input) }"
)
SAVE_TEMPLATE = (
    "mutation ($input: SaveTemplateInput!) "
    f"{{ saveTemplate(input: $input) {{ {_TEMPLATE} }} }}"
)
SAVE_ENDPOINT = (
    "mutation ($input: EndpointInput!) "
    f"{{ saveEndpoint(input: $input) {{ {_ENDPOINT} }} }}"
)
DELETE_ENDPOINT = "mutation ($id: String!) { deleteEndpoint(id: $id) }"


class GraphQLAccount(AccountHttp):
    """An `Account`. Use as a context manager."""

    def volumes(self) -> list[Volume]:
        """Return the network volumes."""
        return [_volume(one) for one in self._mine(VOLUMES, "networkVolumes")]

    def create_volume(self, name: str, size_gb: int, data_center: str) -> Volume:
        """Buy a volume; it costs from now on."""
        fields = {"name": name, "size": size_gb, "dataCenterId": data_center}
        return _volume(self._ask(CREATE_VOLUME, input=fields)["createNetworkVolume"])

    def grow_volume(self, volume: Volume, size_gb: int) -> Volume:
        """Make a volume larger; it cannot become smaller."""
        fields = {"id": volume.id, "size": size_gb}
        answer = self._ask(UPDATE_VOLUME, input=fields)["updateNetworkVolume"]
        return replace(volume, size_gb=int(answer["size"]))

    def delete_volume(self, id: str) -> None:
        """Delete a volume and all that is on it."""
        self._ask(DELETE_VOLUME, input={"id": id})

    def save_template(self, template: Template) -> Template:
        """Create or change a template. `dockerArgs` is required, also when empty."""
        fields: dict[str, Any] = {
            "name": template.name,
            "imageName": template.image,
            "dockerArgs": template.start_command,
            "containerDiskInGb": template.container_disk_gb,
            "volumeInGb": 0,
            "volumeMountPath": MOUNT_PATH,
            "isServerless": True,
            "startJupyter": False,
            "startSsh": False,
            "env": [{"key": k, "value": v} for k, v in template.env.items()],
        }
        if template.id:
            fields["id"] = template.id
        return _template(self._ask(SAVE_TEMPLATE, input=fields)["saveTemplate"])

    def endpoints(self) -> list[RemoteEndpoint]:
        """Return the endpoints with their templates."""
        return [_endpoint(one) for one in self._mine(ENDPOINTS, "endpoints")]

    def save_endpoint(self, endpoint: RemoteEndpoint) -> RemoteEndpoint:
        """Create or replace: what is not sent would be lost."""
        fields: dict[str, Any] = {
            "name": endpoint.name,
            "templateId": endpoint.template.id,
            "gpuIds": ",".join(endpoint.gpu_ids),
            "networkVolumeId": endpoint.volume_id,
            "locations": endpoint.locations,
            "workersMin": endpoint.workers_min,
            "workersMax": endpoint.workers_max,
            "idleTimeout": endpoint.idle_seconds,
            "scalerType": endpoint.scaler_type,
            "scalerValue": endpoint.scaler_value,
        }
        if endpoint.id:
            fields["id"] = endpoint.id
        saved = _endpoint(self._ask(SAVE_ENDPOINT, input=fields)["saveEndpoint"])
        return saved.with_(template=endpoint.template)

    def delete_endpoint(self, endpoint: RemoteEndpoint) -> None:
        """Delete an endpoint; RunPod wants its workers set to nought first."""
        if endpoint.workers_min or endpoint.workers_max:
            self.save_endpoint(endpoint.with_(workers_min=0, workers_max=0))
        self._ask(DELETE_ENDPOINT, id=endpoint.id)

    def gpus(self) -> list[Gpu]:
        """Return the kinds of GPU with their stock."""
        answer = self._ask(GPUS)
        pools = {
            gpu: pool["id"]
            for pool in answer.get("serverlessGpuPools") or []
            for gpu in pool.get("gpuTypeIds") or []
        }
        return [_gpu(one, pools) for one in answer.get("gpuTypes") or []]

    def pods(self) -> list[Pod]:
        """Return the pods."""
        return [
            Pod(
                id=str(one["id"]),
                name=str(one.get("name") or ""),
                status=str(one.get("desiredStatus") or ""),
                image=str(one.get("imageName") or ""),
            )
            for one in self._mine(PODS, "pods")
        ]

    def money(self) -> Money | None:
        """Return balance and spend."""
        account = self._ask(MONEY).get("myself") or {}
        limit = account.get("spendLimit")
        return Money(
            balance=_decimal(account.get("clientBalance")),
            spend_per_hour=_decimal(account.get("currentSpendPerHr")),
            spend_limit=None if limit is None else _decimal(limit),
        )

    def _mine(self, query: str, name: str) -> list[dict[str, Any]]:
        entries = (self._ask(query).get("myself") or {}).get(name)
        return [one for one in entries or [] if isinstance(one, dict)]

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = self._send("POST", self._url, json=body)
        if not isinstance(answer, dict):
            raise NoAnswer("RunPod's answer is not a JSON object")
        errors = answer.get("errors")
        if errors:
            first = errors[0] if isinstance(errors, list) else errors
            words = first.get("message") if isinstance(first, dict) else first
            raise Refused(f"RunPod refuses: {self._safe(str(words))}", status=200)
        data = answer.get("data")
        if not isinstance(data, dict):
            raise NoAnswer("RunPod's answer has no data")
        return data


def _volume(raw: dict[str, Any]) -> Volume:
    return Volume(
        id=str(raw["id"]),
        name=str(raw.get("name") or ""),
        size_gb=int(raw.get("size") or 0),
        data_center=str(raw.get("dataCenterId") or ""),
    )


def _template(raw: dict[str, Any]) -> Template:
    return Template(
        id=str(raw.get("id") or ""),
        name=str(raw.get("name") or ""),
        image=str(raw.get("imageName") or ""),
        start_command=str(raw.get("dockerArgs") or ""),
        container_disk_gb=int(raw.get("containerDiskInGb") or 0),
        env={one["key"]: one["value"] for one in raw.get("env") or []},
    )


def _endpoint(raw: dict[str, Any]) -> RemoteEndpoint:
    template = _template(raw.get("template") or {"id": raw.get("templateId")})
    pools = str(raw.get("gpuIds") or "").split(",")
    return RemoteEndpoint(
        id=str(raw["id"]),
        # RunPod adds this to the names of endpoints with FlashBoot.
        name=str(raw.get("name") or "").removesuffix(" -fb"),
        template=template,
        gpu_ids=tuple(pool.strip() for pool in pools if pool.strip()),
        volume_id=str(raw.get("networkVolumeId") or ""),
        locations=str(raw.get("locations") or ""),
        workers_min=int(raw.get("workersMin") or 0),
        workers_max=int(raw.get("workersMax") or 0),
        idle_seconds=int(raw.get("idleTimeout") or 0),
        scaler_type=str(raw.get("scalerType") or "QUEUE_DELAY"),
        scaler_value=int(raw.get("scalerValue") or 0),
    )


def _gpu(raw: dict[str, Any], pools: dict[str, str]) -> Gpu:
    price = raw.get("lowestPrice") or {}
    return Gpu(
        id=str(raw["id"]),
        title=str(raw.get("displayName") or raw["id"]),
        memory_gb=int(raw.get("memoryInGb") or 0),
        stock=str(price.get("stockStatus") or ""),
        pool=pools.get(str(raw["id"]), ""),
    )


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value or 0))
