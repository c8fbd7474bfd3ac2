"""A master, its replica and three sentinels: real servers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import redis

from tests.servers import VALKEY, ValkeyServer, free_port, wait_for

NAME = "mymaster"
DOWN_AFTER = 500
"""Milliseconds after which a master counts as gone."""


class Watched:
    """
    The servers.

    Attributes:
        master, replica: As they were at first.
        ports: Of the sentinels.
    """

    def __init__(self, *, sentinels: int = 3) -> None:
        quick = ("--repl-diskless-sync-delay", "0")
        self.master, self.replica = ValkeyServer(*quick).start(), ValkeyServer(*quick).start()
        self.replica.call("REPLICAOF", "127.0.0.1", self.master.port)
        wait_for(lambda: self.replica.call("INFO", "replication")["master_link_status"] == "up")
        self._folder = Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
        self.ports = [free_port() for _ in range(sentinels)]
        self.processes: list[subprocess.Popen[bytes]] = []
        for port in self.ports:
            (self._folder / str(port)).mkdir()
            config = self._folder / f"{port}.conf"
            config.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {self._folder / str(port)}\n"
                f"sentinel monitor {NAME} 127.0.0.1 {self.master.port} {sentinels // 2 + 1}\n"
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER}\nsentinel failover-timeout {NAME} 3000\n"
            )
            with (self._folder / f"{port}.log").open("ab") as log:
                command = [VALKEY, str(config), "--sentinel"]
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
        for port in self.ports:
            wait_for(lambda port=port: self._quick(port))  # type: ignore[misc]
        wait_for(lambda: all(self._knows(port) for port in self.ports), 30)

    @property
    def url(self) -> str:
        """For the store's section."""
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + f"/{NAME}/0"

    def ask(self, port: int, *words: str) -> object:
        """A question to one sentinel."""
        with redis.Redis(port=port, protocol=2) as client:
            return client.execute_command(*words)

    def place(self, port: int) -> int:
        """The port of the master that one sentinel names."""
        with redis.Redis(port=port, protocol=2) as client:
            found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return int(found[1])

    def remove(self) -> None:
        """End all."""
        for process in self.processes:
            process.kill()
            process.wait(10)
        self.master.remove()
        self.replica.remove()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _quick(self, port: int) -> bool:
        """Sentinels look for replicas and each other every ten seconds, unless told otherwise."""
        try:
            self.ask(port, "SENTINEL", "DEBUG", "INFO-PERIOD", "200", "PUBLISH-PERIOD", "200")
        except redis.ConnectionError:
            return False
        return True

    def _knows(self, port: int) -> bool:
        with redis.Redis(port=port, protocol=2) as client:
            flat = client.execute_command("SENTINEL", "MASTER", NAME)
        fields = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
        known = {bytes(k) if not isinstance(k, str) else k.encode(): v for k, v in fields.items()}
        if int(known[b"num-slaves"]) != 1 or int(known[b"num-other-sentinels"]) != len(self.ports) - 1:
            return False
        # One that was not looked at yet is not chosen, and the next try is six seconds later.
        return b"ok" in _flat(self.ask(port, "SENTINEL", "REPLICAS", NAME))


def _flat(reply: object) -> list[object]:
    if isinstance(reply, dict):
        return [item for pair in reply.items() for item in _flat(list(pair))]
    if isinstance(reply, list):
        return [item for one in reply for item in _flat(one)]
    return [reply.encode() if isinstance(reply, str) else reply]
