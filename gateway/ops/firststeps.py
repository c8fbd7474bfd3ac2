"""What ``make run`` prints: where the gateway listens, its routes, and a block to paste into a second terminal."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.model import Config, Route

_BLOCK = """\
G={origin}
N=$((${{N:-0}} + 1)); NAME=demo-$(date +%s)-$$-$N
pick() {{ sed -n 's/.*"'"$1"'": *"\\([^"]*\\)".*/\\1/p'; }}
WHO='{{"username":"'$NAME'@example.com","password":"client-password"}}'
A=$(curl -sS -X POST $G{prefix}/register -H 'Content-Type: application/json' -d "$WHO"); echo "$A"
KEY=$(echo "$A" | pick client_key); SECRET=$(echo "$A" | pick client_secret)
A=$(curl -sS -u "$KEY:$SECRET" -d grant_type=client_credentials $G{prefix}/oauth/token); echo "$A"
TOKEN=$(echo "$A" | pick access_token); REFRESH=$(echo "$A" | pick refresh_token)
curl -sS $G{path} -H "Authorization: Bearer $TOKEN"; echo
A=$(curl -sS -u "$KEY:$SECRET" -d grant_type=refresh_token -d refresh_token=$REFRESH $G{prefix}/oauth/token); echo "$A"
TOKEN=$(echo "$A" | pick access_token)
curl -sS $G{path} -H "Authorization: Bearer $TOKEN"; echo
curl -sS -u "$KEY:$SECRET" -d token=$TOKEN $G{prefix}/oauth/introspect; echo
curl -sS -u "$KEY:$SECRET" -d token=$TOKEN $G{prefix}/oauth/revoke; echo
curl -sS $G{path} -H "Authorization: Bearer $TOKEN"; echo
"""


def banner(config: Config, *, port: int, admin_port: int) -> str:
    """The whole text, for a gateway that listens on ``port``."""
    origin = f"{'https' if config.listen.tls else 'http'}://{_reachable(config.listen.host)}:{port}"
    lines = [f"gateway on {origin}   health and metrics on http://{_reachable(config.admin.host)}:{admin_port}", ""]
    lines += route_table(config)
    lines += ["", *_invitation(config, origin)]
    return "\n".join(lines) + "\n"


def route_table(config: Config) -> list[str]:
    """One aligned line a route: methods, path, what it needs, where it goes."""
    rows = [("METHODS", "PATH", "NEEDS", "GOES TO")]
    own = ("oauth/*", *config.oauth.registration_paths)
    rows += [("any", f"{config.oauth.prefix}/{name}", "its own rules", "the gateway itself") for name in own]
    for route in sorted(config.routes, key=lambda route: route.path):
        targets = ", ".join(config.upstreams[route.upstream].targets)
        rows.append((" ".join(route.methods) or "any", _where(route), _needs(route), f"{route.upstream} ({targets})"))
    return list(_aligned(rows))


def first_steps(config: Config, origin: str) -> str:
    """Commands for curl and sh that register, get tokens, use, refresh, introspect and revoke them."""
    return _BLOCK.format(origin=origin, prefix=config.oauth.prefix, path=_sample_path(config))


def _invitation(config: Config, origin: str) -> list[str]:
    if config.oauth.registration != "open" or "register" not in config.oauth.registration_paths:
        return ["registration is not open here: gateway clients add --username NAME --scopes '' makes a client"]
    return ["paste this into a second terminal:", "", first_steps(config, origin)]


def _sample_path(config: Config) -> str:
    """A path that needs a token and no scope, an exact one where there is one."""
    fitting = [
        route.path for route in config.routes
        if not (route.open or route.scopes or route.scopes_any or route.hosts) and "GET" in (route.methods or ("GET",))
    ]
    return min(fitting, key=lambda path: (path.endswith("/"), len(path)), default="/")


def _where(route: Route) -> str:
    shown = route.path + ("*" if route.path.endswith("/") else "")
    return f"{','.join(route.hosts)}{shown}" if route.hosts else shown


def _needs(route: Route) -> str:
    if route.public:
        return "nothing (public)"
    if route.open:
        return "nothing (only reports)"
    if route.scopes_any:
        return f"token, any of {' '.join(route.scopes_any)}"
    return "token, scopes by method" if isinstance(route.scopes, dict) else " ".join(("token", *route.scopes))


def _aligned(rows: list[tuple[str, str, str, str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip()


def _reachable(host: str) -> str:
    """The address that a client on this machine uses."""
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared with, not bound
        return "127.0.0.1"
    if ":" in host:
        return "[::1]" if host == "::" else f"[{host}]"
    return host
