"""What upstreams are shown and told: in headers that can hold it, by names that exist, and never the wrong client's."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import timedelta

from gateway.config.address import is_host, is_loopback, parse_target
from gateway.config.certificates import Unusable, load_authorities
from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.config.model import Credential, Route, RouteIdentity
from gateway.config.oauth_rules import issuer_fault
from gateway.config.overrides import suggest
from gateway.config.reach import shown_names
from gateway.header_names import IDENTITY, bars_credential, bars_identity, folded
from gateway.oauth.resources import resource
from gateway.oauth.tokens import is_client_id

LONGEST_WAIT = timedelta(seconds=8)
"""For a token; the edge gives requests that wait up after 10 s."""
_ENDPOINT = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(?::([0-9]{1,5}))?(?:[/?][!-~]*)?")
_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!\"$-~]+")


def headers(draft: Draft) -> Iterator[Fault]:
    """A credential stands in no header that is the gateway's own, or the connection's."""
    for name, credential in draft.config.credentials.items():
        if credential.header is not None and (why := bars_credential(credential.header.name)):
            yield draft.fault(f"no credential can stand here: {why}", "credentials", name, "header", "name")


def token_endpoints(draft: Draft) -> Iterator[Fault]:
    """A token endpoint can be asked, in time, and nobody on the way reads what it says."""
    for name, credential in draft.config.credentials.items():
        section, place = credential.oauth, ("credentials", name, "oauth")
        if section is None:
            continue
        if why := token_endpoint_fault(section.token_endpoint):
            yield draft.fault(why, *place, "token_endpoint")
        if section.timeout > LONGEST_WAIT:
            yield draft.fault("write 8s or less: requests wait for it", *place, "timeout")
        for position, uri in enumerate(section.resource):
            if _RESOURCE.fullmatch(uri) is None:
                yield draft.fault("write an absolute URI without fragment (RFC 8707 section 2)", *place, "resource", position)


def token_endpoint_fault(url: str) -> str:
    """What is wrong with the URL of a token endpoint; empty when nothing is.  Never repeats it."""
    found = _ENDPOINT.fullmatch(url)
    if "@" in url.partition("://")[2].partition("/")[0]:
        return "a token endpoint can't hold a user or a password: write client_id and client_secret"
    if "#" in url:
        return "a token endpoint has no fragment (RFC 6749 section 3.2)"
    if found is None or not is_host(found[2]) or not 0 < int(found[3] or 1) < 65536:
        return "write a URL like https://id.example.com/oauth/token"
    if found[1] == "http" and not is_loopback(found[2]):
        return "off loopback a token endpoint is https (RFC 6749 section 3.2): anybody on the way could read the secret"
    return ""


def files(draft: Draft) -> Iterator[Fault]:
    """The certificates that a token endpoint is verified against can be used."""
    for name, credential in draft.config.credentials.items():
        if credential.oauth is None or credential.oauth.ca_file is None:
            continue
        try:
            load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "ca_file", credential.oauth.ca_file)
        except Unusable as unusable:
            yield draft.fault(str(unusable), "credentials", name, "oauth", unusable.key)


def named(draft: Draft) -> Iterator[Fault]:
    """Routes name credentials that exist."""
    known = draft.names("credentials")
    for number, route in draft.whole_routes:
        for name, place in _places(route):
            if name not in known:
                hint = suggest(name, dict.fromkeys(known)) if known else "; there are none"
                yield draft.fault(f"no such credential{hint}", "routes", number, "credential", *place)


def _places(route: Route) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each name with the path to it below ``credential``."""
    if route.credential is not None:
        if route.credential.default is not None:
            yield route.credential.default, ("default",)
        yield from ((name, ("by_client", client)) for client, name in route.credential.by_client.items())


def clients(draft: Draft) -> Iterator[Fault]:
    """``by_client`` names clients, where there are any to be known."""
    issuers = draft.names("issuers")
    for number, route in draft.whole_routes:
        if route.credential is None or not route.credential.by_client:
            continue
        place = ("routes", number, "credential", "by_client")
        if route.public:
            yield draft.fault("a public route knows no client: remove public, or name a credential for all", *place)
        elif route.open and route.credential.default is None:
            message = "report lets requests without a token through, which have no client: add a default, or enforce: always"
            yield draft.fault(message, *place)
        for client in route.credential.by_client:
            name, colon, _ = client.partition(":")
            if not (is_client_id(client) or (colon and name in issuers)):
                message = "this is no client_id: those begin with gwc_, or with the name of one of issuers and a colon"
                yield draft.fault(message, *place, client, key=True)


def shown(draft: Draft) -> Iterator[Fault]:
    """Nothing else of the route sets the header that a credential stands in."""
    for number, route in draft.whole_routes:
        by_name = {name: draft.config.credentials[name] for name in shown_names(route) if name in draft.config.credentials}
        in_authorization = [name for name, credential in by_name.items() if header_of(credential) == "authorization"]
        if in_authorization and route.forward_authorization:
            message = f"{in_authorization[0]} takes its place: remove this, or the credential"
            yield draft.fault(message, "routes", number, "forward_authorization")
        taken = {header_of(credential): f"the credential {name}" for name, credential in by_name.items()}
        yield from _edited(draft, number, route, taken)


def in_clear(draft: Draft) -> Iterator[Fault]:
    """A word of warning where a credential goes over a network unencrypted."""
    for number, route in draft.whole_routes:
        upstream = draft.config.upstreams.get(route.upstream)
        if route.credential is None or upstream is None:
            continue
        if any(target.startswith("http:") and not _is_here(target) for target in upstream.targets):
            message = "a target is http:// off this machine, so anybody on the way can read the credential: better https"
            yield draft.warning(message, "routes", number, "credential")


def _is_here(target: str) -> bool:
    try:
        return is_loopback(parse_target(target).host)
    except ValueError:
        return True  # another rule has said what is wrong with it


def header_of(credential: Credential) -> str:
    """The header that a credential stands in, as back ends compare names."""
    return folded(credential.header.name) if credential.header is not None else "authorization"


def told(draft: Draft) -> Iterator[Fault]:
    """Who calls is told where somebody is known, once, and in headers that nothing else sets."""
    for number, route in draft.whole_routes:
        if route.identity is None:
            continue
        if route.public:
            message = "a public route knows no caller: remove this; names that its other routes tell are kept back all the same"
            yield draft.fault(message, "routes", number, "identity")
            continue
        credentials = (draft.config.credentials.get(name) for name in shown_names(route))
        known = {header_of(credential): "the credential" for credential in credentials if credential is not None}
        told_in: dict[str, str] = {}
        for name, place, is_key in _told_in(route.identity):
            if why := bars_identity(name):
                yield draft.fault(f"nobody can be told of here: {why}", "routes", number, "identity", *place, key=is_key)
            elif folded(name) in known:
                message = f"{known[folded(name)]} stands in this header: take another"
                yield draft.fault(message, "routes", number, "identity", *place, key=is_key)
            elif folded(name) in told_in:
                message = f"back ends take it for {told_in[folded(name)]}: take another name"
                yield draft.fault(message, "routes", number, "identity", *place, key=is_key)
            told_in[folded(name)] = name
        yield from _edited(draft, number, route, dict.fromkeys(told_in, "identity"))


def _told_in(identity: RouteIdentity) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Each header with the path to it below ``identity``, and whether it is a key there."""
    yield from ((name, ("headers", name), True) for name in identity.headers or ())
    if identity.assertion is not None:
        yield identity.assertion.header, ("assertion", "header"), False


def assertions(draft: Draft) -> Iterator[Fault]:
    """An assertion can be signed, is for nobody but its upstream, and stands beside nothing that says the contrary."""
    config = draft.config
    ours: set[str] | None = None
    for number, route in draft.whole_routes:
        if route.identity is None or route.identity.assertion is None:
            continue
        ours = _resources(draft) if ours is None else ours
        assertion, place = route.identity.assertion, ("routes", number, "identity", "assertion")
        if config.secrets is None and not config.store.url.startswith("embedded:"):
            message = "it is signed with a key that is kept sealed in the store: set secrets.current, the same in every instance"
            yield draft.fault(message, *place)
        if assertion.audience.removesuffix("/") in ours:
            yield draft.fault("access tokens are for this: name what the upstream calls itself", *place, "audience")
        if folded(assertion.header).encode("ascii") in IDENTITY:
            yield draft.fault("this header holds a name, and no JWT: take another", *place, "header")


def _resources(draft: Draft) -> set[str]:
    """What access tokens may be for (RFC 8707), and the issuer."""
    issuer = draft.config.oauth.issuer
    if issuer_fault(issuer):
        return {issuer}
    places = ((place, host) for _, route in draft.whole_routes for host in route.hosts or ("",) for place in (route.path, "/"))
    return {issuer, *(resource(issuer, place, host.lower()) for place, host in places)}


def _edited(draft: Draft, number: int, route: Route, taken: dict[str, str]) -> Iterator[Fault]:
    """``request_headers`` changes none of these headers, which come after its changes."""
    edits = route.request_headers
    if edits is None:
        return
    for kind, names in (("set", edits.set), ("add", edits.add)):
        for name in names:
            if (whose := taken.get(folded(name))) is not None:
                yield draft.fault(f"{whose} sets this header", "routes", number, "request_headers", kind, name, key=True)


def used(draft: Draft) -> Iterator[Fault]:
    """A credential that nobody is shown is most likely a mistake."""
    names = {name for route in draft.config.routes for name in shown_names(route)}
    for name in draft.config.credentials:
        if name not in names:
            yield draft.warning("no route shows this credential", "credentials", name, key=True)
