"""A worker by itself: how it begins, what it answers, when it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest

from tests.stack.stack import ROOT, free_port, wait_until

HANDLER = ROOT / "worker_handler" / "handler.py"


@pytest.fixture
def start(tmp_path):
    """Start the handler with a runner of tests/worker/kinds.py, in a folder of its own."""
    running = []

    def run(*arguments, runner="kinds:Plain", **environment):
        process = subprocess.Popen(
            [sys.executable, "-u", str(HANDLER), *map(str, arguments)],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(ROOT / "tests" / "worker"),
                "SLIPWAY_RUNNER": runner,
                "SLIPWAY_OUTPUT_DIR": str(tmp_path),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def ended(process):
    text, _ = process.communicate(timeout=60)
    return process.returncode, text


@pytest.mark.parametrize(
    ("do", "code", "words"),
    [
        ("succeed", 0, "'said': 'plain'"),
        ("user_error", 1, "The lens is dirty."),
        ("bug", 1, "RuntimeError: lost at"),
        ("exit", 1, "SystemExit: 4"),
        ("nan", 0, "{'value': None, 'bytes': '<3 bytes>'}"),
    ],
)
def test_the_exit_code_and_the_answer_of_a_test_input(start, do, code, words):
    exit_code, text = ended(start("--test_input", json.dumps({"input": {"do": do}})))
    assert exit_code == code, text
    assert words in text


def test_a_mistake_in_the_input_is_named_by_its_field(start):
    test_input = json.dumps({"input": {"seconds": "long", "x": 1}})
    code, text = ended(start("--test_input", test_input))
    assert code == 1
    assert "seconds: Input should be a valid number" in text
    assert "x: Extra inputs are not permitted" in text


def test_an_answer_that_is_not_as_promised_is_a_bug_and_not_the_users(start):
    test_input = {"input": {"do": "7"}}
    code, text = ended(
        start("--test_input", json.dumps(test_input), runner="kinds:Typed")
    )
    assert code == 0, text
    assert "{'number': 7}" in text
    code, text = ended(
        start("--test_input", json.dumps({"input": {}}), runner="kinds:Typed")
    )
    assert code == 1
    assert "ValidationError" in text


def test_a_file_called_test_input_is_run_where_nothing_else_is_said(start, tmp_path):
    test_input = {"id": "LOCAL-TEST", "input": {}}
    (tmp_path / "test_input.json").write_text(json.dumps(test_input))
    code, text = ended(start())
    assert code == 0, text
    assert "'said': 'plain'" in text


@pytest.mark.parametrize(
    ("runner", "words"),
    [
        ("AsyncGenerator", "'output': [{'n': 1}, {'n': 2}]"),
        ("Generator", "'said': 'generator'"),  # it returns a result of its own
    ],
)
def test_a_generator_by_itself_answers_with_its_result_or_its_chunks(
    start, runner, words
):
    test_input = json.dumps({"input": {}})
    code, text = ended(start("--test_input", test_input, runner=f"kinds:{runner}"))
    assert code == 0, text
    assert words in text


def test_the_schema_is_printed_without_loading_a_model(start):
    code, text = ended(start("--schema", "kinds:Broken", runner="kinds:Broken"))
    assert code == 0, text
    (printed,) = json.loads(text)
    assert printed["id"] == "kinds:Broken"
    assert set(printed["input_schema"]["properties"]) == {"do", "seconds", "mark"}


def test_a_model_is_prepared_ahead_or_fails_there(start):
    assert ended(start("--prepare"))[0] == 0
    code, text = ended(start("--prepare", runner="kinds:Broken"))
    assert (code, "no weights here" in text) == (1, True)


def test_it_serves_runpods_api_at_ones_desk(start):
    port = free_port()
    start("--rp_serve_api", "--rp_api_port", port, "--rp_api_host", "127.0.0.1")

    def ask():
        try:
            return httpx.post(
                f"http://127.0.0.1:{port}/runsync",
                json={"input": {}},
                trust_env=False,
                timeout=30,
            )
        except httpx.TransportError:
            return None

    answer = wait_until(ask, 60, "the API answers").json()
    assert answer["status"] == "COMPLETED"
    assert answer["output"]["said"] == "plain"


# --- against a server that has one job, or none ---------------------------------------
class Server:
    """Gives out one job, then none; keeps what is posted."""

    def __init__(self, job=None):
        import http.server  # noqa: PLC0415
        import threading  # noqa: PLC0415

        self.posted, self.taken = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if "/job-take/" in self.path and job and not outer.taken:
                    outer.taken.append(self.path)
                    body = json.dumps(job).encode()
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                else:
                    time.sleep(0.2)
                    self.send_response(204)
                    self.end_headers()

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                outer.posted.append(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.http.server_port}/v2/x"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def environment(self):
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{self.base}/job-take/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{self.base}/job-done/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_PING": f"{self.base}/ping/$RUNPOD_POD_ID?gpu=x",
            "RUNPOD_AI_API_KEY": "a key of the worker",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }


@pytest.fixture
def serve():
    made = []

    def run(**input):
        job = {"id": "job-1", "input": {"do": "succeed", **input}} if input else None
        made.append(Server(job))
        return made[-1]

    yield run
    for server in made:
        server.http.shutdown()
        server.http.server_close()


def test_a_worker_that_is_idle_for_long_ends(start, serve):
    server = serve()
    code, text = ended(start(TERMINATE_IDLE_TIME="1", **server.environment))
    assert code == 0, text
    assert re.search(r"idle for \d s: the worker ends", text)


def test_a_busy_worker_is_not_idle(start, serve):
    server = serve(seconds=3)
    code, text = ended(start(TERMINATE_IDLE_TIME="1", **server.environment))
    assert code == 0, text
    assert server.posted[-1]["output"]["said"] == "plain"


def test_a_job_over_the_work_timeout_is_stopped(start, serve):
    server = serve(seconds=60)
    process = start(WORK_TIMEOUT="1", **server.environment)
    posted = wait_until(lambda: server.posted, 30, "the job ended")
    assert posted[-1]["error"] == "The job took longer than this worker allows (1 s)."
    assert process.poll() is None  # and takes the next one


def test_a_worker_whose_job_will_not_stop_ends(start, serve):
    server = serve(seconds=60)
    options = {"WORK_TIMEOUT": "1", "runner": "kinds:Unwilling"}
    code, text = ended(start(**options, **server.environment))
    assert code == 3, text
    assert "the job does not stop" in text


@pytest.mark.parametrize("asked_by", ["config", "result"])
def test_a_worker_refreshes_only_when_it_is_asked(start, serve, asked_by):
    server = serve(seconds=0.1)
    runner = "kinds:Refreshes" if asked_by == "result" else "kinds:Plain"
    config = {"REFRESH_WORKER": "1"} if asked_by == "config" else {}
    code, text = ended(start(runner=runner, **config, **server.environment))
    assert code == 0, text
    assert server.posted[-1]["stopPod"] is True


def test_a_worker_that_is_not_asked_stays(start, serve):
    server = serve(seconds=0.1)
    process = start(**server.environment)
    wait_until(lambda: server.posted, 30)
    assert "stopPod" not in server.posted[-1]
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0


def test_a_worker_that_cannot_work_says_so_before_it_takes_a_job(start, serve):
    server = serve(seconds=0.1)
    code, text = ended(start(runner="kinds:Broken", **server.environment))
    assert code == 1
    assert "no weights here" in text
    assert not server.taken


def test_a_time_out_that_is_no_number_is_refused(start):
    code, text = ended(start(TERMINATE_IDLE_TIME="soon"))
    assert code == 1
    assert "TERMINATE_IDLE_TIME is 'soon'; write seconds." in text


def test_a_start_does_not_wait_for_the_name_of_the_processor(start, tmp_path):
    # It stands in for py-cpuinfo, which the SDK asks while it is imported.
    (tmp_path / "cpuinfo.py").write_text("def get_cpu_info(): raise SystemExit(9)")
    path = f"{tmp_path}:{ROOT / 'tests' / 'worker'}"
    test_input = json.dumps({"input": {"do": "succeed"}})
    code, text = ended(start("--test_input", test_input, PYTHONPATH=path))
    assert code == 0, text
