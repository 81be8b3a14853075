"""A real S3 server: rclone's, from its wheel, without root and network."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
import httpx

from jobs.management.processes import end_with_parent
from tests.stack.stack import free_port, wait_until

KEY, SECRET = "test-access-key", "test-secret-key"
RCLONE = Path(sys.executable).parent / "rclone"


class S3Process:
    """The server; every folder of its root is a bucket."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="slipway-s3-")
        self.root = Path(self._folder.name)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [
                *(RCLONE, "serve", "s3", "--addr", f"127.0.0.1:{self.port}"),
                *("--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "writes"),
                *("--cache-dir", f"{self.root}.cache"),
                *(
                    "--allow-origin",
                    "*",
                    "--log-level",
                    "ERROR",
                    "--config",
                    "",
                    self.root,
                ),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(self.root.parent)},
            preexec_fn=end_with_parent,
        )
        wait_until(self._is_up, what="the S3 server answers")
        self._client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def _is_up(self) -> bool:
        try:
            return httpx.get(self.url, trust_env=False).status_code < 500
        except httpx.TransportError:
            return False

    def bucket(self, name: str) -> Path:
        """Make a bucket; return its folder."""
        self._client.create_bucket(Bucket=name)
        return self.root / name

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of an installation that keeps its files there."""
        self.bucket(name)
        return {
            "S3_BUCKET": name,
            "S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()
        shutil.rmtree(f"{self.root}.cache", ignore_errors=True)
