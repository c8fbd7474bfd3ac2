"""``gateway clients …``: what an operator does on the store, beside a running gateway or without one; each prints JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config.model import Config

Load = Callable[[argparse.Namespace], "Config"]
AddConfig = Callable[[argparse.ArgumentParser], None]

_DECISIONS = {
    "approve": "let a client that waits have tokens",
    "refuse": "delete a client that waits, and its account if that has no other client",
    "disable": "end a client's tokens and give it no more, until it is enabled",
    "enable": "undo disable; tokens that have not expired meanwhile live again",
    "delete": "delete a client; all its tokens are dead",
}


_FORMATS = {"opaque": "opaque", "jwt": "jwt", "default": ""}


def add_commands(actions: argparse._SubParsersAction[argparse.ArgumentParser], add_config: AddConfig, load: Load) -> None:
    """Add the actions of ``gateway clients``."""

    def command(name: str, words: str, run: Callable[[Config, argparse.Namespace], object]) -> argparse.ArgumentParser:
        parser = actions.add_parser(name, help=words)
        add_config(parser)
        parser.set_defaults(command=lambda arguments: _print(run(load(arguments), arguments)))
        return parser

    add = command("add", "make a client; prints client_id, client_key and client_secret once, as JSON", _add)
    add.add_argument("--username", help="the account that it belongs to, made if there is none (default: no account)")
    add.add_argument("--password", metavar="-", type=_dash, help="- reads the new account's password from stdin (default: none)")
    add.add_argument("--scopes", default="", help="all that it may be granted, separated by spaces")
    add.add_argument("--permissions", default="", help="introspect:any, to introspect tokens of other clients")
    add.add_argument(
        "--redirect-uri", action="append", default=[], metavar="URI", help="where authorization codes may go; may be repeated"
    )
    add.add_argument("--public", action="store_true", help="an app that can't keep a secret, so it gets none")
    add.add_argument("--name", default="", help="what people see of it")

    command("show", "show a client; never a secret", _show).add_argument("client_id")
    change = command("set", "change a client: what is named, nothing else; new tokens follow it at once", _set)
    change.add_argument("client_id")
    _add_terms(change)

    initial = command("initial-access-token", "make a token with which one may register where registration is `token`", _initial)
    initial.add_argument("--uses", type=int, default=1, help="registrations that it is good for (default %(default)s)")
    initial.add_argument("--ttl", default="7d", help="how long it is good, like 12h or 30d (default %(default)s)")
    initial.add_argument("--end", metavar="-", type=_dash, help="make none: - reads one from stdin and ends it")

    command("pending", "list the clients that wait for approval", _pending)
    for name, words in _DECISIONS.items():
        command(name, words, _decide).add_argument("client_id")
        actions.choices[name].set_defaults(decision=name)


def _add_terms(change: argparse.ArgumentParser) -> None:
    """What there is to set of a client."""
    change.add_argument("--name", help="what people see of it; '' for none")
    change.add_argument("--scopes", help="all that it may be granted; what a live token has beyond that ends at once")
    change.add_argument("--grants", help="grant types, separated by spaces, or all")
    change.add_argument("--permissions", help="introspect:any or ''")
    change.add_argument(
        "--redirect-uri", action="append", metavar="URI", help="where codes may go, in place of those before; '' for nowhere"
    )
    change.add_argument("--access-token-ttl", metavar="TIME", help="life of its access tokens, like 10m; or default")
    change.add_argument("--refresh-token-ttl", metavar="TIME", help="longest life of its chains of refresh tokens; or default")
    change.add_argument("--max-live-chains", metavar="NUMBER", help="chains that it may have at once; or default")
    change.add_argument("--max-live-tokens", metavar="NUMBER", help="access tokens that it may have at once; or default")
    change.add_argument("--plan", metavar="NAME", help="which of the configured plans limits it; or default")
    change.add_argument("--access-token-format", choices=_FORMATS, help="what its access tokens are")


def _add(config: Config, arguments: argparse.Namespace) -> object:
    from gateway.enrol import enrol

    scopes, permissions = frozenset(arguments.scopes.split()), frozenset(arguments.permissions.split())
    password = _line() if arguments.password else None
    return enrol(
        config, arguments.username, password, scopes, permissions, arguments.redirect_uri, name=arguments.name,
        public=arguments.public,
    )  # fmt: skip


def _show(config: Config, arguments: argparse.Namespace) -> object:
    from gateway.authority import operators
    from gateway.enrol import operate

    return operate(config, lambda desk: operators.show_client(desk.clients, arguments.client_id))


def _set(config: Config, arguments: argparse.Namespace) -> object:
    from gateway.enrol import change
    from gateway.errors import InvalidInput

    given = {
        "name": arguments.name,
        "scopes": _words(arguments.scopes),
        "permissions": _words(arguments.permissions),
        "grants": _words("" if arguments.grants == "all" else arguments.grants),
        "redirect_uris": None if arguments.redirect_uri is None else tuple(uri for uri in arguments.redirect_uri if uri),
        "access_ttl_ms": _life("--access-token-ttl", arguments.access_token_ttl),
        "refresh_ttl_ms": _life("--refresh-token-ttl", arguments.refresh_token_ttl),
        "max_live_chains": _number("--max-live-chains", arguments.max_live_chains, 100_000),
        "max_live_tokens": _number("--max-live-tokens", arguments.max_live_tokens, 100_000_000),
        "plan": arguments.plan,
        "access_token_format": _FORMATS.get(arguments.access_token_format),
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise InvalidInput("nothing to set: see gateway clients set --help")
    return change(config, arguments.client_id, changes)


def _initial(config: Config, arguments: argparse.Namespace) -> object:
    from gateway.authority import operators
    from gateway.enrol import operate

    if arguments.end:
        token = _line()
        return operate(config, lambda desk: operators.end_initial(desk.admissions, token))
    life = _duration(arguments.ttl)
    if config.oauth.registration != "token":
        print(f"gateway: nobody needs it while oauth.registration is {config.oauth.registration}", file=sys.stderr)
    return operate(config, lambda desk: operators.add_initial(desk.admissions, uses=arguments.uses, life=life))


def _pending(config: Config, _arguments: argparse.Namespace) -> object:
    from gateway.authority import operators
    from gateway.enrol import operate

    return operate(config, lambda desk: operators.list_pending(desk.clients, desk.admissions))


def _decide(config: Config, arguments: argparse.Namespace) -> object:
    from gateway.authority import operators
    from gateway.enrol import operate

    act = getattr(operators, f"{arguments.decision}_client")
    return operate(config, lambda desk: act(desk.clients, desk.admissions, arguments.client_id))


def _duration(text: str, option: str = "--ttl") -> timedelta:
    from gateway.config.values import parse_duration
    from gateway.errors import InvalidInput

    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidInput(f"{option}: {error}") from None


def _words(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(text.split())


def _life(option: str, text: str | None) -> int | None:
    """Milliseconds; 0 for ``default``, which no life is."""
    from gateway.errors import InvalidInput

    if text is None or text == "default":
        return None if text is None else 0
    life = _duration(text, option)
    if life < timedelta(seconds=1):
        raise InvalidInput(f"{option}: write 1s at least, or default")
    return life // timedelta(milliseconds=1)


def _number(option: str, text: str | None, most: int) -> int | None:
    from gateway.errors import InvalidInput

    if text is None or text == "default":
        return None if text is None else 0
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= most):
        raise InvalidInput(f"{option}: write a number from 1 to {most}, or default")
    return int(text)


def _print(answer: object) -> int:
    print(json.dumps(answer))
    return 0


def _line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _dash(value: str) -> str:
    if value != "-":
        raise argparse.ArgumentTypeError("only -, which reads it from stdin: an argument could be seen by everybody here")
    return value
