"""What ``limits`` and ``plans`` may say: each fault where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.limits import parse_quota, parse_rate
from tests.config.writing import faults, loaded

TEXT = "upstreams: {a: {targets: ['http://127.0.0.1:9000']}}\nroutes:\n  - {path: /x, upstream: a, %s}\n"
PLANS = "upstreams: {a: {targets: ['http://127.0.0.1:9000']}}\nplans: %s\nroutes:\n  - {path: /x, upstream: a}\n"


@pytest.mark.parametrize("line", [
    "limits: []", "limits: [{rate: 100/s}]", "limits: [{rate: 30/m, burst: 5, by: address}, {quota: 10000/day}]",
    "limits: [{concurrency: 20, by: credential, on_store_failure: deny}]", "limits: [{quota: 1/month, by: 'header:X-Tenant'}]",
    "public: true, limits: [{rate: 1/s, by: route}, {concurrency: 1, by: address}]", "limits: [{rate: 1000000/d, by: client}]",
])  # fmt: skip
def test_what_is_sound_passes(tmp_path: Path, line: str) -> None:
    assert faults(tmp_path, TEXT % line) == []


@pytest.mark.parametrize(("line", "said"), [
    ("limits: [{}]", "a limit is one of rate, quota and concurrency"),
    ("limits: [{rate: 1/s, quota: 1/day}]", "a limit is one of rate, quota and concurrency"),
    ("limits: [{concurrency: 3, burst: 1}]", "burst belongs to a rate"),
    ("limits: [{rate: 100}]", "write a rate like 100/s"),
    ("limits: [{rate: 100/sec}]", "write a rate like 100/s"),
    ("limits: [{rate: 0/s}]", "write a rate like 100/s"),
    ("limits: [{rate: 1000001/s}]", "a million at most"),
    ("limits: [{rate: 1.5/s}]", "write a rate like 100/s"),
    ("limits: [{quota: 5/year}]", "write a quota like 10000/day"),
    ("limits: [{concurrency: 0}]", "concurrency"),
    ("limits: [{rate: 1/s, by: user}]", "write client, credential, address, route or header:NAME"),
    ("limits: [{rate: 1/s, on_store_failure: open}]", "on_store_failure"),
    ("limits: [{rate: 1/s, brust: 3}]", "unknown key; did you mean \"burst\"?"),
    ("public: true, limits: [{rate: 1/s}]", "a public route asks no token, so it knows no client"),
    ("public: true, limits: [{rate: 1/s, by: credential}]", "a public route asks no token, so it knows no client"),
    ("limits: [{rate: 1/s, by: 'header:Authorization'}]", "no client can send this header for itself"),
    ("limits: [{rate: 1/s, by: 'header:x-client-id'}]", "no client can send this header for itself"),
    ("limits: [{rate: 1/s, by: 'header:X-Forwarded-For'}]", "no client can send this header for itself"),
    ("limits: [{rate: 1/s, by: 'header:X_Tenant'}]", "headers with _ in their names are dropped"),
])  # fmt: skip
def test_a_fault_is_said_where_it_is(tmp_path: Path, line: str, said: str) -> None:
    (fault,) = faults(tmp_path, TEXT % line)
    assert fault.startswith("config.yaml:3:")
    assert "routes[0].limits[0]" in fault
    assert said in fault


@pytest.mark.parametrize(("plans", "said"), [
    ("{gold: {}}", '2:8: plans: name one "default", for clients that have no plan; {} for no limits'),
    ("{default: {limits: [{rate: 1/s, by: address}]}}", "plans.default.limits[0].by: a plan counts a client's requests"),
    ("{default: {limit: []}}", "unknown key; did you mean \"limits\"?"),
    ("{default: {}, 'a b': {}}", "write letters, digits, dots, dashes and underscores only"),
])  # fmt: skip
def test_plans_are_for_all_clients(tmp_path: Path, plans: str, said: str) -> None:
    (fault,) = faults(tmp_path, PLANS % plans)
    assert said in fault


def test_plans_are_loaded(tmp_path: Path) -> None:
    config = loaded(tmp_path, PLANS % "{default: {}, gold: {limits: [{rate: 5/s, by: credential}, {quota: 7/month}]}}").config
    assert [limit.rate or limit.quota for limit in config.plans["gold"].limits] == ["5/s", "7/month"]
    assert config.plans["default"].limits == ()


def test_rates_and_quotas_are_read() -> None:
    assert [parse_rate(text) for text in ("5/s", "5/m", "5/h", "5/d")] == [(5, 1), (5, 60), (5, 3600), (5, 86_400)]
    assert parse_quota("1000000000000/month") == (10**12, "month")
    for text in ("5/S", "05/s", "5 /s", "-1/s", "٥/s", "5/s\n", "10000000/s"):
        with pytest.raises(ValueError):
            parse_rate(text)
