"""Blobs in a bucket of S3 or of what speaks its API. Blocking: use a thread, any number.

Each object carries the SHA-256 of its content as metadata (`sha256`), checked when it is read; on the way to the
storage `x-amz-checksum-sha256` is checked by that. Large ones go in parts (CreateMultipartUpload), and are there once
all of them are (CompleteMultipartUpload). What is listed must be what is there (as S3 does since 2020).
"""

import base64
import hashlib
import io
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from gateway.snapshot.blobs import LEFT, PART, Blob, BlobDamaged, BlobMissing, BlobsAway, Place

LARGE = 16 << 20  # bytes: larger ones go in parts of that
MOST_PARTS = 10_000  # of an upload, by the API
CONNECT = 3.0  # seconds
ANSWER = 15.0  # seconds without a byte
TRIES = 4  # of each request, with pauses that grow
READS = 3  # of an object that comes broken
DIGEST = "sha256"
MISSING = ("NoSuchKey", "404", "NoSuchUpload")
T = TypeVar("T")


class S3Blobs:
    """Those of one bucket below a prefix. Credentials: environment, files, role, as for all of AWS's tools."""

    def __init__(self, place: Place, *, connect: float = CONNECT, answer: float = ANSWER, tries: int = TRIES) -> None:
        self._bucket = place.bucket
        self._prefix = place.prefix
        self._words = str(place)
        config = Config(
            connect_timeout=connect,
            read_timeout=answer,
            retries={"mode": "standard", "total_max_attempts": tries},
            max_pool_connections=32,
            # Checksums in trailers are not understood everywhere; those that we send ourselves are.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Names of buckets need no DNS where somebody runs a storage of their own.
            s3={"addressing_style": "path" if place.endpoint else "auto"},
        )
        session = boto3.session.Session()
        region = place.region or session.region_name or "us-east-1"
        self._client: Any = session.client("s3", endpoint_url=place.endpoint, region_name=region, config=config)

    def check(self) -> None:
        name = ".check"
        self.put(name, io.BytesIO(b"check"))
        if not any(blob.name == name for blob in self.list(name)):
            raise BlobsAway(f"{self._words}: it does not list what was just written")
        self.get(name, io.BytesIO())
        self.delete([name])

    def list(self, prefix: str) -> Iterator[Blob]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        turn = iter(pages)
        while (page := self._ask(lambda: next(turn, None))) is not None:
            for entry in page.get("Contents", ()):
                name = entry["Key"].removeprefix(self._prefix)
                yield Blob(name, int(entry["Size"]), entry["LastModified"].timestamp())

    def get(self, name: str, into: IO[bytes]) -> None:
        for left in reversed(range(READS)):
            into.seek(0)
            into.truncate()
            try:
                self._ask(lambda: self._received(name, into))
                return
            except ClientError as error:
                raise BlobMissing(name) from error
            except (BlobDamaged, BlobsAway):
                if not left:
                    raise

    def _received(self, name: str, into: IO[bytes]) -> None:
        answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
        digest = hashlib.sha256()
        with answer["Body"] as body:
            while part := body.read(PART):
                digest.update(part)
                into.write(part)
        wanted = answer["Metadata"].get(DIGEST)
        if wanted is None:
            raise BlobDamaged("the shared storage has not kept its checksum")
        if digest.hexdigest() != wanted:
            raise BlobDamaged("it is damaged in the shared storage")

    def put(self, name: str, source: IO[bytes]) -> None:
        digest = hashlib.sha256()
        start = source.tell()
        while part := source.read(PART):
            digest.update(part)
        size = source.tell() - start
        source.seek(start)
        about = {"Bucket": self._bucket, "Key": self._prefix + name}
        metadata = {DIGEST: digest.hexdigest()}
        try:
            if size > LARGE:
                self._put_parts(about, metadata, source, size)
            else:
                body = source.read()
                checksum = base64.b64encode(digest.digest()).decode()
                self._ask(
                    lambda: self._client.put_object(**about, Body=body, ChecksumSHA256=checksum, Metadata=metadata)
                )
        except ClientError as error:  # of the bucket, or of the upload
            raise self._away(error) from error

    def _put_parts(self, about: dict[str, str], metadata: dict[str, str], source: IO[bytes], size: int) -> None:
        most = max(LARGE, -(-size // MOST_PARTS))
        upload = self._ask(
            lambda: self._client.create_multipart_upload(**about, Metadata=metadata, ChecksumAlgorithm="SHA256")
        )["UploadId"]
        parts: list[dict[str, Any]] = []
        done = False
        try:
            while body := source.read(most):
                checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
                part = {"PartNumber": len(parts) + 1, "ChecksumSHA256": checksum}
                answer = self._ask(lambda: self._client.upload_part(**about, **part, UploadId=upload, Body=body))  # noqa: B023
                parts.append({**part, "ETag": answer["ETag"]})
            self._ask(
                lambda: self._client.complete_multipart_upload(
                    **about, UploadId=upload, MultipartUpload={"Parts": parts}
                )
            )
            done = True
        finally:
            if not done:
                self._abort(about["Key"], upload)

    def _abort(self, key: str, upload: str) -> None:
        with suppress(ClientError, BotoCoreError):  # swept later, or by the bucket's own rule
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)

    def delete(self, names: Iterable[str]) -> None:
        # One by one: not everything that speaks S3 takes lists (DeleteObjects), or wants the same checksums for them.
        for name in names:
            try:
                self._ask(lambda: self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name))  # noqa: B023
            except ClientError as error:
                if _code(error) not in MISSING:
                    raise self._away(error) from error

    def sweep(self) -> int:
        done = 0
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._prefix)
        turn = iter(pages)
        while (page := self._ask(lambda: next(turn, None))) is not None:
            for upload in page.get("Uploads", ()):
                if upload["Initiated"].timestamp() < time.time() - LEFT:
                    self._abort(upload["Key"], upload["UploadId"])
                    done += 1
        return done

    def close(self) -> None:
        self._client.close()

    def _ask(self, do: Callable[[], T]) -> T:
        """Raises ClientError for what is not there, BlobsAway for all else."""
        try:
            return do()
        except ClientError as error:
            if _code(error) in MISSING:
                raise
            raise self._away(error) from error
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise BlobsAway(f"{self._words}: {type(error).__name__}") from error

    def _away(self, error: ClientError) -> BlobsAway:
        """S3's codes tell nothing that is secret; its messages may."""
        return BlobsAway(f"{self._words}: {error.operation_name} was refused with {_code(error)}")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "no code"))
