"""What the two listeners and the upstreams' targets may say beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.address import Target, is_bindable, is_loopback, parse_target, reaches
from gateway.config.draft import Draft
from gateway.config.faults import Fault


def hosts(draft: Draft) -> Iterator[Fault]:
    """Both listeners have an address to bind."""
    for section, listener in (("listen", draft.config.listen), ("admin", draft.config.admin)):
        if not is_bindable(listener.host):
            message = "write a host name or an IP address, without port and without brackets"
            yield draft.fault(message, section, "host")


def admin(draft: Draft) -> Iterator[Fault]:
    """The operator's API is open on loopback only."""
    admin = draft.config.admin
    if not is_loopback(admin.host) and admin.token is None:
        message = "off loopback the operator's API needs admin.token, as ${file:/run/secrets/admin_token}; or bind 127.0.0.1"
        yield draft.fault(message, "admin", "host")


def ports(draft: Draft) -> Iterator[Fault]:
    """The two listeners do not take each other's port."""
    listen, admin = draft.config.listen, draft.config.admin
    if not listen.port or listen.port != admin.port:
        return
    if reaches(listen.host, admin.host) or reaches(admin.host, listen.host):
        place = "admin" if draft.is_set("admin", "port") or not draft.is_set("listen", "port") else "listen"
        yield draft.fault(f"listen and admin can't share the port {listen.port}: give one of them another", place, "port")


def trusted(draft: Draft) -> Iterator[Fault]:
    """Trusting everybody is hardly meant (CVE-2026-40575)."""
    for position, network in enumerate(draft.config.trusted_proxies):
        if network.prefixlen == 0:
            message = "every client is believed what it says of itself: name the networks of your own proxies"
            yield draft.warning(message, "trusted_proxies", position)


def targets(draft: Draft) -> Iterator[Fault]:
    """Each target is an address and nothing more."""
    for name, upstream in draft.upstreams.items():
        for position, text in enumerate(upstream.targets):
            try:
                parse_target(text)
            except ValueError as error:
                yield draft.fault(str(error), "upstreams", name, "targets", position)


def loops(draft: Draft) -> Iterator[Fault]:
    """No upstream is the gateway itself."""
    for name, upstream in draft.upstreams.items():
        for position, text in enumerate(upstream.targets):
            section = _own_listener(draft, text)
            if section:
                message = f"this is the gateway itself ({section}): name the legacy API's own host and port"
                yield draft.fault(message, "upstreams", name, "targets", position)


def _own_listener(draft: Draft, text: str) -> str:
    try:
        target: Target = parse_target(text)
    except ValueError:
        return ""
    if target.scheme == "unix":
        return ""
    for section, listener in (("listen", draft.config.listen), ("admin", draft.config.admin)):
        if target.port == listener.port and reaches(target.host, listener.host):
            return section
    return ""
