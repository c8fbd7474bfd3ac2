"""All rules that go beyond a single value, and which sections each one reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.config import (
    cors_rules,
    credential_rules,
    header_rules,
    issuer_rules,
    limit_rules,
    listener_rules,
    oauth_rules,
    rewrite_rules,
    route_rules,
    store_rules,
    tls_rules,
    upstream_rules,
)
from gateway.config.draft import Draft
from gateway.config.faults import Fault

Rule = Callable[[Draft], Iterator[Fault]]

# A rule stands back when something that it reads is broken.
RULES: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (listener_rules.hosts, ("listen.host", "admin.host")),
    (listener_rules.admin, ("admin",)),
    (listener_rules.ports, ("listen.host", "listen.port", "admin.host", "admin.port")),
    (listener_rules.trusted, ("trusted_proxies",)),
    (listener_rules.targets, ("upstreams",)),
    (listener_rules.loops, ("listen.host", "listen.port", "admin.host", "admin.port", "upstreams")),
    (upstream_rules.balancing, ("upstreams",)),
    (upstream_rules.times, ("upstreams",)),
    (upstream_rules.health, ("upstreams",)),
    (upstream_rules.tls, ("upstreams",)),
    (tls_rules.tls, ("listen.tls", "listen.client_ca_file", "listen.require_client_cert")),
    (tls_rules.issuer_speaks_tls, ("listen.tls", "oauth.issuer")),
    (store_rules.url, ("store.url",)),
    (store_rules.credentials, ("store",)),
    (store_rules.options, ("store.url", "store.ca_file", "store.durability", "store.sentinel_password")),
    (oauth_rules.issuer, ("oauth.issuer",)),
    (oauth_rules.issuer_said, ("oauth.issuer", "listen.host")),
    (oauth_rules.registration, ("oauth.registration", "listen.host")),
    (oauth_rules.registration_paths, ("oauth.registration_paths", "oauth.sign_in")),
    (oauth_rules.sessions, ("oauth.session_idle", "oauth.session_life")),
    (oauth_rules.token_format, ("oauth.access_token_format", "secrets", "store.url")),
    (oauth_rules.lifetimes, ("oauth.access_token_ttl", "oauth.refresh_token_ttl")),
    (issuer_rules.issuers, ("issuers", "oauth.issuer")),
    (issuer_rules.trusted, ("routes", "issuers")),
    (route_rules.paths, ("routes",)),
    (route_rules.hosts, ("routes",)),
    (route_rules.methods, ("routes",)),
    (route_rules.streams, ("routes",)),
    (route_rules.addresses, ("routes",)),
    (route_rules.duplicates, ("routes",)),
    (route_rules.open_beside, ("routes",)),
    (route_rules.reporting, ("routes",)),
    (route_rules.outages, ("routes",)),
    (route_rules.upstreams_known, ("routes", "upstreams")),
    (route_rules.own_endpoints, ("routes", "oauth.prefix", "oauth.registration_paths", "oauth.sign_in")),
    (limit_rules.limits, ("routes",)),
    (limit_rules.plans, ("plans",)),
    (cors_rules.cors, ("routes",)),
    (rewrite_rules.paths, ("routes",)),
    (header_rules.edits, ("routes",)),
    (credential_rules.headers, ("credentials",)),
    (credential_rules.token_endpoints, ("credentials",)),
    (credential_rules.named, ("routes", "credentials")),
    (credential_rules.clients, ("routes", "issuers")),
    (credential_rules.shown, ("routes", "credentials")),
    (credential_rules.in_clear, ("routes", "upstreams")),
    (credential_rules.told, ("routes", "credentials")),
    (credential_rules.assertions, ("routes", "oauth.issuer", "secrets", "store.url")),
    (rewrite_rules.reach, ("routes", "upstreams")),
    (rewrite_rules.preserved_hosts, ("routes", "upstreams")),
    (route_rules.scopes_declared, ("routes", "oauth.scopes", "oauth.default_scopes")),
)
_FILES: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (tls_rules.files, ("listen.tls", "listen.client_ca_file")),
    (upstream_rules.files, ("upstreams",)),
    (credential_rules.files, ("credentials",)),
    (issuer_rules.files, ("issuers",)),
    (store_rules.files, ("store.url", "store.ca_file")),
)
"""What reads files that the configuration names."""
_WHEN_SOUND: tuple[Rule, ...] = (route_rules.upstreams_used, credential_rules.used, issuer_rules.used)
"""Guesses that are only worth saying about a configuration without faults."""


def judge(draft: Draft, *, files: bool = True) -> list[Fault]:
    """All faults and warnings of a draft, those of the model included; with ``files``, those of files that it names too."""
    faults = list(draft.faults)
    for rule, places in (*RULES, *_FILES) if files else RULES:
        if all(draft.knows(place) for place in places):
            faults.extend(rule(draft))
    if not any(fault.fatal for fault in faults):
        for rule in _WHEN_SOUND:
            faults.extend(rule(draft))
    return faults
