"""``gateway learn``: what clients need on routes that only report, as YAML, by what the store has of all gateways on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.config.model import Config
from gateway.enrol import Desk, operate
from gateway.guard.learning import Learned, learn
from gateway.oauth.tokens import is_client_id
from gateway.routing import Router


def show(config: Config, *, forget: bool = False) -> str:
    """
    Work out what each client needs; with ``forget`` begin anew then.

    Returns:
        A YAML document.

    Raises:
        GatewayError: The store does not answer.
        Unavailable: The store can't be had.
    """

    async def act(desk: Desk) -> str:
        findings, since = await desk.findings.all()
        clients = {finding.client_id: await desk.clients.find_client(finding.client_id) for finding in findings}
        known = {client_id: client for client_id, client in clients.items() if client is not None}
        granted = {client_id: client.scopes for client_id, client in known.items()}
        elsewhere = (client_id for client_id in clients if client_id.partition(":")[0] in config.issuers)
        granted.update((client_id, frozenset()) for client_id in elsewhere)
        learned = learn(findings, Router(config).routes, granted)
        if forget:
            await desk.findings.forget()
        return write(learned, {client_id: client.name for client_id, client in known.items()}, since)

    return operate(config, act)


def write(learned: Learned, names: Mapping[str, str], since_ms: int) -> str:
    """Write what was learned as YAML; every word that somebody else chose is quoted."""
    if not since_ms:
        return "# nothing was seen yet on a route with `enforce: report`\nclients: {}\nstrangers: []\n"
    lines = [f"# on routes with `enforce: report`, since {datetime.fromtimestamp(since_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"]
    lines.append("clients:" if learned.clients else "clients: {}")
    for client_id, need in sorted(learned.clients.items()):
        ours = is_client_id(client_id)
        lines.append(f"  {client_id if ours else json.dumps(client_id)}:")
        if names.get(client_id):
            lines.append(f"    name: {json.dumps(names[client_id])}")
        lines += [f"    requests: {need.requests}", f"    scopes: {_list(need.scopes)}"]
        if ours:  # what others may be granted, their issuer knows
            lines.append(f"    lacks: {_list(need.lacks)}")
    lines.append("strangers:" if learned.strangers else "strangers: []")
    for (route, method, code), count in sorted(learned.strangers.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"  - {{route: {json.dumps(route)}, method: {method}, refused: {code or 'none'}, requests: {count}}}")
    if learned.gone:
        lines.append(f"# {learned.gone} requests were on routes that the configuration does not have any more")
    return "\n".join(lines) + "\n"


def _list(scopes: frozenset[str]) -> str:
    return json.dumps(sorted(scopes))
