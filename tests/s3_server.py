"""A real S3 for a test, from a package: SeaweedFS, in one process on loopback ports; stopped for a while, killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_ports

PROGRAM = Path(sys.executable).parent / "weed"
BUCKET = "snapshots"
KEY, SECRET = "tester", "only-for-tests"
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
USER = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}


# Of whoever uses it.
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}


class S3Server:
    """One server; clients need ENVIRONMENT."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ports = free_ports(2 * len(PORTS))
        self._grpc = ports[len(PORTS) :]
        self._flags = [f"-{name}={port}" for name, port in zip(PORTS, ports, strict=False)]
        self._flags += [f"-{name}.grpc={port}" for name, port in zip(PORTS, self._grpc, strict=True)]
        self.endpoint = f"http://127.0.0.1:{ports[PORTS.index('s3.port')]}"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, prefix: str = "") -> str:
        """As the setting takes it."""
        return f"s3://{BUCKET}/{prefix}?endpoint={self.endpoint}"

    def start(self) -> None:
        """Return once the bucket can be written."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "s3.json"
        config.write_text(json.dumps({"identities": [USER]}))
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(str(PROGRAM), "server", f"-dir={self.directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                    *("-s3", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-filer"),
                    *("-volume.max=8", "-master.volumeSizeLimitMB=1024", "-volume.preStopSeconds=0"),
                    *("-master.electionTimeout=200ms", "-master.heartbeatInterval=50ms"),
                    *("-master.telemetry=false", f"-filer.localSocket={self.directory}/filer.sock"),
                    *(f"-s3.localSocket={self.directory}/s3.sock", *self._flags),
                ],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**os.environ, "TMPDIR": str(self.directory)},
            )
        self._wait()

    def _wait(self) -> None:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        until = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(self.endpoint, timeout=5):
                    pass
            except urllib.error.HTTPError:
                break  # it answers: nobody without credentials may list
            except OSError:
                self._alive(until)
        credentials = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        client = boto3.session.Session().client("s3", endpoint_url=self.endpoint, **credentials)
        while True:
            try:
                client.create_bucket(Bucket=BUCKET)
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                    self._alive(until)
                    continue
            except BotoCoreError:
                self._alive(until)
                continue
            try:  # its volumes come later than itself
                client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
                client.delete_object(Bucket=BUCKET, Key="ready")
                client.close()
                return
            except (ClientError, BotoCoreError):
                self._alive(until)

    def _alive(self, until: float) -> None:
        assert self._process is not None
        log = self.directory / "log"
        assert self._process.poll() is None, f"the S3 server has ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < until, f"the S3 server does not answer: {log.read_text()[-2000:]}"
        time.sleep(0.05)

    def freeze(self) -> None:
        """It takes connections, or rather its machine does, and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill it. What it has is on the disk, for `start`."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for name, port in zip(PORTS, self._grpc, strict=True):  # it makes them there, whatever it is told
                Path(f"/tmp/seaweedfs-{name.partition('.')[0]}-grpc-{port}.sock").unlink(missing_ok=True)


@contextmanager
def s3_server(directory: Path) -> Iterator[S3Server]:
    """A server for this block; what it has kept is gone at its end."""
    server = S3Server(directory)
    try:
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(directory, ignore_errors=True)
