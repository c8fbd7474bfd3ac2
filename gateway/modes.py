"""The two ways to run: one process that is everything, or a supervisor with forked workers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvloop
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, RedisError, ResponseError

from gateway.accept.turns import Turns
from gateway.config.model import Config
from gateway.errors import Unavailable
from gateway.ops.admin import Admin, Collect
from gateway.ops.certificates import Certificates
from gateway.ops.health import Health
from gateway.ops.listening import close_all
from gateway.ops.process import open_descriptors
from gateway.ops.stopping import TO_STOP, Stop
from gateway.ops.supervisor import Supervisor
from gateway.store.connect import connect
from gateway.telemetry.metrics import Registry, Snapshot
from gateway.worker import Worker, work

if TYPE_CHECKING:
    from gateway.store.embedded import EmbeddedStore

_REACH = 1.5
"""Seconds within which an external store must answer at start."""
_WATCH = 0.5
"""Seconds between two looks whether the embedded store still runs; longer, up to `_MAX_PAUSE`, while it keeps ending."""
_MAX_PAUSE = 15.0

log = logging.getLogger("gateway.app")


@dataclass(frozen=True)
class Setting:
    """What is there when a mode begins: bound sockets and a running store."""

    config: Config
    public: list[socket.socket]
    admin: list[socket.socket]
    store: EmbeddedStore | None
    announce: Callable[[], None]
    """To be called once requests are answered."""

    @property
    def socket_path(self) -> Path | None:
        """Where the embedded store listens."""
        return None if self.store is None else self.store.socket_path


def certificates_of(config: Config) -> Certificates | None:
    """The certificates of the public listener; None where it speaks plain HTTP."""
    return Certificates(config.listen) if config.listen.tls else None


def alone(setting: Setting) -> int:
    """Run everything in this process.  Returns the exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_alone(setting))


async def _alone(setting: Setting) -> int:
    config, stop, registry = setting.config, Stop(), Registry()
    stop.listen(asyncio.get_running_loop(), *TO_STOP)
    certificates = certificates_of(config)
    worker = Worker(config, socket_path=setting.socket_path, registry=registry, certificates=certificates)
    health = Health(worker.store_answers)
    health.store_seen = await reach(config, worker.redis)

    async def collect() -> Snapshot:
        return registry.snapshot()

    await worker.start(setting.public)
    health.serving = True
    admin = _admin(config, health, collect)
    await admin.start(setting.admin)
    setting.announce()
    watch = asyncio.create_task(_keep_running(setting.store))
    await stop.asked.wait()
    health.draining = True
    log.info("gateway.draining", extra={"facts": {"connections": worker.connections}})

    async def drain() -> None:
        await asyncio.sleep(config.drain_delay.total_seconds())
        await worker.drain()

    drained = await stop.unless_forced(drain())
    watch.cancel()
    await worker.close()
    await admin.close()
    return 0 if drained else 1


def supervised(setting: Setting) -> int:
    """Fork the workers and look after them.  Returns the exit code."""
    config, registry = setting.config, Registry()
    certificates = certificates_of(config)
    seen = asyncio.run(_reach_once(setting))
    # What is open now is what workers inherit; the admin listener and everything later is the supervisor's own.
    keep = open_descriptors() - {sock.fileno() for sock in setting.admin}
    turns = Turns(config.workers)
    loop = asyncio.new_event_loop()  # not uvloop: this one is forked beside, and only serves the admin listener
    asyncio.set_event_loop(loop)
    redis = connect(config.store, socket_path=setting.socket_path)
    if certificates is not None:
        certificates.watch(loop, registry)
    health = Health(lambda: answers(redis))
    health.store_seen = seen
    announced = asyncio.Event()

    def on_change(serving: int) -> None:
        health.serving = serving > 0
        if serving == config.workers and not announced.is_set():
            announced.set()
            setting.announce()

    family = Supervisor(
        workers=config.workers,
        run=lambda number, channel: work(
            config, setting.public, setting.socket_path, certificates, channel, turns.of(number)
        ),
        keep=keep, registry=registry, on_change=on_change,
    )  # fmt: skip
    admin = _admin(config, health, family.collect)
    stop = Stop()
    stop.listen(loop, *TO_STOP)
    try:
        loop.run_until_complete(admin.start(setting.admin))
        tasks = [loop.create_task(_keep_running(setting.store)), loop.create_task(_stop_family(setting, health, stop, family))]
        code = family.run(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(admin.close())
        loop.run_until_complete(redis.aclose())
    finally:
        family.kill()
        loop.close()
    return 1 if stop.forced.is_set() else code


async def _stop_family(setting: Setting, health: Health, stop: Stop, family: Supervisor) -> None:
    config = setting.config
    await stop.asked.wait()
    health.draining = True
    log.info("gateway.draining")

    async def delay() -> None:
        await asyncio.sleep(config.drain_delay.total_seconds())

    if await stop.unless_forced(delay()):
        close_all(setting.public)  # or clients would queue at a listener that nobody accepts from
        family.stop(asyncio.get_running_loop(), config.drain_timeout.total_seconds())
        await stop.forced.wait()
    family.kill()


def _admin(config: Config, health: Health, collect: Collect) -> Admin:
    return Admin(health, collect, token_endpoint=f"{config.oauth.issuer}{config.oauth.prefix}/oauth/token")


async def _reach_once(setting: Setting) -> bool:
    redis = connect(setting.config.store, socket_path=setting.socket_path)
    try:
        return await reach(setting.config, redis)
    finally:
        await redis.aclose()


async def reach(config: Config, redis: Redis) -> bool:
    """
    Wait until the store answers; False when it is there but still loads its data.

    Raises:
        Unavailable: It does not answer in time, does not let us in, or evicts.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _REACH
    while True:
        try:
            async with asyncio.timeout(_REACH):
                await _check_eviction(config, redis)  # first: it answers while the server still loads
                await redis.ping()
            return True
        except BusyLoadingError:
            return False
        except (RedisError, OSError) as fault:
            final = isinstance(fault, (AuthenticationError, NoPermissionError)) or loop.time() > deadline
            if final:
                raise Unavailable(f"the store at {where(config)} can't be used ({_said(fault)}): {_REMEDY}") from None
        await asyncio.sleep(0.1)


async def _check_eviction(config: Config, redis: Redis) -> None:
    """
    A server that throws records away under memory pressure ends tokens and clients, though it never revives any.

    Raises:
        Unavailable: The server's policy is to evict, and nobody said that this is meant.
    """
    try:
        memory = await redis.info("memory")
    except ResponseError:
        return  # a server or proxy that does not tell
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return
    if not config.store.allow_eviction:
        raise Unavailable(
            f"the store at {where(config)} may evict tokens and clients (maxmemory-policy {policy}): "
            "set maxmemory-policy noeviction there, or store.allow_eviction: true"
        )
    log.warning("store.evicts", extra={"facts": {"policy": policy, "remedy": "set maxmemory-policy noeviction on the server"}})


_REMEDY = "set store.url or GATEWAY_STORE__URL (embedded:DIR needs no server)"


def where(config: Config) -> str:
    """The store's address without its credentials."""
    url = urlsplit(config.store.url)
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()


def _said(fault: Exception) -> str:
    return str(fault) or ("no answer in time" if isinstance(fault, TimeoutError) else type(fault).__name__)


async def answers(redis: Redis) -> bool:
    """Whether the store answers at present."""
    try:
        async with asyncio.timeout(1):
            return bool(await redis.ping())
    except (RedisError, OSError):
        return False


async def _keep_running(store: EmbeddedStore | None) -> None:
    """
    Start the embedded store again when it died; until it answers every look-up is 503, as with any store that is away.

    It is spawned in this, the main thread, since the kernel ties its life to the thread that spawned it.
    """
    pause = _WATCH
    while store is not None:
        await asyncio.sleep(pause)
        if store.running:
            pause = _WATCH
            continue
        pause = min(pause * 2, _MAX_PAUSE)
        try:
            store.start_begin()
        except (Unavailable, OSError) as fault:  # whatever it is, the next attempt may succeed
            log.error("store.not_restarted", extra={"facts": {"reason": str(fault)}})
        else:
            log.error("store.restarted", extra={"facts": {"pid": store.pid}})
