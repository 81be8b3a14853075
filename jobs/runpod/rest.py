"""The account by REST v2: GraphQL's successor, and the only one that shows workers.

Source: RunPod docs, api-reference-v2 (openapi.json). Not REST v1, which is gone.
A template is copied into an endpoint when that is made and never looked at again, and is
deleted with it. So endpoints are given their content, and no template is made.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx

from jobs.runpod.account import Gpu, Money, Pod, RemoteEndpoint, Template, Volume
from jobs.runpod.account_http import AccountHttp
from jobs.runpod.errors import NoAnswer, Refused

EXECUTION_MS = 24 * 3600 * 1000  # each job brings a limit of its own
LOG_LINES = 200
STOCK = {"LOW": "Low", "MEDIUM": "Medium", "HIGH": "High"}


@dataclass(frozen=True)
class RemoteWorker:
    """A worker as RunPod sees it. `is_stale`: of an older release."""

    id: str
    status: str
    is_stale: bool = False
    version: str = ""
    image: str = ""
    gpu: str = ""
    data_center: str = ""
    uptime_seconds: int = 0
    exit_code: int | None = None


@dataclass(frozen=True)
class Release:
    """One rollout of an endpoint."""

    id: str
    status: str
    created_at: str = ""


class RestAccount(AccountHttp):
    """An `Account`, with the workers, releases, logs and bills of its endpoints."""

    def volumes(self) -> list[Volume]:
        """Return the network volumes."""
        return [_volume(one) for one in self._list("/network-volumes")]

    def create_volume(self, name: str, size_gb: int, data_center: str) -> Volume:
        """Buy a volume; it costs from now on."""
        body = {
            "name": name,
            "size": size_gb,
            "dataCenter": data_center,
            "type": "STANDARD",
        }
        return _volume(self._send("POST", "/network-volumes", json=body))

    def grow_volume(self, volume: Volume, size_gb: int) -> Volume:
        """Make a volume larger; it cannot become smaller."""
        path = f"/network-volumes/{quote(volume.id, safe='')}"
        self._send("PATCH", path, json={"size": size_gb})
        return replace(volume, size_gb=size_gb)

    def delete_volume(self, id: str) -> None:
        """Delete a volume and all that is on it."""
        self._send("DELETE", f"/network-volumes/{quote(id, safe='')}")

    def save_template(self, template: Template) -> Template:
        """Return it as it is: here an endpoint has its image and environment itself."""
        return template

    def endpoints(self) -> list[RemoteEndpoint]:
        """Return the endpoints with their templates."""
        return [_endpoint(one) for one in self._list("/serverless", "endpoints")]

    def save_endpoint(self, endpoint: RemoteEndpoint) -> RemoteEndpoint:
        """Create an endpoint, or change the one with its id."""
        body = _settings(endpoint) | _content(endpoint.template)
        if endpoint.id:
            path = f"/serverless/{quote(endpoint.id, safe='')}"
            saved = _endpoint(self._send("PATCH", path, json=body))
        else:
            body["type"] = "QUEUE"
            saved = _endpoint(self._send("POST", "/serverless", json=body))
        return saved.with_(template=endpoint.template)

    def delete_endpoint(self, endpoint: RemoteEndpoint) -> None:
        """Delete an endpoint; its jobs go with it."""
        self._send("DELETE", f"/serverless/{quote(endpoint.id, safe='')}")

    def gpus(self) -> list[Gpu]:
        """Return the kinds of GPU with their stock."""
        asked = {"include": "AVAILABILITY", "product": "SERVERLESS"}
        return [
            Gpu(
                id=str(one.get("id")),
                title=str(one.get("displayName") or one.get("id")),
                memory_gb=int(one.get("memory") or 0),
                stock=STOCK.get(str(one.get("availability")), ""),
                pool=str(one.get("pool") or ""),
            )
            for one in self._list("/catalog/gpus", "gpus", params=asked)
        ]

    def pods(self) -> list[Pod]:
        """Return the pods."""
        return [
            Pod(
                id=str(one.get("id")),
                name=str(one.get("name") or ""),
                status=str(one.get("status") or ""),
                image=str(one.get("image") or ""),
            )
            for one in self._list("/pods")
        ]

    def money(self) -> Money | None:
        """Return None: REST v2 does not tell the balance."""
        return None

    # --- what only REST v2 has --------------------------------------------------------
    def workers(self, endpoint_id: str) -> list[RemoteWorker]:
        """Return the workers of an endpoint: the best answer to “why is it stuck”."""
        path = f"/serverless/{quote(endpoint_id, safe='')}/workers"
        return [_worker(one) for one in self._list(path, "workers")]

    def releases(self, endpoint_id: str) -> list[Release]:
        """Return the releases of an endpoint, newest first."""
        path = f"/serverless/{quote(endpoint_id, safe='')}/releases"
        return [
            Release(
                id=str(one.get("id") or one.get("version") or ""),
                status=str(one.get("status") or ""),
                created_at=str(one.get("createdAt") or ""),
            )
            for one in self._list(path, "releases")
        ]

    def log_lines(self, endpoint_id: str, worker_id: str) -> Iterator[str]:
        """Yield a worker's last lines: RunPod sends them as events, then stays open."""
        ids = quote(endpoint_id, safe=""), quote(worker_id, safe="")
        path = f"/serverless/{ids[0]}/workers/{ids[1]}/logs"
        wait = httpx.Timeout(3.0, connect=5.0)
        asked = {"tail": LOG_LINES}
        try:
            with self._http.stream("GET", path, params=asked, timeout=wait) as answer:
                if not answer.is_success:
                    text = f"RunPod answered {answer.status_code}"
                    raise Refused(text, status=answer.status_code)
                lines = answer.iter_lines()
                for _ in range(LOG_LINES * 3):
                    line = next(lines, None)
                    if line is None:
                        return
                    if line.startswith("data:"):
                        yield self._safe(_log_text(line.removeprefix("data:")))
        except httpx.ReadTimeout:
            return  # nothing new
        except httpx.HTTPError as error:
            raise NoAnswer(f"no answer: {type(error).__name__}") from error

    def bills(self, since: datetime) -> dict[str, Decimal]:
        """Return {endpoint id: what RunPod has charged since then}, in US dollars."""
        asked = {"bucketSize": "day", "startTime": since.isoformat()}
        charges: dict[str, Decimal] = {}
        for one in self._list("/billing/serverless", "records", params=asked):
            id, amount = str(one.get("serverlessId") or ""), one.get("totalAmount")
            charges[id] = charges.get(id, Decimal(0)) + Decimal(str(amount or 0))
        return charges

    def _list(
        self, path: str, name: str = "", params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        answer = self._send("GET", path, params=params)
        if not isinstance(answer, dict):
            raise NoAnswer("RunPod's answer is not a JSON object")
        # Lists come wrapped in an object, by a name of their own.
        entries = answer.get(name or _wrapper(path))
        return [one for one in entries or [] if isinstance(one, dict)]


def _wrapper(path: str) -> str:
    first, *rest = path.strip("/").split("-")
    return first + "".join(word.capitalize() for word in rest)


def _content(template: Template) -> dict[str, Any]:
    return {
        "image": template.image,
        "args": template.start_command,
        "disk": template.container_disk_gb,
        "env": template.env,
    }


def _settings(endpoint: RemoteEndpoint) -> dict[str, Any]:
    workers = {"min": endpoint.workers_min, "max": endpoint.workers_max}
    if endpoint.scaler_type == "REQUEST_COUNT":
        # RunPod refuses an idle time-out beside it.
        scaling = {"type": "REQUEST_COUNT", "requestCount": endpoint.scaler_value}
    else:
        scaling = {"type": "QUEUE_DELAY", "queueDelay": endpoint.scaler_value}
        workers["idleTimeout"] = endpoint.idle_seconds
    places = [place for place in endpoint.locations.split(",") if place]
    return {
        "name": endpoint.name,
        "gpu": {"pools": list(endpoint.gpu_ids), "count": 1},
        "workers": workers,
        "scaling": scaling,
        "dataCenterIds": places,
        "networkVolumes": [endpoint.volume_id] if endpoint.volume_id else [],
        "timeout": EXECUTION_MS,  # left out it would be 0
        "flashboot": "FLASHBOOT",
    }


def _volume(raw: dict[str, Any]) -> Volume:
    return Volume(
        id=str(raw["id"]),
        name=str(raw.get("name") or ""),
        size_gb=int(raw.get("size") or 0),
        data_center=str(raw.get("dataCenter") or ""),
    )


def _template(raw: dict[str, Any]) -> Template:
    return Template(
        id=str(raw.get("id") or ""),
        name=str(raw.get("name") or ""),
        image=str(raw.get("image") or ""),
        start_command=str(raw.get("args") or ""),
        container_disk_gb=int(raw.get("disk") or 0),
        env=dict(raw.get("env") or {}),
    )


def _endpoint(raw: dict[str, Any]) -> RemoteEndpoint:
    workers, scaling = raw.get("workers") or {}, raw.get("scaling") or {}
    volumes = raw.get("networkVolumes") or [""]
    value = scaling.get("requestCount") or scaling.get("queueDelay") or 0
    return RemoteEndpoint(
        id=str(raw["id"]),
        name=str(raw.get("name") or ""),
        template=_template({**raw, "id": raw.get("templateId")}),
        gpu_ids=tuple((raw.get("gpu") or {}).get("pools") or ()),
        volume_id=str(volumes[0]),
        locations=",".join(raw.get("dataCenterIds") or []),
        workers_min=int(workers.get("min") or 0),
        workers_max=int(workers.get("max") or 0),
        idle_seconds=int(workers.get("idleTimeout") or 5),
        scaler_type=str(scaling.get("type") or "QUEUE_DELAY"),
        scaler_value=int(value),
    )


def _worker(raw: dict[str, Any]) -> RemoteWorker:
    code = raw.get("exitCode")
    return RemoteWorker(
        id=str(raw.get("id") or ""),
        status=str(raw.get("status") or "").upper(),
        is_stale=bool(raw.get("isStale")),
        version=str(raw.get("version") or ""),
        image=str(raw.get("image") or ""),
        gpu=str(raw.get("gpuTypeId") or ""),
        data_center=str(raw.get("dataCenterId") or ""),
        uptime_seconds=int(raw.get("uptimeSeconds") or 0),
        exit_code=code if isinstance(code, int) else None,
    )


def _log_text(data: str) -> str:
    try:
        parsed = json.loads(data)
    except ValueError:
        return data.strip()
    if isinstance(parsed, dict):
        return str(parsed.get("message") or parsed.get("line") or parsed)
    return str(parsed)
