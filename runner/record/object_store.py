"""The sweep directory on an object store: S3, GCS or Azure through obstore. Implements `Store`.

`create` is a conditional put (`If-None-Match: *`), the only thing that the manifest's fence stands
on; `prove_conditional_puts` shows at the start of a session that the store honours it. A move is
a copy inside the store and then a delete: in between both names hold the same bytes, and only the
target is read. Credentials, endpoint and region come from the environment (`AWS_*`, `GOOGLE_*`,
`AZURE_*`) and are never written anywhere. Tested on S3; the others go through the same calls.

Failures: a request is tried again inside obstore for `RETRY_S`, then it is a StorageError, which
the engine answers as it does a full disk. An `AlreadyExists` may stand for an earlier try of the
same call; the manifest reads the entry back and compares. S3 may also answer a conditional put
that lost a race still under way with 409: then nobody's object may be there, and it is put again.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import re
import secrets
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore as Handle
from obstore.store import from_url

from runner.core.errors import ConfigError, StorageError, StoreAwayError
from runner.core.seams import KeyExistsError, KeyMissingError
from runner.record.layout import checked_key

T = TypeVar("T")
SCHEMES = ("s3", "gs", "az", "abfs", "abfss")
REQUEST_S = 30
"""One request, a part of 64 MB included."""
CONNECT_S = 5
RETRY_S = 10
"""How long obstore tries one call again: below the lease, so that a worker hears of trouble."""
PROBE = ".probe/"
_NO_BUCKET = "NoSuchBucket"
_STATUS = re.compile(r"status code: (\d{3})")
_REFUSED = frozenset({401, 403})
"""Answers to a listing that obstore does not call by their name."""
_AWAY = frozenset({408, 429, 500, 502, 503, 504})
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TRIES = 5
"""Of a conditional put that ended in a conflict without an object."""
_LET_GO_S = 0.1

# A thread of obstore hands its result to the event loop and needs the interpreter once more for it. Where
# that is being torn down by then, which a command that ends with such a call is quick enough for, it aborts
# the process: exit code 134 instead of 0. While the main thread sleeps here, such threads end.
atexit.register(time.sleep, _LET_GO_S)  # noqa: TID251  # no event loop is left by then


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it."""

    key: str
    size: int
    """Bytes."""
    changed_ms: int
    """When it was written, by the store's clock, since 1970."""


class ObjectStore:
    """Objects below a URL such as `s3://bucket/sweeps/x`.

    Every method raises StorageError where the store refuses, StoreAwayError where it cannot be
    reached, throttles or fails, and ValueError for a key that is no plain relative path.

    Raises:
        ConfigError: in the constructor, for a URL that no object store has.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        _check_endpoint(os.environ)
        try:
            self._handle: Handle = from_url(
                self._url,
                client_options={
                    "timeout": f"{REQUEST_S}s",
                    "connect_timeout": f"{CONNECT_S}s",
                    "allow_http": _plain_http(os.environ),
                },
                retry_config={"max_retries": 6, "retry_timeout": timedelta(seconds=RETRY_S)},
            )
        except (BaseError, ValueError) as error:
            msg = f"output {url}: no object store ({_first_line(error)}). Give s3://BUCKET/NAME."
            raise ConfigError(msg) from None

    async def create(self, key: str, data: bytes) -> None:
        """Write a new object; see `core.seams.Store.create`."""
        path = checked_key(key)
        for _ in range(_TRIES):
            try:
                await self._call(
                    obstore.put_async(self._handle, path, data, mode="create", use_multipart=False),
                    key,
                )
            except KeyExistsError:
                if await self._exists(key):
                    raise
            else:
                return
        msg = f"{self._url}/{key}: the store answers 'exists' and shows no object; try again"
        raise StorageError(msg)

    async def put(self, key: str, data: bytes) -> None:
        """Write or replace an object; see `core.seams.Store.put`."""
        await self._call(obstore.put_async(self._handle, checked_key(key), data), key)

    async def get(self, key: str) -> bytes:
        """Read an object; see `core.seams.Store.get`."""

        async def read() -> bytes:
            found = await obstore.get_async(self._handle, checked_key(key))
            return bytes(await found.bytes_async())

        return await self._call(read(), key)

    async def list(self, prefix: str) -> list[str]:
        """Return the keys below a folder; see `core.seams.Store.list`."""
        return sorted(found.key for found in await self.objects(prefix))

    async def objects(self, prefix: str) -> list[Listed]:
        """Return what lies below a folder."""
        if prefix and not prefix.endswith("/"):
            msg = f"a folder to list ends in '/', got {prefix!r}"
            raise ValueError(msg)

        async def collect() -> list[Listed]:
            stream = obstore.list(self._handle, prefix or None)
            found = await stream.collect_async()
            return [
                Listed(m["path"], m["size"], (m["last_modified"] - _EPOCH) // _MILLISECOND)
                for m in found
            ]

        return await self._call(collect(), prefix)

    async def names(self) -> list[str]:
        """Return the names directly below the URL, folders without their slash."""

        async def look() -> list[str]:
            found = await obstore.list_with_delimiter_async(self._handle)
            folders = [prefix.rstrip("/") for prefix in found["common_prefixes"]]
            return sorted([*folders, *(meta["path"] for meta in found["objects"])])

        return await self._call(look(), "")

    async def move(self, source: str, target: str) -> bool:
        """Consume the source; see `core.seams.Store.move`.

        Raises:
            StorageError: the target exists with other content; nothing was changed.
        """
        from_, to = checked_key(source), checked_key(target)
        try:
            there = await self._call(obstore.head_async(self._handle, to), target)
            if await self.get(source) != await self.get(target):
                msg = f"{self._url}/{target}: exists with other content ({there['size']} bytes)"
                raise StorageError(msg)
        except KeyMissingError:
            pass  # of either: the target is to be made, or the copy finds no source
        try:
            await self._call(obstore.copy_async(self._handle, from_, to), source)
        except KeyMissingError:
            return False
        await self.delete(source)
        return True

    async def delete(self, key: str) -> None:
        """Remove an object; see `core.seams.Store.delete`."""
        path = checked_key(key)
        try:
            await self._call(obstore.delete_async(self._handle, path), key)
        except KeyMissingError:
            return

    async def prove_conditional_puts(self) -> None:
        """Show that of two puts of one new key the second is refused.

        Raises:
            StorageError: it is not, or the store cannot be written to.
        """
        key = f"{PROBE}{secrets.token_hex(8)}"
        await self.create(key, b"first")
        try:
            await self.create(key, b"second")
        except KeyExistsError:
            await self.delete(key)
            return
        with contextlib.suppress(StorageError):
            await self.delete(key)
        msg = (
            f"{self._url}: the store ignores conditional puts (If-None-Match), so two "
            "coordinators could both win. Nothing was started. Use a store that honours them "
            "(AWS S3, GCS, Azure, MinIO, SeaweedFS), or a shared file system."
        )
        raise StorageError(msg)

    async def _exists(self, key: str) -> bool:
        try:
            await self._call(obstore.head_async(self._handle, key), key)
        except KeyMissingError:
            return False
        return True

    async def _call(self, work: Awaitable[T], key: str) -> T:
        at = f"{self._url}/{key}" if key else self._url
        try:
            async with asyncio.timeout(REQUEST_S + 2 * RETRY_S):
                return await work
        except AlreadyExistsError as error:
            raise KeyExistsError(key) from error
        except FileNotFoundError as error:
            if _NO_BUCKET in str(error):
                raise _told(error, at) from None
            raise KeyMissingError(key) from error
        except TimeoutError:
            msg = f"{at}: no answer from the store; nothing recorded is lost"
            raise StoreAwayError(msg) from None
        except (BaseError, OSError, ValueError) as error:
            raise _told(error, at) from None


def _told(error: Exception, at: str) -> StorageError:
    """Return what a failed call means: refused for good, or away for now."""
    text = str(error)
    found = _STATUS.search(text)
    status = int(found.group(1)) if found else None
    if isinstance(error, UnauthenticatedError | PermissionDeniedError) or status in _REFUSED:
        msg = (
            f"{at}: refused ({_first_line(error)}). Check the credentials in the environment "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, …) and the rights they give"
        )
        return StorageError(msg)
    if _NO_BUCKET in text:
        return StorageError(f"{at}: no such bucket; make it, or choose another `output`")
    away = status in _AWAY or "HTTP error" in text
    if not away:
        return StorageError(f"{at}: {_first_line(error)}; nothing recorded is lost")
    msg = f"{at}: the store is away ({_first_line(error)}); nothing recorded is lost"
    return StoreAwayError(msg)


def _plain_http(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names an endpoint without TLS: a server of one's own."""
    return any(environ.get(name, "").startswith("http://") for name in _ENDPOINTS)


def _check_endpoint(environ: Mapping[str, str]) -> None:
    """Refuse an endpoint that obstore would panic at, with the first call."""
    for name in _ENDPOINTS:
        endpoint = environ.get(name, "")
        if endpoint and not endpoint.startswith(("http://", "https://")):
            msg = f"{name}={endpoint}: no address of a store. Begin it with http:// or https://."
            raise ConfigError(msg)


def _first_line(error: Exception) -> str:
    """Return what happened, without the debug form of the chain of causes below it."""
    text = str(error).partition("\n")[0].partition(": <?xml")[0]
    return text if len(text) <= 300 else f"{text[:300]}…"
