"""One fetch for all, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import GatewayError, UpstreamCredentialFailed, UpstreamCredentialTimeout
from gateway.oauth.client_credentials import Granted, NoToken
from gateway.telemetry.metrics import Registry, render
from gateway.upstreams.token_source import TokenSource


class Endpoint:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Granted | BaseException = Granted("abc", 3600)
        self.gate = asyncio.Event()

    async def __call__(self) -> Granted:
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


async def told(source: TokenSource, number: int = 1, *, before: Callable[[], None] = lambda: None) -> list[GatewayError | None]:
    """What so many that wait are told."""
    loop = asyncio.get_running_loop()
    waiting = [loop.create_future() for _ in range(number)]
    for future in waiting:
        source.wait(future.set_result)
    before()
    async with asyncio.timeout(5):
        return list(await asyncio.gather(*waiting))


@pytest.fixture
async def endpoint() -> Endpoint:
    return Endpoint()


def source_of(endpoint: Endpoint, timeout: float = 5.0) -> TokenSource:
    return TokenSource("them", endpoint, timeout, Registry())


async def test_a_hundred_that_wait_cost_one_fetch(endpoint: Endpoint) -> None:
    source = source_of(endpoint)
    now = asyncio.get_running_loop().time()
    assert source.line(now)[0] == b""
    assert await told(source, 100, before=endpoint.gate.set) == [None] * 100
    assert endpoint.asked == 1
    line, until = source.line(now)
    assert line == b"Authorization: Bearer abc\r\n"
    assert now + 2000 < until < now + 3600


@pytest.mark.parametrize(("failure", "kind", "reason"), [
    (NoToken("status 401, invalid_client"), UpstreamCredentialFailed, "credential them: status 401, invalid_client"),
    (ConnectionRefusedError("to s3cret"), UpstreamCredentialFailed, "credential them: ConnectionRefusedError"),
    (RuntimeError("s3cret"), UpstreamCredentialFailed, "credential them: RuntimeError"),
    (TimeoutError(), UpstreamCredentialTimeout, "credential them: no answer in time"),
])  # fmt: skip
async def test_a_failure_is_everybody_s_and_remembered(
    endpoint: Endpoint, failure: Exception, kind: type[GatewayError], reason: str
) -> None:
    """No stampede: who comes within a second is refused at once, and after it one asks for all."""
    endpoint.answer = failure
    endpoint.gate.set()
    source = source_of(endpoint)
    refusals = await told(source, 10)
    assert endpoint.asked == 1
    now = asyncio.get_running_loop().time()
    with pytest.raises(kind) as refused:
        source.line(now)
    assert {type(refusal) for refusal in refusals} == {kind}
    assert {refusal.reason for refusal in refusals if refusal} == {refused.value.reason} == {reason}
    assert source.line(now + 1.0)[0] == b""


async def test_one_that_never_answers_is_given_up_in_time(endpoint: Endpoint) -> None:
    source = source_of(endpoint, timeout=0.02)
    assert [type(refusal) for refusal in await told(source, 3)] == [UpstreamCredentialTimeout] * 3


async def test_it_is_renewed_ahead_while_the_old_one_is_shown(endpoint: Endpoint) -> None:
    """Once, in the background; who shows it hears of the new one."""
    endpoint.gate.set()
    source = source_of(endpoint)
    await told(source)
    forgotten = asyncio.Event()
    source.watchers.append(forgotten.set)
    _, until = source.line(asyncio.get_running_loop().time())
    endpoint.answer = Granted("new", 3600)
    for _ in range(10):
        assert source.line(until) == (b"Authorization: Bearer abc\r\n", until)
    async with asyncio.timeout(5):
        await forgotten.wait()
    assert endpoint.asked == 2
    assert source.line(until)[0] == b"Authorization: Bearer new\r\n"


async def test_a_token_that_the_upstream_refuses_is_fetched_anew(endpoint: Endpoint) -> None:
    endpoint.gate.set()
    source = source_of(endpoint)
    await told(source)
    forgotten: list[int] = []
    source.watchers.append(lambda: forgotten.append(1))
    later = asyncio.get_running_loop().time() + 60
    source.refused(b"Authorization: Bearer other\r\n", later)
    assert source.line(later)[0]
    source.refused(b"Authorization: Bearer abc\r\n", later)
    assert source.line(later)[0] == b""
    assert forgotten == [1]


async def test_who_waits_at_the_end_hears_of_it(endpoint: Endpoint) -> None:
    source = source_of(endpoint)

    def stop() -> None:
        asyncio.get_running_loop().call_soon(source.close)

    (refusal,) = await told(source, before=stop)
    assert isinstance(refusal, UpstreamCredentialFailed)


async def test_results_are_counted(endpoint: Endpoint) -> None:
    registry = Registry()
    endpoint.gate.set()
    source = TokenSource("them", endpoint, 5.0, registry)
    await told(source)
    endpoint.answer = NoToken("x")
    await told(source)
    page = render(registry.snapshot()).decode()
    assert 'gateway_upstream_tokens_total{credential="them",result="granted"} 1' in page
    assert 'gateway_upstream_tokens_total{credential="them",result="failed"} 1' in page
