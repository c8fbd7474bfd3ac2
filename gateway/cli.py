"""
The command line: arguments, dispatch and exit codes.

Imports stay light here, because ``check`` and ``healthcheck`` run often and ``serve`` starts the store before it pays for the
rest.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.errors import ConfigFault, GatewayError, StoreUnavailable, Unavailable
from gateway.operator_commands import add_commands

if TYPE_CHECKING:
    from gateway.config.load import Loaded

OK, FAILED, UNAVAILABLE, BAD_CONFIG = 0, 1, 69, 78
"""Exit codes; argparse gives 2 for wrong usage.  69 and 78 are EX_UNAVAILABLE and EX_CONFIG of sysexits.h."""

_SEARCHED = (Path("config.yaml"), Path("/etc/gateway/config.yaml"))


def main() -> int:
    """Entry point of ``gateway``."""
    if os.getpid() == 1:  # in a container
        from gateway.ops.first_process import divide

        code = divide()
        if code is not None:
            return code
    return run(sys.argv[1:])


def run(argv: list[str]) -> int:
    """Do what the arguments ask.  Returns the exit code; what went wrong stands on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except ConfigFault as refused:
        _tell(*refused.faults)
        return BAD_CONFIG
    except Unavailable as unavailable:
        _tell(f"gateway: {unavailable}")
        return UNAVAILABLE
    except GatewayError as refusal:
        _tell(f"gateway: {refusal.detail}")
        return UNAVAILABLE if isinstance(refusal, StoreUnavailable) else FAILED
    except KeyboardInterrupt:
        _tell("gateway: interrupted")
        return FAILED
    return code


def find_config(given: Path | None, environ: Mapping[str, str]) -> Path:
    """
    The configuration file: the given one, $GATEWAY_CONFIG, ./config.yaml or /etc/gateway/config.yaml.

    Raises:
        ConfigFault: There is none.
    """
    if given is not None:
        return given
    if environ.get("GATEWAY_CONFIG"):
        return Path(environ["GATEWAY_CONFIG"])
    for path in _SEARCHED:
        if path.is_file():
            return path
    searched = ", ".join(("$GATEWAY_CONFIG", *map(str, _SEARCHED)))
    raise ConfigFault([f"gateway: no configuration found ({searched}): write one, name one with -c, or use serve --to URL"])


def _load(arguments: argparse.Namespace, *, files: bool = False) -> Loaded:
    if getattr(arguments, "to", None):
        from gateway.config.direct import for_target

        return for_target(arguments.to, os.environ)
    from gateway.config.load import load_all

    return load_all(find_config(arguments.config, os.environ), os.environ, files=files)


def _serve(arguments: argparse.Namespace) -> int:
    from gateway.app import serve

    loaded = _load(arguments, files=True)
    return serve(loaded.config, demo=arguments.demo, warnings=loaded.warnings)


def _check(arguments: argparse.Namespace) -> int:
    from gateway.config.check import run as check

    return check(find_config(arguments.config, os.environ))


def _schema(_arguments: argparse.Namespace) -> int:
    from gateway.config import schema

    print(schema.text(), end="")
    return OK


def _healthcheck(arguments: argparse.Namespace) -> int:
    from gateway.ops.healthcheck import check

    admin = _load(arguments).config.admin
    trouble = check(admin.host, admin.port, live=arguments.live)
    if trouble:
        _tell(f"gateway: {trouble}")
    return FAILED if trouble else OK


def _learn(arguments: argparse.Namespace) -> int:
    from gateway.learn import show

    print(show(_load(arguments).config, forget=arguments.forget), end="")
    return OK


def _demo_upstream(arguments: argparse.Namespace) -> int:
    from gateway.ops import demo_upstream
    from gateway.ops.listening import bind

    sockets = bind(arguments.host, arguments.port, section="demo")
    print(f"demo legacy API on http://{arguments.host}:{sockets[0].getsockname()[1]}", flush=True)
    return demo_upstream.serve(sockets)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway", description="A reverse proxy that enforces OAuth2 in front of legacy APIs.")
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the gateway")
    source = serve.add_mutually_exclusive_group()
    _add_config(source)
    source.add_argument("--to", metavar="URL", help="no file: everything below / needs a token and goes to URL")
    serve.add_argument("--demo", action="store_true", help="also run the demo legacy API, at the first upstream's first target")
    serve.set_defaults(command=_serve)

    check = commands.add_parser("check", help="check a configuration: exit 0, or 78 and every fault with its line")
    _add_config(check)
    check.set_defaults(command=_check)

    commands.add_parser("schema", help="print the JSON Schema of config.yaml").set_defaults(command=_schema)

    health = commands.add_parser("healthcheck", help="exit 0 when the gateway is ready (for container probes)")
    _add_config(health)
    health.add_argument("--live", action="store_true", help="ask only whether the process is alive")
    health.set_defaults(command=_healthcheck)

    clients = commands.add_parser("clients", help="the operator's way to make, admit and end clients")
    actions = clients.add_subparsers(required=True, metavar="ACTION")
    add_commands(actions, _add_config, lambda arguments: _load(arguments).config)

    learn = commands.add_parser("learn", help="print which scopes clients need on routes with `enforce: report`, as YAML")
    _add_config(learn)
    learn.add_argument("--forget", action="store_true", help="then forget what was seen, to begin anew")
    learn.set_defaults(command=_learn)

    demo = commands.add_parser("demo-upstream", help="run the small legacy API of `make run`")
    demo.add_argument("--host", default="127.0.0.1", help="address to bind (default %(default)s)")
    demo.add_argument("--port", type=int, default=9000, help="port to bind (default %(default)s)")
    demo.set_defaults(command=_demo_upstream)
    return parser


def _add_config(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, metavar="PATH", help="default: $GATEWAY_CONFIG, ./config.yaml, /etc/gateway/config.yaml"
    )


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)
