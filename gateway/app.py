"""
Composition root of ``gateway serve``: Config → ports, store, planes, in the order that makes the first answer come soon.

Bind the ports, spawn the embedded store, import the rest while it comes up, make sure that the store answers, serve.  With one
worker this process is supervisor and worker at once; with more it forks them and keeps the store and the admin listener.
"""

from __future__ import annotations

import importlib
import logging
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gateway import __version__
from gateway.config.model import Config
from gateway.ops.listening import bind, close_all, port_of
from gateway.telemetry import log as event_log

if TYPE_CHECKING:
    from gateway.store.embedded import EmbeddedStore

Sockets = list[socket.socket]
_EMBEDDED = "embedded:"

log = logging.getLogger("gateway.app")


def serve(config: Config, *, demo: bool = False, warnings: Iterable[str] = ()) -> int:
    """
    Run the gateway until it is told to stop.

    Args:
        config: What to run.
        demo: Also run the demo legacy API.
        warnings: What is unwise in the configuration, for the log.

    Returns:
        0 after a drain, 1 when it was cut short or the workers kept dying.

    Raises:
        Unavailable: A port or the store can't be had.
    """
    event_log.configure()
    for warning in warnings:
        log.warning("config.questionable", extra={"facts": {"warning": warning}})
    signal.signal(signal.SIGTERM, _leave)
    with ExitStack() as ends:
        if demo:
            from gateway.ops.demo import start_demo

            ends.callback(start_demo(config))
        store = _embedded(config)
        public = bind(config.listen.host, config.listen.port, section="listen")
        ends.callback(close_all, public)
        admin = bind(config.admin.host, config.admin.port, section="admin")
        ends.callback(close_all, admin)
        if store is not None:
            ends.callback(store.stop)
            store.start_begin()
        importlib.import_module("gateway.modes")  # all that is heavy, while the store comes up
        if store is not None:
            store.start_wait()
        return _run(config, public, admin, store, show=demo or sys.stdout.isatty())


def _run(config: Config, public: Sockets, admin: Sockets, store: EmbeddedStore | None, *, show: bool) -> int:
    from gateway.modes import Setting, alone, supervised

    def announce() -> None:
        ports = {"port": port_of(public), "admin_port": port_of(admin)}
        facts = {**ports, "workers": config.workers, "routes": len(config.routes), "version": __version__}
        log.info("gateway.started", extra={"facts": {"host": config.listen.host, **facts}})
        if show:
            from gateway.ops.firststeps import banner

            try:
                print(banner(config, **ports), flush=True)
            except OSError:
                pass  # nobody reads it; the gateway serves all the same

    setting = Setting(config, public, admin, store, announce)
    code = alone(setting) if config.workers == 1 else supervised(setting)
    log.info("gateway.stopped", extra={"facts": {"exit_code": code}})
    return code


def _leave(*_: object) -> NoReturn:
    """SIGTERM before the event loop hears it: leave as any exception would, so that the store is stopped in order."""
    raise SystemExit(0)


def _embedded(config: Config) -> EmbeddedStore | None:
    url = config.store.url
    if not url.startswith(_EMBEDDED):
        return None
    from gateway.store.embedded import EmbeddedStore

    return EmbeddedStore(Path(url.removeprefix(_EMBEDDED)))
