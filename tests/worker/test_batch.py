"""Handler classes written for Cortex, run unchanged by our worker and the real SDK."""

import json
import os
import re

import pytest

from tests.stack.stack import ROOT
from tests.worker import forked

# The shapes of Cortex's own page (handler.md, v0.35).
HANDLER = """
import json
import os

from cortex_internal.lib.log import logger as cortex_logger


class Handler:
    def __init__(self, config, job_spec):
        with open("values.json", "r") as values_file:
            values = json.load(values_file)
        self.values, self.config, self.job_spec = values, config, job_spec
        cortex_logger.info("built", extra={"built": job_spec.get("job_id")})

    def handle_batch(self, payload, batch_id):
        cortex_logger.info(
            "completed processing batch",
            extra={"batch_id": batch_id, "confidence": 0.97, "message": "mine"},
        )
        return {
            "payload": payload,
            "values": self.values,
            "config": self.config,
            "greeting": os.environ["GREETING"],
        }

    def on_job_complete(self):
        cortex_logger.warning("all done", extra={"total": self.job_spec})
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "my-classifier"
    folder.mkdir()
    (folder / "handler.py").write_text(HANDLER)
    (folder / "values.json").write_text('{"threshold": 3}')
    (folder / ".env").write_text("# comment\nGREETING=hello there\n\nPATH=/nowhere\n")
    return folder


@pytest.fixture
def handle(project):
    """Run one job; return (exit code, output, what was logged as JSON, everything)."""

    def run(input, **environment):
        done = forked.run(
            *("--test_input", json.dumps({"input": input})),
            environment={
                "PATH": os.environ["PATH"],
                "HOME": str(project.parent),
                "SLIPWAY_BATCH": str(project),
                **environment,
            },
        )
        text = done.stdout
        lines = [json.loads(one) for one in re.findall(r"^\{.*\}$", text, re.MULTILINE)]
        match = re.search(r"run_job return: (.*)", text)
        return done.returncode, match and match[1], lines, text

    return run


def test_a_handler_gets_config_payload_id_and_its_own_files(handle):
    batch = {"id": "b1", "config": {"a": 1}, "job_spec": {"job_id": "j1"}}
    code, output, lines, text = handle({"payload": [1, {"x": 2}], "_batch": batch})
    assert code == 0, text
    assert "'payload': [1, {'x': 2}]" in output
    assert "'values': {'threshold': 3}" in output
    assert "'config': {'a': 1}" in output
    assert "'greeting': 'hello there'" in output
    assert lines[0]["built"] == "j1"


def test_the_example_of_the_contract_is_understood(handle):
    example = json.loads((ROOT / "docs/examples/batch.json").read_text())
    code, output, lines, text = handle(example)
    assert code == 0, text
    assert str(example["payload"]) in output
    assert str(example["_batch"]["config"]) in output
    assert lines[0]["built"] == example["_batch"]["job_spec"]["job_id"]


def test_logs_are_json_with_the_flattened_extra_and_reserved_names_stay(handle):
    _, _, lines, _ = handle({"payload": [1], "_batch": {"id": "b1"}})
    done = lines[-1]
    assert done["message"] == "completed processing batch"
    assert (done["levelname"], done["batch_id"], done["confidence"]) == (
        "INFO",
        "b1",
        0.97,
    )
    assert isinstance(done["process"], int)
    assert re.match(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}$", done["asctime"])


def test_the_level_of_the_logs_is_configured(handle):
    _, _, lines, _ = handle({"payload": [1]}, CORTEX_LOG_LEVEL="warning")
    assert lines == []


def test_on_job_complete_is_called_for_the_job_that_says_so(handle):
    batch = {"on_job_complete": True, "job_spec": {"total_batch_count": 7}}
    code, _, lines, text = handle({"payload": [], "_batch": batch})
    assert code == 0, text
    assert lines[-1]["message"] == "all done"
    assert lines[-1]["total"] == {"total_batch_count": 7}
    code, output, _, _ = handle({"payload": []})
    assert code == 1
    assert "The payload is empty" in output


def test_alone_it_takes_its_config_from_the_environment(handle):
    _, output, _, _ = handle({"payload": [1]}, SLIPWAY_CONFIG='{"a": {"b": 1}}')
    assert "'config': {'a': {'b': 1}}" in output


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1", "has no class called Handler"),
        ("class Handler:\n    pass", "has no method handle_batch"),
        ("import nothing_like_it", "cannot be imported: ModuleNotFoundError"),
        ("import sys\nsys.exit(3)", "cannot be imported: SystemExit"),
        (
            "class Handler:\n    def __init__(self, config): raise ValueError('no model')\n"
            "    def handle_batch(self, payload): pass",
            "ValueError: no model",
        ),
        (
            "class Handler:\n    def __init__(self, config): pass\n"
            "    def handle_batch(self, payload, request): pass",
            "handle_batch asks for request",
        ),
        (
            "class Handler:\n    def __init__(self, config): pass\n"
            "    def handle_batch(self, payload): raise KeyError('x')",
            "KeyError: 'x'",
        ),
        (
            "import sys\nclass Handler:\n    def __init__(self, config): pass\n"
            "    def handle_batch(self, payload): sys.exit(1)",
            "SystemExit: 1",
        ),
    ],
)
def test_what_is_wrong_with_a_project_is_the_answer_of_the_job(
    handle, project, source, words
):
    (project / "handler.py").write_text(source)
    code, output, _, text = handle({"payload": [1]})
    assert code == 1, text
    assert words in output


def test_arguments_that_a_handler_does_not_name_are_not_given(handle, project):
    (project / "handler.py").write_text(
        "class Handler:\n"
        "    def __init__(self, metrics_client, config):\n"
        "        metrics_client.increment('built', tags={'a': 1})\n"
        "    def handle_batch(self, headers, query_params, batch_id):\n"
        "        return [headers, query_params, batch_id]\n"
    )
    code, output, _, text = handle({"payload": [1], "_batch": {"id": "b"}})
    assert code == 0, text
    assert "[None, None, 'b']" in output


def test_a_projects_modules_may_have_the_names_of_ours(handle, project):
    (project / "errors.py").write_text("class Mine(Exception): pass")
    (project / "files.py").write_text("NAME = 'theirs'")
    (project / "handler.py").write_text(
        "import errors, files\n"
        "class Handler:\n"
        "    def __init__(self, config): pass\n"
        "    def handle_batch(self, payload):\n"
        "        import work\n"
        "        if payload[0] == 1: raise errors.Mine('oh')\n"
        "        return [files.NAME, work.NAME]\n"
    )
    (project / "work.py").write_text("NAME = 'also theirs'")
    assert "Mine: oh" in handle({"payload": [1]})[1]
    code, output, _, text = handle({"payload": [2]})
    assert code == 0, text
    assert "['theirs', 'also theirs']" in output


def test_a_bad_line_in_env_is_named(handle, project):
    (project / ".env").write_text("FINE=1\nnot a variable\n")
    assert ".env, line 2: write VARIABLE=value" in handle({"payload": [1]})[1]
