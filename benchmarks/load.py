"""The load generator: one user of the compute API, with as many clients at a time as asked."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from benchmarks.figures import Latencies, Work

MICROVERSION = "2.79"
STATE_POLL = 0.1  # seconds between two looks whether all are done
ONE_POLL = 0.01  # the same for a single boot, whose latency is the figure
LONGEST_WAIT = 120.0
LIST_LIMIT = 1000

Item = TypeVar("Item")


class CallFailed(Exception):
    """A call was answered with what it should not be, or took too long."""


@dataclass
class Client:
    """A user with a token. Every call that fails is in `failures`, with the cloud's own words."""

    session: aiohttp.ClientSession
    compute: str
    headers: dict[str, str]
    failures: list[str] = field(default_factory=list)

    async def call(self, method: str, path: str, body: Any = None) -> bytes:
        """The reply's bytes. Raises CallFailed for a status from 400 up."""
        try:
            async with self.session.request(method, self.compute + path, json=body, headers=self.headers) as reply:
                data = await reply.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self.failed(f"{method} {path}: {type(error).__name__} {error}") from error
        if reply.status >= 400:
            raise self.failed(f"{method} {path} answered {reply.status}: {data[:300].decode(errors='replace')}")
        return data

    async def get(self, path: str) -> Any:
        """The reply's JSON."""
        return json.loads(await self.call("GET", path))

    def failed(self, message: str) -> CallFailed:
        """Notes a failure; the exception is the caller's to raise."""
        self.failures.append(message)
        return CallFailed(message)


@asynccontextmanager
async def logged_in(url: str, password: str) -> AsyncIterator[Client]:
    """The user admin of the cloud at `url`, with as many connections as there are clients."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:
        user = {"name": "admin", "domain": {"id": "default"}, "password": password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": scope}}
        async with session.post(url + "/identity/v3/auth/tokens", json=body) as reply:
            if reply.status != 201:
                raise CallFailed(f"the cloud does not let admin in: {reply.status} {await reply.text()}")
            token = reply.headers["X-Subject-Token"]
        headers = {"X-Auth-Token": token, "OpenStack-API-Version": f"compute {MICROVERSION}"}
        yield Client(session=session, compute=url + "/compute/v2.1", headers=headers)


async def in_parallel(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], clients: int) -> None:
    """Does the work for each item, `clients` of them at a time; a failed call does not stop the others."""
    left = iter(items)

    async def one_client() -> None:
        for item in left:
            try:
                await work(item)
            except CallFailed:
                continue  # it is in the client's failures

    await asyncio.gather(*(one_client() for _ in range(clients)))


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of the cloud: servers of one flavor from one image, on no network."""

    client: Client
    image: str
    flavor: str

    async def boot(self, count: int, clients: int, prefix: str) -> Work:
        """Boots `count` servers, `clients` at a time, and waits until none is in BUILD. Latencies are of the POST."""
        posts: list[float] = []

        async def post(number: int) -> None:
            begun = time.perf_counter()
            await self._post(f"{prefix}-{number:05}")
            posts.append(time.perf_counter() - begun)

        begun = time.perf_counter()
        await in_parallel(range(count), post, clients)
        accepted = time.perf_counter() - begun
        await self._until_none("/servers?status=BUILD&limit=1", f"{prefix}: servers are still in BUILD")
        seconds = time.perf_counter() - begun
        statuses = Counter([s["status"] for s in await self.servers(detail=True) if s["name"].startswith(prefix)])
        if statuses["ACTIVE"] != count:
            self.client.failed(f"of {count} boots {statuses['ACTIVE']} became ACTIVE: {dict(statuses)}")
        return Work(
            operations=count,
            seconds=seconds,
            latencies=Latencies.of(posts),
            latency_of="POST alone",
            details={"clients": clients, "accepted_seconds": round(accepted, 3), "statuses": dict(statuses)},
        )

    async def boot_one_by_one(self, count: int, prefix: str) -> Work:
        """Boots `count` servers, each after the one before is ACTIVE. Latencies are from POST to ACTIVE."""
        taken: list[float] = []
        begun = time.perf_counter()
        for number in range(count):
            started = time.perf_counter()
            server = await self._post(f"{prefix}-{number:05}")
            await self._until_active(server)
            taken.append(time.perf_counter() - started)
        return Work(
            operations=count,
            seconds=time.perf_counter() - begun,
            latencies=Latencies.of(taken),
            latency_of="POST to ACTIVE",
            details={"poll_seconds": ONE_POLL},
        )

    async def list_in_detail(self, repetitions: int) -> Work:
        """Lists up to 1,000 servers in detail, `repetitions` times, after one that does not count."""
        path = f"/servers/detail?limit={LIST_LIMIT}"
        data = await self.client.call("GET", path)
        taken: list[float] = []
        for _ in range(repetitions):
            begun = time.perf_counter()
            data = await self.client.call("GET", path)
            taken.append(time.perf_counter() - begun)
        return Work(
            operations=repetitions,
            seconds=sum(taken),
            latencies=Latencies.of(taken),
            latency_of="one list",
            details={"servers": len(json.loads(data)["servers"]), "bytes": len(data)},
        )

    async def get_one(self, count: int, clients: int) -> Work:
        """GETs single servers, `count` times in all, `clients` at a time."""
        ids = [server["id"] for server in await self.servers(limit=50)]
        taken: list[float] = []

        async def get(number: int) -> None:
            begun = time.perf_counter()
            await self.client.call("GET", f"/servers/{ids[number % len(ids)]}")
            taken.append(time.perf_counter() - begun)

        begun = time.perf_counter()
        await in_parallel(range(count), get, clients)
        return Work(
            operations=count,
            seconds=time.perf_counter() - begun,
            latencies=Latencies.of(taken),
            latency_of="one GET",
            details={"clients": clients},
        )

    async def delete_all(self, clients: int) -> Work:
        """Deletes every server, `clients` at a time, and waits until none is listed. Latencies are of the DELETE."""
        ids = [server["id"] for server in await self.servers()]
        taken: list[float] = []

        async def delete(server: str) -> None:
            begun = time.perf_counter()
            await self.client.call("DELETE", f"/servers/{server}")
            taken.append(time.perf_counter() - begun)

        begun = time.perf_counter()
        await in_parallel(ids, delete, clients)
        accepted = time.perf_counter() - begun
        await self._until_none("/servers?limit=1", "deleted servers are still listed")
        return Work(
            operations=len(ids),
            seconds=time.perf_counter() - begun,
            latencies=Latencies.of(taken),
            latency_of="DELETE alone",
            details={"clients": clients, "accepted_seconds": round(accepted, 3)},
        )

    async def servers(self, *, detail: bool = False, limit: int | None = None) -> list[dict[str, Any]]:
        """Every server, page by page, or the first `limit`."""
        path = "/servers/detail" if detail else "/servers"
        found: list[dict[str, Any]] = []
        marker = ""
        while True:
            page = (await self.client.get(f"{path}?limit={limit or LIST_LIMIT}{marker}"))["servers"]
            found += page
            if limit is not None or len(page) < LIST_LIMIT:
                return found
            marker = f"&marker={page[-1]['id']}"

    async def _post(self, name: str) -> str:
        wanted = {"name": name, "imageRef": self.image, "flavorRef": self.flavor, "networks": "none"}
        answer = json.loads(await self.client.call("POST", "/servers", {"server": wanted}))
        return str(answer["server"]["id"])

    async def _until_active(self, server: str) -> None:
        deadline = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < deadline:
            found = (await self.client.get(f"/servers/{server}"))["server"]
            if found["status"] == "ACTIVE":
                return
            if found["status"] == "ERROR":
                raise self.client.failed(f"server {server} went to ERROR: {found.get('fault')}")
            await asyncio.sleep(ONE_POLL)
        raise self.client.failed(f"server {server} is not ACTIVE after {LONGEST_WAIT:.0f} s")

    async def _until_none(self, path: str, complaint: str) -> None:
        deadline = time.monotonic() + LONGEST_WAIT
        while (await self.client.get(path))["servers"]:
            if time.monotonic() > deadline:
                raise self.client.failed(f"{complaint} after {LONGEST_WAIT:.0f} s")
            await asyncio.sleep(STATE_POLL)
