"""What a Cortex project imports: `cortex_internal.lib.log` and `cortex`; and its metrics.

Only what a handler uses is here. Deploying is not: that is what Slipway's panel does.
"""

import importlib.util
import json
import logging
import os
import socket
import sys
from types import ModuleType
from typing import Any

import httpx

RESERVED = {"asctime", "levelname", "message", "labels", "process"}
LINE_MAX_BYTES = 5_000_000


def install() -> None:
    """Make the modules importable; a real `cortex` package wins."""
    log = ModuleType("cortex_internal.lib.log")
    log.logger = _logger()  # type: ignore[attr-defined]
    for name in ("cortex_internal", "cortex_internal.lib"):
        sys.modules.setdefault(name, ModuleType(name))
    sys.modules["cortex_internal.lib.log"] = log
    if importlib.util.find_spec("cortex") is None:
        module = ModuleType("cortex")
        module.client = module.new_client = Client  # type: ignore[attr-defined]
        sys.modules["cortex"] = module


# --- logs -----------------------------------------------------------------------------
class CortexLogger(logging.Logger):
    """A logger whose `extra` may have any names; Python's own refuses some."""

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802 - logging's name
        """Keep `extra` apart from the record."""
        values = list(args)
        extra = kwargs.pop("extra", None)
        if len(values) > 8:  # name, level, fn, lno, msg, args, exc_info, func, extra
            extra, values[8] = values[8], None
        record = super().makeRecord(*values, **kwargs)
        record.extra = extra or {}
        return record


class JsonLines(logging.Formatter):
    """One JSON object a line, with `extra` beside the fields that Cortex has."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or nothing for one over 5 MB, as Cortex did."""
        extra: dict[str, Any] = getattr(record, "extra", {})
        line: dict[str, Any] = {
            "asctime": self.formatTime(record),
            "levelname": record.levelname,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        line |= {key: value for key, value in extra.items() if key not in RESERVED}
        text = json.dumps(line, default=str)
        return text if len(text) <= LINE_MAX_BYTES else ""


class _Lines(logging.StreamHandler[Any]):
    def emit(self, record: logging.LogRecord) -> None:
        """Write the line at once, to what stdout is now."""
        line = self.format(record)
        if line:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def _logger() -> logging.Logger:
    logger = CortexLogger("cortex")
    handler = _Lines()
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    level = os.environ.get("CORTEX_LOG_LEVEL", "info").upper()
    logger.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
    return logger


# --- metrics --------------------------------------------------------------------------
class Metrics:
    """Counts, gauges and histograms over statsd (STATSD_HOST), or nowhere. Never raises."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._tags = {"api_name": spec.get("api_name"), "job_id": spec.get("job_id")}
        host = os.environ.get("STATSD_HOST", "")
        port = os.environ.get("STATSD_PORT", "8125")
        self._address = (host, int(port)) if host and port.isdigit() else None

    def increment(self, metric: str, value: float = 1, tags: Any = None) -> None:
        """Count something."""
        self._send(metric, value, "c", tags)

    def gauge(self, metric: str, value: float, tags: Any = None) -> None:
        """Say how much there is of something."""
        self._send(metric, value, "g", tags)

    def histogram(self, metric: str, value: float, tags: Any = None) -> None:
        """Add one value to a distribution."""
        self._send(metric, value, "h", tags)

    def _send(self, metric: str, value: float, kind: str, tags: Any) -> None:
        if self._address is None:
            return
        all_tags = ",".join(
            f"{k}:{v}" for k, v in {**self._tags, **(tags or {})}.items()
        )
        line = f"cortex_{metric}:{value}|{kind}|#{all_tags}"
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.sendto(line.encode(), self._address)
        except OSError:
            pass


# --- client ---------------------------------------------------------------------------
class Client:
    """`cortex.client()`: batches of Slipway by the words of Cortex's client.

    Needs SLIPWAY_URL, which workers of ours have, and SLIPWAY_API_KEY.
    """

    def __init__(self, env: Any = None, **_: Any) -> None:
        self._url = os.environ.get("SLIPWAY_URL", "").rstrip("/")
        self._key = os.environ.get("SLIPWAY_API_KEY", "")
        if not (self._url and self._key):
            raise RuntimeError("cortex.client() needs SLIPWAY_URL and SLIPWAY_API_KEY.")

    def get_api(self, api_name: str) -> dict[str, Any]:
        """Return where to submit: `endpoint`, to be sent a POST with the key."""
        spec = self._call("GET", f"/api/v1/endpoints/{api_name}")
        return {"spec": spec, "endpoint": f"{self._url}/batch/{api_name}"}

    def list_apis(self) -> list[dict[str, Any]]:
        """Return what can be submitted to."""
        apis: list[dict[str, Any]] = self._call("GET", "/api/v1/endpoints")["data"]
        return apis

    def get_job(self, api_name: str, job_id: str) -> dict[str, Any]:
        """Return a batch as Cortex shows a job."""
        job: dict[str, Any] = self._call("GET", f"/batch/{api_name}?jobID={job_id}")
        return job

    def stop_job(self, api_name: str, job_id: str) -> dict[str, Any]:
        """Stop a batch."""
        answer: dict[str, Any] = self._call(
            "DELETE", f"/batch/{api_name}?jobID={job_id}"
        )
        return answer

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{name} is not possible here: Slipway deploys by its panel."
        )

    def _call(self, method: str, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self._key}"}
        answer = httpx.request(
            method, f"{self._url}{path}", headers=headers, timeout=30, trust_env=False
        )
        answer.raise_for_status()
        return answer.json()
