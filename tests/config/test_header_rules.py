"""``request_headers`` and ``response_headers``: faults, each with its place and its why; values may be secrets."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_rules import check, config
from tests.config.writing import faults, loaded


@pytest.mark.parametrize(
    ("edits", "fault"),
    [
        ("request_headers: {set: {X-A: b, Authorization: 'Basic eA=='}, add: {X-A: c}, remove: [Cookie]}", ""),
        ("request_headers: {}", ""),
        ("request_headers: {set: {X-A: 3, X-B: '', X-C: true}}", ""),
        ("response_headers: {set: {Strict-Transport-Security: max-age=1}, remove: [Server, X-Powered-By]}", ""),
        ("request_headers: {set: {§Host: x}}", "set.Host: this header can't be set: it says which host is meant: see preserve_host"),
        ("request_headers: {set: {§x-client-id: x}}", "set.x-client-id: this header can't be set: it says who calls"),
        ("request_headers: {add: {§X_Client_Scopes: x}}", "add.X_Client_Scopes: this header can't be set: it says who calls"),
        ("request_headers: {set: {§Via: x}}", "set.Via: this header can't be set: it says where the request comes from"),
        ("request_headers: {set: {§X-Forwarded-Prefix: /x}}", "set.X-Forwarded-Prefix: this header can't be set: it says where"),
        ("request_headers: {set: {§X-Gateway-Peer: x}}", "set.X-Gateway-Peer: this header can't be set: it says where"),
        ("request_headers: {set: {§Content-Length: 0}}", "set.Content-Length: this header can't be set: it frames the message"),
        ("request_headers: {add: {§Transfer_Encoding: chunked}}", "add.Transfer_Encoding: this header can't be set: it frames"),
        ("request_headers: {set: {§Upgrade: h2c}}", "set.Upgrade: this header can't be set: it frames the message"),
        ("request_headers: {set: {§Sec-WebSocket-Key: x}}", "set.Sec-WebSocket-Key: this header can't be set: it belongs to the handshake"),
        ("response_headers: {remove: [§sec-websocket-accept]}", "remove[0]: this header can't be removed: it belongs to the handshake"),
        ("request_headers: {set: {§TE: trailers}}", "set.TE: this header can't be set: it is for one connection"),
        ("request_headers: {remove: [X-A, §Forwarded]}", "remove[1]: this header can't be removed: it says where"),
        ("response_headers: {set: {§Connection: close}}", "set.Connection: this header can't be set: it frames the message"),
        ("response_headers: {remove: [§Content-Length]}", "remove[0]: this header can't be removed: it frames the message"),
        ("cors: {origins: ['*']}, response_headers: {set: {§Access-Control-Max-Age: 1}}", "set.Access-Control-Max-Age: this header can't be set: the route's cors says it"),
        ("response_headers: {set: {Access-Control-Max-Age: 1}}", ""),
        ("request_headers: {set: {X-A: b}, remove: [§x-a]}", "remove[0]: this header is set too"),
        ("request_headers: {set: {X-A: b, §x-a: c}}", "set.x-a: it stands here twice, in other letters"),
        ("request_headers: {set: {§'X A': b}}", "set.X A: write the name of a header"),
        ("request_headers: {set: {§'': b}}", "set.: write the name of a header"),
        ("request_headers: {remove: [§'X:']}", "remove[0]: write the name of a header"),
        ("request_headers: {§replace: {X: y}}", "replace: unknown key"),
        ("request_headers: {set: §[X]}", "set: write a mapping"),
        ("request_headers: {set: {X-A: §[b]}}", "set.X-A: write text"),
        ("request_headers: {set: {X-A: §}}", "set.X-A: there is no value"),
        (r'request_headers: {set: {X-A: §"a\nB: c"}}', "set.X-A: a header's value is one line"),
        (r'request_headers: {set: {X-A: §"a\rb"}}', "set.X-A: a header's value is one line"),
        (r'request_headers: {set: {X-A: §"a\0"}}', "set.X-A: a header's value is one line"),
        ('request_headers: {set: {X-A: §"€"}}', "set.X-A: a header's value is one line of Latin-1"),
        ("request_headers: {set: {X-A: §' a'}}", "set.X-A: a header's value neither begins nor ends with a space"),
        (f"request_headers: {{set: {{X-A: §{'a' * 4097}}}}}", "set.X-A: write at most 4096 characters"),
    ],
)  # fmt: skip
def test_what_only_the_gateway_can_say_is_refused(tmp_path: Path, edits: str, fault: str) -> None:
    """And what is no header.  § stands where the fault does."""
    section = "response_headers" if "response_headers" in edits else "request_headers"
    route = f"  - {{path: /a, upstream: legacy, {edits}}}\n"
    where = f"7:{route.index('§') + 1}: routes[1].{section}." if fault else ""
    check(tmp_path, config(route.replace("§", "")), where + fault)


def test_h08_a_value_may_come_from_anywhere_and_is_shown_nowhere(tmp_path: Path) -> None:
    """${VAR} and ${file:…}; a fault does not repeat it, nor does the loaded configuration."""
    (tmp_path / "key").write_text("s3cret\n")
    (tmp_path / "key").chmod(0o600)
    edits = "request_headers: {set: {X-Api-Key: '${file:key}', X-Other: 'Bearer ${KEY}'}}"
    text = config(f"  - {{path: /a, upstream: legacy, {edits}}}\n")
    section = loaded(tmp_path, text, {"KEY": "hidden"}).config.routes[1].request_headers
    assert section is not None
    assert {name: value.get_secret_value() for name, value in section.set.items()} == {"X-Api-Key": "s3cret", "X-Other": "Bearer hidden"}
    assert "s3cret" not in repr(section)
    (found,) = faults(tmp_path, text, {"KEY": "hidden\r\nX-Client-Id: evil"})
    assert "a header's value is one line" in found
    assert "hidden" not in found
