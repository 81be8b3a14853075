"""Ready-to-copy code that runs an endpoint: curl, command line, Python, JavaScript."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from jobs.models import Endpoint

FILE = "input.bin"
FILES = {"video": "clip.mp4", "image": "picture.png", "audio": "sound.wav"}


@dataclass(frozen=True)
class Example:
    """One way to call an endpoint."""

    title: str
    code: str


def examples(endpoint: Endpoint, base: str) -> list[Example]:
    """Return examples that run an endpoint of the server at `base`."""
    input = _input(endpoint)
    snippets = [
        Example("curl", _curl(endpoint, base, input)),
        Example("Command line", _command(endpoint, base, input)),
        Example("Python", _python(endpoint, base, input)),
        Example("JavaScript", _javascript(endpoint, base, input)),
    ]
    if endpoint.kind == Endpoint.Kind.LOCAL:
        snippets.append(Example("runpod", _runpod(endpoint, base, input)))
    return snippets


def _input(endpoint: Endpoint) -> dict[str, Any]:
    """Return an input that fits the schema: its example plus a value for each field."""
    properties = endpoint.input_schema.get("properties", {})
    required = endpoint.input_schema.get("required", [])
    example = dict(endpoint.example_input)
    for name in required:
        example.setdefault(name, _something(properties.get(name, {})))
    for name in endpoint.file_fields():
        if name in required or name in example:
            example[name] = f"https://example.com/{_file(properties[name])}"
    return example


def _something(schema: dict[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    kinds = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}
    return schema.get("default", kinds.get(str(schema.get("type")), "…"))


def _file(schema: dict[str, Any]) -> str:
    kinds = [str(kind).partition("/")[0] for kind in schema.get("x-accept", [])]
    return next((FILES[kind] for kind in kinds if kind in FILES), FILE)


def _split(
    endpoint: Endpoint, input: dict[str, Any]
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return (names of local files, everything else)."""
    fields = endpoint.file_fields()
    files = {name: _file(fields[name]) for name in input if name in fields}
    return files, {name: v for name, v in input.items() if name not in files}


def _curl(endpoint: Endpoint, base: str, input: dict[str, Any]) -> str:
    body = json.dumps({"endpoint": endpoint.slug, "input": input}, ensure_ascii=False)
    return (
        f"curl {base}/api/v1/jobs \\\n"
        '  -H "Authorization: Bearer $SLIPWAY_KEY" \\\n'
        "  -H 'Content-Type: application/json' -H 'Prefer: wait=60' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def _command(endpoint: Endpoint, base: str, input: dict[str, Any]) -> str:
    files, rest = _split(endpoint, input)
    words = ["slipway", "submit", *files.values(), "-e", endpoint.slug]
    for name, value in rest.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["-i", f"{name}={text}"]
    words += ["--wait", "--out", "result/"]
    return f"export SLIPWAY_URL={base} SLIPWAY_KEY=…\n{shlex.join(words)}"


def _python(endpoint: Endpoint, base: str, input: dict[str, Any]) -> str:
    files, rest = _split(endpoint, input)
    entries = [f'"{name}": Path({file!r})' for name, file in files.items()]
    entries += [f'"{name}": {value!r}' for name, value in rest.items()]
    return (
        "import os\n"
        "from pathlib import Path\n"
        "from slipway import Client\n\n"
        f'with Client("{base}", key=os.environ["SLIPWAY_KEY"]) as slipway:\n'
        f'    job = slipway.run("{endpoint.slug}", {{{", ".join(entries)}}})\n'
        '    print(job.output, slipway.download(job, "result/"))'
    )


def _javascript(endpoint: Endpoint, base: str, input: dict[str, Any]) -> str:
    body = json.dumps({"endpoint": endpoint.slug, "input": input}, ensure_ascii=False)
    return (
        f'const response = await fetch("{base}/api/v1/jobs", {{\n'
        '  method: "POST",\n'
        "  headers: {\n"
        "    Authorization: `Bearer ${process.env.SLIPWAY_KEY}`,\n"
        '    "Content-Type": "application/json",\n'
        '    Prefer: "wait=60",\n'
        "  },\n"
        f"  body: JSON.stringify({body}),\n"
        "});\n"
        "const job = await response.json();\n"
        "console.log(job.status, job.output, job.outputs);"
    )


def _runpod(endpoint: Endpoint, base: str, input: dict[str, Any]) -> str:
    return (
        "import os\n"
        f'os.environ["RUNPOD_ENDPOINT_BASE_URL"] = "{base}/v2"\n'
        "import runpod\n\n"
        'runpod.api_key = os.environ["SLIPWAY_KEY"]\n'
        f'endpoint = runpod.Endpoint("{endpoint.slug}")\n'
        f'print(endpoint.run_sync({{"input": {input!r}}}))'
    )
