"""What other proxies call a key of ours, for hints at unknown keys.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Word: where it stands here.  Of several places the first counts whose key is known where the word was written.
PLACES: dict[str, tuple[str, ...]] = {
    word: tuple(places.split())
    for words, places in (
        ("websocket websockets upgrade upgrades upgrade_configs", "routes[].streams"),
        ("service backend cluster proxy_pass", "routes[].upstream"),
        ("location match", "routes[].path"),
        ("anonymous auth", "routes[].public"),
        ("client_max_body_size body_limit", "routes[].max_body"),
        ("whitelist allowlist allow_ips source_range", "routes[].ip_allow"),
        ("blacklist denylist", "routes[].ip_deny"),
        ("replace_path rewrite_target", "routes[].rewrite"),
        ("add_header", "routes[].response_headers"),
        ("headers_to_add proxy_set_header", "routes[].request_headers"),
        ("proxy_read_timeout read_timeout", "routes[].timeouts.first_byte"),
        ("proxy_connect_timeout connect_timeout dial_timeout", "routes[].timeouts.connect"),
        ("limit_req rate_limit rate_limiting ratelimit throttle throttling limiter quotas", "routes[].limits plans"),
        ("limit_conn in_flight max_in_flight", "routes[].limits[].concurrency routes[].limits"),
        ("cors", "routes[].cors"),
        ("services backends clusters", "upstreams upstreams.*.targets"),
        ("locations paths", "routes routes[].path"),
        ("servers server nodes endpoints urls addresses", "upstreams.*.targets"),
        ("url", "upstreams.*.targets upstreams.*.health.path"),
        ("uri", "routes[].path upstreams.*.health.path"),
        ("lb_policy policy algorithm strategy load_balancing", "upstreams.*.balance"),
        ("sticky", "upstreams.*.hash_on"),
        ("outlier_detection circuit_breaker circuit_breakers max_fails", "upstreams.*.ejection"),
        ("retries", "upstreams.*.retry_budget"),
        ("max_pending max_pending_requests", "upstreams.*.max_queue"),
        ("resolve valid", "upstreams.*.dns_refresh"),
        ("rise healthy_threshold passes", "upstreams.*.health.healthy"),
        ("fall fails unhealthy_threshold", "upstreams.*.health.unhealthy"),
        ("codes matcher expected_statuses", "upstreams.*.health.status"),
        ("every", "upstreams.*.health.interval"),
        ("ssl tls certificates certs", "listen.tls upstreams.*.tls"),
        ("cert certificate ssl_certificate", "listen.tls[].cert_file"),
        ("key private_key ssl_certificate_key", "listen.tls[].key_file"),
        ("client_ca ssl_client_certificate", "listen.client_ca_file"),
        ("bind bind_address address", "listen.host listen"),
        ("client_header_timeout", "listen.head_timeout"),
        ("idle_timeout", "listen.keepalive"),
        ("processes worker_processes", "workers"),
        ("redis database", "store"),
        ("set_real_ip_from real_ip trusted_ips", "trusted_proxies"),
    )
    for word in words.split()
}


def known_as(written: str, known: Mapping[str, Any]) -> str:
    """``; here that is "x"``, or where else it stands; empty for a word that is not known from elsewhere."""
    places = PLACES.get(written, ())
    here = next((key for key in (place.rsplit(".", 1)[-1] for place in places) if key in known), "")
    if here:
        return f'; did you mean "{here}"?'
    return f"; look at {places[0]}" if places else ""
