"""A real S3: what goes in parts, what was damaged or left, what refuses and what does not answer."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import boto3
import pytest

from gateway.snapshot.blobs import BlobDamaged, BlobMissing, BlobsAway, Place, snapshot_store
from gateway.snapshot.s3 import LARGE, S3Blobs
from tests.s3_server import BUCKET, KEY, SECRET, S3Server

# A process of its own, since its memory is measured.
MEASURING = """
import json, os, resource, sys, time
from pathlib import Path
from gateway.snapshot.blobs import open_blobs, snapshot_store

source, target, blobs = Path(sys.argv[2]), Path(sys.argv[3]), open_blobs(snapshot_store(sys.argv[1]))
blobs.check()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with source.open("rb") as file:
    blobs.put("large", file)
with target.open("w+b") as file:
    blobs.get("large", file)
print(json.dumps([before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.fixture
def place(s3: S3Server) -> Place:
    return snapshot_store(s3.url(token_hex(6)))


@pytest.fixture
def blobs(place: Place) -> Iterator[S3Blobs]:
    found = S3Blobs(place)
    yield found
    found.close()


@pytest.fixture
def client(s3: S3Server) -> Iterator[Any]:
    """For what the gateway does not do."""
    made = boto3.session.Session(KEY, SECRET, region_name="us-east-1").client("s3", endpoint_url=s3.endpoint)
    yield made
    made.close()


def test_what_is_damaged_in_the_storage_is_found(blobs: S3Blobs, place: Place, client: Any) -> None:
    for size in (10, LARGE + 1):
        data = os.urandom(size)
        blobs.put("a/x", io.BytesIO(data))
        about = client.head_object(Bucket=BUCKET, Key=f"{place.prefix}a/x")["Metadata"]
        other = bytes([data[0] ^ 1, *data[1:]])
        client.put_object(Bucket=BUCKET, Key=f"{place.prefix}a/x", Body=other, Metadata=about)
        with pytest.raises(BlobDamaged, match="damaged"):
            blobs.get("a/x", io.BytesIO())
    client.put_object(Bucket=BUCKET, Key=f"{place.prefix}a/x", Body=b"foreign")
    with pytest.raises(BlobDamaged, match="checksum"):
        blobs.get("a/x", io.BytesIO())


def test_parts_that_are_not_all_there_are_nothing(blobs: S3Blobs, place: Place, client: Any) -> None:
    class Broken(io.BytesIO):
        """A disk that fails when it is read for the second time, behind the first part."""

        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            if size is not None and size >= LARGE:
                self.reads += 1
                if self.reads > 1:
                    raise OSError(5, "broken")
            return super().read(size)

    with pytest.raises(OSError, match="broken"):
        blobs.put("a/x", Broken(bytes(LARGE + (1 << 20))))
    assert list(blobs.list("")) == []
    with pytest.raises(BlobMissing):
        blobs.get("a/x", io.BytesIO())
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET, Prefix=place.prefix)


def test_an_upload_of_a_killed_process_is_kept_for_a_day(blobs: S3Blobs, place: Place, client: Any) -> None:
    client.create_multipart_upload(Bucket=BUCKET, Key=f"{place.prefix}a/x")
    assert blobs.sweep() == 0
    assert list(blobs.list("")) == []
    assert len(client.list_multipart_uploads(Bucket=BUCKET, Prefix=place.prefix)["Uploads"]) == 1


@pytest.mark.parametrize("what", ["bucket", "credentials"])
def test_what_refuses_is_told_in_words(s3: S3Server, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "credentials":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    bucket = "no-such-bucket" if what == "bucket" else BUCKET
    blobs = S3Blobs(snapshot_store(f"s3://{bucket}?endpoint={s3.endpoint}"))
    for do in (lambda: list(blobs.list("")), lambda: blobs.get("x", io.BytesIO())):
        with pytest.raises(BlobsAway, match=r"was refused with (NoSuchBucket|SignatureDoesNotMatch)") as refused:
            do()
        assert "hush" not in str(refused.value)
    blobs.close()


def test_a_list_of_more_than_a_page(blobs: S3Blobs, place: Place, client: Any) -> None:
    for number in range(1001):
        client.put_object(Bucket=BUCKET, Key=f"{place.prefix}{number:04}", Body=b"")
    assert [blob.name for blob in blobs.list("")] == [f"{number:04}" for number in range(1001)]


class Faulty:
    """Something on a port that answers as it is told, and counts."""

    def __init__(self, answer: bytes | None) -> None:
        self.asked = 0
        self._answer = answer
        self._held: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            if self._answer is None:
                self._held.append(client)
                continue
            with client:
                client.recv(65536)
                client.sendall(self._answer)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(30)
        for client in self._held:
            client.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "ReadTimeoutError"),
        (b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "refused with 503"),
        (b"nonsense\r\n", "ConnectionClosedError|HTTPClientError|ProtocolError"),
    ],
    ids=["silent", "503", "no HTTP"],
)
def test_what_does_not_do_its_work_is_asked_again_and_then_given_up(
    s3: S3Server, answer: bytes | None, words: str
) -> None:
    faulty = Faulty(answer)
    place = snapshot_store(f"s3://bucket?endpoint={faulty.endpoint}")
    blobs = S3Blobs(place, connect=30, answer=0.3 if answer is None else 30, tries=2)
    try:
        began = time.monotonic()
        with pytest.raises(BlobsAway, match=words):
            list(blobs.list(""))
        assert faulty.asked >= 2
        assert time.monotonic() - began < 30
    finally:
        blobs.close()
        faulty.close()


def test_where_nobody_listens(s3: S3Server) -> None:
    with socket.socket() as taken:  # and nobody else begins to
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        gone = S3Blobs(snapshot_store(f"s3://bucket?endpoint={endpoint}"), connect=30, tries=1)
        with pytest.raises(BlobsAway, match="EndpointConnectionError"):
            gone.put("x", io.BytesIO(b"x"))
        gone.close()


def test_memory_does_not_grow_with_what_is_stored(s3: S3Server, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        for _ in range(80):
            file.write(os.urandom(1 << 20))
    told = subprocess.run(
        [sys.executable, "-c", MEASURING, s3.url(token_hex(6)), str(source), str(target)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        timeout=80,
    ).stdout
    before, after = json.loads(told)
    assert target.read_bytes() == source.read_bytes()
    assert after - before < 60 << 10, f"{before} to {after} KiB"
