"""Objects of S3: listed, read as streams that survive a broken connection, put with checksums."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError
from urllib3.exceptions import HTTPError

from replay import aws
from replay.artefact import sha256_of
from replay.errors import Unreadable, UsageError

_ATTEMPTS = 5
"""So often in a row a body may break without a byte in between."""
_WAIT_S = 0.5
_PART_BYTES = 16 << 20


def place_of(uri: str) -> tuple[str, str]:
    """Bucket and key or prefix of `s3://BUCKET/…`.

    Raises:
        UsageError: no bucket is named.
    """
    bucket, _, path = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise UsageError(f"`{uri}` names no bucket", hint="write s3://BUCKET/PREFIX")
    return bucket, path


def listed(s3: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:  # noqa: ANN401
    """What S3 says of every object whose key begins like this: `Key`, `Size`, `ETag`, …"""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry for page in pages for entry in page.get("Contents", ())]


def put(s3: Any, path: Path, bucket: str, key: str) -> None:  # noqa: ANN401
    """Store a file, whole or not at all, in parts of bounded size.

    S3 computes the SHA-256 of each part again and refuses one that is not what we sent. That of
    the whole goes along as metadata, because S3 has none for an object that came in parts.

    Raises:
        FourstepError: AWS did not take it.
    """
    place = {"Bucket": bucket, "Key": key}
    told = {"Metadata": {"sha256": sha256_of(path)}}
    try:
        with path.open("rb") as file:
            if path.stat().st_size <= _PART_BYTES:
                body = file.read()
                s3.put_object(**place, **told, Body=body, ChecksumSHA256=_checksum(body))
                return
            place["UploadId"] = s3.create_multipart_upload(
                **place, **told, ChecksumAlgorithm="SHA256"
            )["UploadId"]
            try:
                parts: list[dict[str, Any]] = []
                while body := file.read(_PART_BYTES):
                    part = {"PartNumber": len(parts) + 1, "ChecksumSHA256": _checksum(body)}
                    answer = s3.upload_part(**place, **part, Body=body)
                    parts.append(part | {"ETag": answer["ETag"]})
                s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
            except BaseException:
                # Parts without an end are paid for and not seen.
                s3.abort_multipart_upload(**place)
                raise
    except aws.ERRORS as error:
        raise aws.failure(f"s3://{bucket}/{key}", error, opens=True, doing="written") from error


def _checksum(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


class Object:
    """One object from its beginning on. The connection is closed where reading stops.

    A body that breaks is asked for again from where it broke, if the object is still the same.
    """

    def __init__(self, s3: Any, bucket: str, key: str) -> None:  # noqa: ANN401
        self._s3 = s3
        self._object = {"Bucket": bucket, "Key": key}
        self._uri = f"s3://{bucket}/{key}"
        self._offset = 0
        self._failures = 0
        try:
            answer = s3.get_object(**self._object)
        except aws.ERRORS as error:
            raise aws.failure(self._uri, error, opens=True) from error
        self._etag: str = answer["ETag"]
        self._size: int = answer["ContentLength"]
        self._body: Any = answer["Body"]
        self.sha256: str | None = answer.get("Metadata", {}).get("sha256")
        """Of the whole object, where `put` stored it."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            Unreadable: the rest of the object cannot be had.
        """
        while True:
            try:
                data = self._read(size)
            except FlexibleChecksumError as error:
                raise Unreadable(f"`{self._uri}` does not match its checksum") from error
            except (BotoCoreError, HTTPError, OSError) as error:
                self._broke(error)
                continue
            self._offset += len(data)
            self._failures = 0
            return data

    def close(self) -> None:
        """Let go of the connection; what was not read is never sent."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _read(self, size: int) -> bytes:
        if self._body is None:
            if self._offset >= self._size:
                return b""
            self._body = self._rest()
        # botocore counts the bytes and raises if the body ends too early.
        data: bytes = self._body.read(size)
        return data

    def _rest(self) -> Any:  # noqa: ANN401  botocore's body
        wanted = {"Range": f"bytes={self._offset}-", "IfMatch": self._etag}
        try:
            return self._s3.get_object(**self._object, **wanted)["Body"]
        except ClientError as error:
            raise aws.failure(self._uri, error) from error

    def _broke(self, error: Exception) -> None:
        self.close()
        self._failures += 1
        if self._failures >= _ATTEMPTS:
            raise Unreadable(f"`{self._uri}` breaks off at byte {self._offset:,}") from error
        time.sleep(_WAIT_S * 2 ** (self._failures - 1))
