"""A RunPod account on loopback: GraphQL, REST v2 and the job API of its endpoints.

GraphQL is answered by graphql-core from `fake_account.graphql`, which has what RunPod's documents
and operators know and nothing else: a wrong field gives GraphQL's own error, with
HTTP 200. What a test wants to see happen it sets on the object: `balance`, `stock`,
`health`, `workers`, `logs`. Endpoints die when the balance is negative, and stay dead.
"""

import json
import threading
import uuid
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from graphql import build_schema, graphql_sync

KEY = "rpa_canary_account_key"
SDL = (Path(__file__).parent / "fake_account.graphql").read_text()
GPUS = [
    ("NVIDIA A40", "A40", 48, "AMPERE_48"),
    ("NVIDIA L40S", "L40S", 48, "ADA_48_PRO"),
    ("NVIDIA A100 80GB PCIe", "A100 PCIe", 80, "AMPERE_80"),
    ("NVIDIA GeForce RTX 4090", "RTX 4090", 24, "ADA_24"),
]
NO_WORKERS = dict.fromkeys(
    ["idle", "initializing", "ready", "running", "throttled", "unhealthy"], 0
)


class FakeAccount:
    """The account. `requests` keeps everything that was asked, in order."""

    def __init__(self) -> None:
        self.forget()
        self._schema = build_schema(SDL)
        door = type("Door", (_Door,), {"account": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), door)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def forget(self) -> None:
        """Become an empty account with some money."""
        self.balance, self.spend, self.limit = 50.0, 0.0, 80
        self.volumes, self.templates, self.endpoints = {}, {}, {}
        self.pods, self.dead, self.requests = [], set(), []
        self.stock = {pool: "High" for *_, pool in GPUS}
        self.health, self.workers, self.logs, self.releases = {}, {}, {}, {}
        self.fault, self.bills = None, []

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def set_balance(self, amount: float) -> None:
        """Change the balance; below nought the endpoints of this moment die for good."""
        self.balance = amount
        if amount < 0:
            self.dead |= set(self.endpoints)

    def asked(self, what: str) -> list:
        """Return the bodies of the requests whose query or path has `what` in it."""
        return [body for path, body in self.requests if what in path]

    # --- GraphQL ----------------------------------------------------------------------
    def graphql(self, body: dict) -> dict:
        self.requests.append((body["query"], body.get("variables")))
        answer = graphql_sync(
            self._schema, body["query"], self._root(), variable_values=body["variables"]
        )
        response = {"data": answer.data}
        if answer.errors:
            response["errors"] = [{"message": error.message} for error in answer.errors]
        return response

    def _root(self) -> dict:
        return {
            "myself": lambda _: {
                "id": "user",
                "clientBalance": self.balance,
                "currentSpendPerHr": self.spend,
                "spendLimit": self.limit,
                "networkVolumes": list(self.volumes.values()),
                "endpoints": [self._shown(one) for one in self.endpoints.values()],
                "pods": self.pods,
            },
            "gpuTypes": lambda _: [
                {
                    "id": id,
                    "displayName": title,
                    "memoryInGb": memory,
                    "lowestPrice": lambda _, input, pool=pool: {
                        "stockStatus": self.stock.get(pool)
                    },
                }
                for id, title, memory, pool in GPUS
            ],
            "serverlessGpuPools": lambda _: [
                {"id": pool, "gpuTypeIds": [id]} for id, _, _, pool in GPUS
            ],
            "createNetworkVolume": self._create_volume,
            "updateNetworkVolume": self._update_volume,
            "deleteNetworkVolume": lambda _, input: bool(
                self.volumes.pop(input["id"], None)
            ),
            "saveTemplate": self._save_template,
            "saveEndpoint": self._save_endpoint,
            "deleteEndpoint": lambda _, id: self._delete_endpoint(id),
        }

    def _shown(self, endpoint: dict) -> dict:
        template = self.templates.get(endpoint["templateId"])
        return {**endpoint, "template": template}

    def _create_volume(self, _: object, input: dict) -> dict:
        made = {"id": _id(), **input}
        self.volumes[made["id"]] = made
        self.spend = round(self.spend + input["size"] * 0.047 / 50, 4)
        return made

    def _update_volume(self, _: object, input: dict) -> dict:
        volume = self.volumes[input["id"]]
        if input["size"] <= volume["size"]:
            raise ValueError("Network volumes can only grow.")
        volume.update(input)
        return volume

    def _save_template(self, _: object, input: dict) -> dict:
        twins = [t for t in self.templates.values() if t["name"] == input["name"]]
        if any(twin["id"] != input.get("id") for twin in twins):
            raise ValueError("Template name must be unique.")
        saved = {**input, "id": input.get("id") or _id()}
        self.templates[saved["id"]] = saved
        return saved

    def _save_endpoint(self, _: object, input: dict) -> dict:
        if self.balance < 0:
            raise ValueError("You do not have enough balance.")
        if input["templateId"] not in self.templates:
            raise ValueError("Template not found.")
        saved = {**input, "id": input.get("id") or _id()}
        if input.get("id") and input["id"] not in self.endpoints:
            raise ValueError("Endpoint not found.")
        self.endpoints[saved["id"]] = saved
        releases = self.releases.setdefault(saved["id"], [])
        releases.insert(0, {"id": str(len(releases) + 1), "status": "COMPLETED"})
        return self._shown(saved)

    def _delete_endpoint(self, id: str) -> None:
        if self.endpoints[id].get("workersMax"):
            raise ValueError("Set the workers to 0 first.")
        del self.endpoints[id]

    # --- REST v2 ----------------------------------------------------------------------
    def rest(self, method: str, path: list[str], body: dict) -> tuple[int, object]:
        self.requests.append((f"{method} /v2/{'/'.join(path)}", body))
        kind, rest = path[0], path[1:]
        if kind == "catalog":
            return 200, {"gpus": [self._rest_gpu(*one) for one in GPUS]}
        if kind == "billing":
            return 200, {
                "records": [
                    {"serverlessId": id, "totalAmount": amount}
                    for id, amount in self.bills
                ]
            }
        if kind == "pods":
            return 200, {"pods": self.pods}
        if kind == "network-volumes":
            return self._rest_volumes(method, rest, body)
        return self._rest_serverless(method, rest, body)

    def _rest_gpu(self, id: str, title: str, memory: int, pool: str) -> dict:
        stock = (self.stock.get(pool) or "NONE").upper()
        gpu = {"id": id, "displayName": title, "memory": memory, "pool": pool}
        return {**gpu, "availability": stock}

    def _rest_volumes(self, method, rest, body):
        if method == "POST":
            named = {"name": body["name"], "size": body["size"]}
            made = self._create_volume(
                None, {**named, "dataCenterId": body["dataCenter"]}
            )
            return 201, {**named, "id": made["id"], "dataCenter": body["dataCenter"]}
        if method == "PATCH":
            volume = self._update_volume(None, {"id": rest[0], **body})
            return 200, {**volume, "dataCenter": volume["dataCenterId"]}
        if method == "DELETE":
            return (204, None) if self.volumes.pop(rest[0], None) else _lost()
        volumes = [
            {**one, "dataCenter": one["dataCenterId"]} for one in self.volumes.values()
        ]
        return 200, {"networkVolumes": volumes}

    def _rest_serverless(self, method, rest, body):
        known = {"name", "type", "image", "templateId", "gpu", "workers", "scaling"}
        known |= {"args", "disk", "env", "dataCenterIds", "networkVolumes", "timeout"}
        known |= {"flashboot", "ports", "registry", "cpu"}
        if set(body) - known:
            return _unknown(set(body) - known)
        if not rest:
            if method == "GET":
                endpoints = [self._as_rest(one) for one in self.endpoints.values()]
                return 200, {"endpoints": endpoints}
            return 201, self._as_rest(self._put({}, body))
        if rest[0] not in self.endpoints:
            return _lost()
        if rest[1:] == ["workers"]:
            return 200, {"workers": self.workers.get(rest[0], [])}
        if rest[1:] == ["releases"]:
            return 200, {"releases": self.releases.get(rest[0], [])}
        if method == "DELETE":
            gone = self.endpoints.pop(rest[0])
            self.templates.pop(gone["templateId"], None)  # the bound template goes too
            return 204, None
        return 200, self._as_rest(self._put(self.endpoints[rest[0]], body))

    def _put(self, old: dict, body: dict) -> dict:
        workers, scaling = body.get("workers", {}), body.get("scaling", {})
        template = body.get("templateId") or old.get("templateId")
        if template is None:
            made = _from_rest(body, f"{body['name']}-{_id()}")
            template = self._save_template(None, made)["id"]
        if "image" in body:  # the endpoint's own copy; here the template stands for it
            kept = self.templates[template]
            self.templates[template] = {**kept, **_from_rest(body, kept["name"])}
        fields = {
            "name": body["name"],
            "templateId": template,
            "gpuIds": ",".join(body["gpu"]["pools"]),
            "networkVolumeId": (body.get("networkVolumes") or [""])[0],
            "locations": ",".join(body.get("dataCenterIds", [])),
            "workersMin": workers["min"],
            "workersMax": workers["max"],
            "idleTimeout": workers.get("idleTimeout", 5),
            "scalerType": scaling["type"],
            "scalerValue": scaling.get("queueDelay") or scaling.get("requestCount"),
        }
        if old:
            fields["id"] = old["id"]
        return self._save_endpoint(None, fields)

    def _as_rest(self, one: dict) -> dict:
        template = self.templates.get(one["templateId"]) or {}
        scaling = {"type": one["scalerType"], "queueDelay": one["scalerValue"]}
        volume = one.get("networkVolumeId")
        return {
            "id": one["id"],
            "name": one["name"],
            "templateId": one["templateId"],
            "image": template.get("imageName"),
            "args": template.get("dockerArgs"),
            "disk": template.get("containerDiskInGb"),
            "env": {e["key"]: e["value"] for e in template.get("env") or []},
            "gpu": {"pools": one["gpuIds"].split(",")},
            "workers": {
                "min": one["workersMin"],
                "max": one["workersMax"],
                "idleTimeout": one["idleTimeout"],
            },
            "scaling": scaling,
            "dataCenterIds": [p for p in (one.get("locations") or "").split(",") if p],
            "networkVolumes": [volume] if volume else [],
        }

    # --- the job API ------------------------------------------------------------------
    def job_api(self, method: str, id: str, route: str) -> tuple[int, object]:
        self.requests.append((f"{method} /job/{id}/{route}", None))
        if id not in self.endpoints or id in self.dead:
            return 404, {"message": "Not Found"}
        if route == "health":
            health = self.health.get(id, {})
            jobs = {"completed": 0, "failed": 0, "inProgress": 0, "inQueue": 0}
            return 200, {
                "jobs": {**jobs, "retried": 0, **health.get("jobs", {})},
                "workers": {**NO_WORKERS, **health.get("workers", {})},
            }
        if route == "purge-queue":
            return 200, {"removed": 2, "status": "completed"}
        if route == "run":
            return 200, {"id": f"{uuid.uuid4()}-u1", "status": "IN_QUEUE"}
        return 200, {"id": route.rpartition("/")[2], "status": "IN_QUEUE"}


class _Door(BaseHTTPRequestHandler):
    account: FakeAccount

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        url = urlsplit(self.path)
        path = url.path.strip("/").split("/")
        if self.account.fault:
            self._send(*self.account.fault)
        elif self.headers.get("Authorization") != f"Bearer {KEY}":
            title = f"bad key {self.headers.get('Authorization')}"
            self._send(401, {"title": title, "errors": []})
        elif path == ["graphql"]:
            self._send(200, self.account.graphql(body))
        elif path[0] == "rest" and path[-1] == "logs":
            self._send_logs(path[-2], parse_qs(url.query))
        elif path[0] == "rest":
            self._send(*self.account.rest(method, path[1:], body))
        else:
            response = self.account.job_api(method, path[1], "/".join(path[2:]))
            self._send(*response)

    def _send(self, status: int, body: object) -> None:
        content = b"" if body is None else json.dumps(body, default=_plain).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_logs(self, worker: str, asked: dict) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for line in self.account.logs.get(worker, [])[-int(asked["tail"][0]) :]:
            event = json.dumps({"message": line})
            self.wfile.write(f"event: log\ndata: {event}\n\n".encode())


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def _from_rest(body: dict, name: str = "") -> dict:
    return {
        "name": name or body.get("name"),
        "imageName": body["image"],
        "dockerArgs": body["args"],
        "containerDiskInGb": body["disk"],
        "volumeInGb": 0,
        "env": [{"key": k, "value": v} for k, v in body["env"].items()],
    }


def _lost() -> tuple[int, object]:
    return 404, {"title": "Not Found", "status": 404, "detail": "not found"}


def _unknown(names: set) -> tuple[int, object]:
    detail = f"unknown field {', '.join(sorted(names))}"
    return 422, {"title": "Unprocessable", "status": 422, "detail": detail}


def _id() -> str:
    return uuid.uuid4().hex[:14]
