"""A state machine drives the real server and a model of it through the same life, and compares after each step."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from gateway.oauth.ports import NewTokens, RefreshOutcome
from gateway.oauth.records import is_live
from gateway.oauth.tokens import AccessRef, RefreshRef
from tests.servers import ValkeyServer
from tests.store.model import ACCESS_TTL, GRACE, MAX_CHAINS, Model, ModelClient
from tests.store.shift import pass_time
from tests.store.stores import Registered, Stores, a_credential, a_pair, a_successor, connected, register

GRANTS = st.sampled_from([frozenset(), frozenset({"a"}), frozenset({"a", "b"})])
ASKED = st.sampled_from([None, None, frozenset({"a"}), frozenset({"a", "b", "c"})])


class Life(RuleBasedStateMachine):
    """Two clients of one partition, their keys, and every token that they were ever given."""

    server: ValkeyServer

    @initialize()
    def begin(self) -> None:
        """An empty store and two clients."""
        self.server.call("FLUSHALL")
        self.runner, self.ends = asyncio.Runner(), AsyncExitStack()
        self.stores: Stores = self.run(self.ends.enter_async_context(connected(self.server)))
        self.model, self.seen = Model(), set[RefreshOutcome]()
        self.refreshes: list[RefreshRef] = []
        self.clients: list[tuple[Registered, ModelClient]] = []
        self.keys: dict[str, list[str]] = {}
        for _ in range(2):
            new = self.run(register(self.stores, "abc"))
            second = a_credential(new.client)
            self.run(self.stores.clients.add_credential(second, at_most=2))
            self.keys[new.id] = [new.key, second.client_key]
            self.clients.append((new, ModelClient(keys=[new.key, second.client_key])))

    def run(self, work: Any) -> Any:
        return self.runner.run(_awaited(work))

    def teardown(self) -> None:
        self.run(self.ends.aclose())
        self.runner.close()

    # --- what happens

    @rule(data=st.data(), scopes=GRANTS, life=st.sampled_from([350, 350, 50]))
    def issue(self, data: st.DataObject, scopes: frozenset[str], life: int) -> None:
        client, model, key = self.someone(data)
        pair = a_pair(client)
        stored = self.run(
            self.stores.tokens.issue(
                client.client, key, pair, scopes,
                access_ttl_ms=ACCESS_TTL * 1000, refresh_ttl_ms=life * 1000, max_live_chains=MAX_CHAINS,
            )
        )  # fmt: skip
        assert stored == self.model.issue(model, key, pair, scopes, life)
        if stored:
            assert pair.refresh is not None
            self.refreshes.append(pair.refresh)
            self.run(asyncio.sleep(0.002))  # so that no two chains end in the same millisecond

    @precondition(lambda self: self.refreshes)
    @rule(data=st.data(), asked=ASKED)
    def refresh(self, data: st.DataObject, asked: frozenset[str] | None) -> None:
        self.present(data, self.recent(data), asked)

    @precondition(lambda self: self.refreshes)
    @rule(data=st.data(), asked=ASKED, again=ASKED, between=st.sampled_from(["", "", "wait", "revoke", "retire"]))
    def refresh_twice(
        self, data: st.DataObject, asked: frozenset[str] | None, again: frozenset[str] | None, between: str
    ) -> None:
        """What a client does whose answer was lost, and what a thief does later."""
        presented = self.recent(data)
        self.present(data, presented, asked)
        chain = self.model.chains[presented.chain_id]
        if between == "wait":
            self.wait(2)
        elif between == "revoke" and chain.successor is not None:
            self.end_access(chain.owner, next(ref for ref, token in self.model.accesses.items() if token is chain.successor))
        elif between == "retire":
            self.end_key(chain.owner, chain.key, end_tokens=True)
        self.present(data, presented, again)

    def present(self, data: st.DataObject, presented: RefreshRef, asked: frozenset[str] | None) -> None:
        client, model, key = self.someone(data, owner_of=presented)
        new = a_successor(presented)
        answer = self.run(
            self.stores.tokens.refresh(
                client.id, key, presented, new, asked, access_ttl_ms=ACCESS_TTL * 1000, grace_ms=GRACE * 1000
            )
        )
        outcome, sealed = self.model.refresh(model, key, presented, new, asked)
        assert (answer.outcome, answer.sealed) == (outcome, sealed)
        self.seen.add(outcome)
        chain = self.model.chains[presented.chain_id]
        if outcome is RefreshOutcome.ROTATED:
            assert answer.scopes == (chain.scopes if asked is None else asked)
            self.refreshes.append(_refresh_of(new))
        if outcome is RefreshOutcome.REPEATED:
            assert answer.scopes == chain.asked
            assert chain.successor is not None
            left = 0 if chain.successor.ended else max(chain.successor.expires - self.model.now, 0)
            assert left - 10 <= answer.expires_in <= left

    @precondition(lambda self: self.model.accesses)
    @rule(data=st.data())
    def revoke_access(self, data: st.DataObject) -> None:
        self.end_access(self.someone(data)[1], data.draw(st.sampled_from(list(self.model.accesses)), "access"))

    def end_access(self, owner: ModelClient, ref: AccessRef) -> None:
        done = self.run(self.stores.tokens.revoke_access(self.id_of(owner), ref))
        assert done == self.model.revoke_access(owner, ref)

    @precondition(lambda self: self.refreshes)
    @rule(data=st.data())
    def revoke_refresh(self, data: st.DataObject) -> None:
        presented = self.recent(data)
        client, model, _ = self.someone(data)
        done = self.run(self.stores.tokens.revoke_refresh(client.id, presented))
        assert done == self.model.revoke_refresh(model, presented.chain_id)

    @rule(data=st.data(), enabled=st.sampled_from([True, True, True, False]), end_tokens=st.booleans())
    def change(self, data: st.DataObject, enabled: bool, end_tokens: bool) -> None:
        client, model, _ = self.someone(data)
        self.run(self.stores.clients.change_client(client.id, enabled=enabled, end_tokens=end_tokens))
        model.enabled, model.epoch = enabled, model.epoch + end_tokens

    @rule(data=st.data())
    def add_key(self, data: st.DataObject) -> None:
        client, model, _ = self.someone(data)
        credential = a_credential(client.client)
        added = self.run(self.stores.clients.add_credential(credential, at_most=2))
        assert added == (len(model.keys) < 2)
        if added:
            model.keys.append(credential.client_key)
            self.keys[client.id].append(credential.client_key)

    @rule(data=st.data(), end_tokens=st.booleans())
    def retire_key(self, data: st.DataObject, end_tokens: bool) -> None:
        _, model, key = self.someone(data)
        self.end_key(model, key, end_tokens=end_tokens)

    def end_key(self, model: ModelClient, key: str, *, end_tokens: bool) -> None:
        done = self.run(self.stores.clients.retire_credential(self.id_of(model), key, end_tokens=end_tokens))
        assert done == (key in model.keys or (end_tokens and key in model.retired_keys))
        if not done:
            return
        if key in model.keys:
            model.keys.remove(key)
        model.retired_keys ^= {key} if (key in model.retired_keys) or not end_tokens else set()
        model.ended_keys |= {key} if end_tokens else set()

    @rule(steps=st.integers(1, 6))
    def wait(self, steps: int) -> None:
        """Lives are odd multiples of 10 s and waits even ones: the test's own seconds never decide."""
        self.run(pass_time(self.stores.redis, steps * 20_000))
        self.model.now += steps * 20

    # --- what must hold

    @invariant()
    def both_agree_on_every_token(self) -> None:
        if hasattr(self, "model"):
            self.run(self._compare())

    async def _compare(self) -> None:
        tokens = self.stores.tokens
        found = await asyncio.gather(*(tokens.find_access(ref) for ref in self.model.accesses))
        for (ref, token), one in zip(self.model.accesses.items(), found, strict=True):
            assert (one is not None and is_live(*one)) == token.lives(self.model.now), ref
        chains = [(chain, ref) for chain in self.model.chains.values() for ref in (chain.taken, chain.current) if ref]
        held = await asyncio.gather(*(tokens.find_refresh(ref) for _, ref in chains))
        for (chain, ref), held_one in zip(chains, held, strict=True):
            lives = ref is chain.current and chain.lives(self.model.now)
            assert (held_one is not None and is_live(*held_one)) == lives, ref
            assert held_one is None or ref is not chain.taken

    # --- who

    def id_of(self, owner: ModelClient) -> str:
        return next(client.id for client, model in self.clients if model is owner)

    def someone(self, data: st.DataObject, owner_of: RefreshRef | None = None) -> tuple[Registered, ModelClient, str]:
        """A client with one of the keys that it ever had; mostly the owner."""
        if owner_of is not None and data.draw(st.integers(0, 9), "stranger") < 9:
            owner = self.model.chains[owner_of.chain_id].owner
            client, model = next(pair for pair in self.clients if pair[1] is owner)
        else:
            client, model = data.draw(st.sampled_from(self.clients), "client")
        any_key = not model.keys or data.draw(st.integers(0, 9), "any key") == 9
        return client, model, data.draw(st.sampled_from(self.keys[client.id] if any_key else model.keys), "key")

    def recent(self, data: st.DataObject) -> RefreshRef:
        """One of the refresh tokens ever given out, mostly a late one."""
        return self.refreshes[-1 - data.draw(st.integers(0, min(len(self.refreshes), 6) - 1), "refresh")]


async def _awaited(work: Any) -> Any:
    return await work


def _refresh_of(pair: NewTokens) -> RefreshRef:
    assert pair.refresh is not None
    return pair.refresh


@pytest.mark.slow
def test_the_store_does_what_the_model_does(valkey: ValkeyServer) -> None:
    outcomes: set[RefreshOutcome] = set()

    class OnValkey(Life):
        server = valkey

        def teardown(self) -> None:
            outcomes.update(self.seen)
            super().teardown()

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OnValkey,
        settings=settings(
            max_examples=40, stateful_step_count=40, derandomize=True, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # Resources are not the machine's: tests/authority/test_resource_indicators.py has them.
    assert outcomes == set(RefreshOutcome) - {RefreshOutcome.MISDIRECTED}, "the machine must have been everywhere"
