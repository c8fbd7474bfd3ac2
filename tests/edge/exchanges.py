"""
The state machine of test_machine: requests, splits, answers and endings, against a model of what must come out.

Whatever the order of events: each answer is its own request's (G2, bodies carry numbers), in order, at most one; no byte of one
exchange stands in another; what is refused reaches nobody, and nothing behind it is read when the connection must end; half a
body, either way, is never a whole one; who waits for something that was given gets it; and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.edge.downstream import _HEAD
from gateway.oauth.tokens import digest_access
from tests.edge.machine import REFUSED_BY_THE_WAY, ClientEnd, End, Got, Message, OriginEnd, Seen, a_message, an_answer
from tests.edge.rig import Rig, a_token, a_verdict
from tests.edge.test_framing import REFUSED

TURNS = 10
"""Turns of the loop in which whatever one step causes has happened, on a machine that is not busy; a late event is no fault."""
PIECE = [1, 2, 3, 20, 100, 1000, 1 << 20, 1 << 20, 1 << 20]
SIZE = [0, 1, 9, 10, 11, 300, 5000, 70_000]
METHOD = ["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
FRAMING = ["none", "none", "length", "chunked", "dressed"]
PATH = ["public", "public", "auth", "cold", "nowhere", "small", "denied"]
KIND = [
    "length", "length", "length", "chunked", "chunked", "dressed", "until-close", "hints", "close", "http10", "http10-kept",
    "204", "304", "extra", "garbage", "both", "101", "bad-chunk", "short",
]  # fmt: skip
PIECES, SIZES = st.sampled_from(PIECE), st.sampled_from(SIZE)
BAD_HEADS = [(message, status) for _, message, status in REFUSED if len(message) < 200]


E = TypeVar("E", bound=End)


class World:
    """A gateway between the ends, for many runs: each begins and ends with no connection."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.log = tempfile.TemporaryFile("wb+")  # noqa: SIM115 - closed by `close`
        self.opened: list[OriginEnd] = []
        self.run(self._start())

    async def _start(self) -> None:
        self.server = await self.loop.create_server(lambda: OriginEnd(self.opened), "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.rig = Rig(self.log)
        self.rig.verdicts.cold[digest_access(a_token(7))] = a_verdict("gwc_seven")
        await self.rig.start(targets=[f"http://127.0.0.1:{port}"], upstream={"max_connections": 2})
        self.pool = self.rig.edge.groups["a"].pools[0]

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(step)

    async def turn(self, turns: int = TURNS) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    def close(self) -> None:
        for end in self.opened:
            end.transport.abort()
        self.run(self.rig.stop())
        self.server.close()
        self.run(self.turn())
        self.loop.close()
        self.log.close()


class Exchanges(RuleBasedStateMachine):
    """One run."""

    world: World | None = None

    def __init__(self) -> None:
        super().__init__()
        kind = type(self)
        kind.world = kind.world or World()
        self.w: World = kind.world
        self.clients: list[ClientEnd] = []
        self.number = 0
        self.stepping = False
        self.w.opened.clear()

    # --- what happens -------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.connect()

    @precondition(lambda self: len([client for client in self.clients if client.alive and not client.ended]) < 3)
    @rule()
    def connect(self) -> None:
        async def action() -> None:
            _, client = await self.w.loop.create_connection(ClientEnd, "127.0.0.1", self.w.rig.port)
            client.port = client.transport.get_extra_info("sockname")[1]
            self.clients.append(client)

        self._do(action)

    @rule(
        which=st.integers(0, 9), method=st.sampled_from(METHOD), size=SIZES, framing=st.sampled_from(FRAMING),
        path=st.sampled_from(PATH), version=st.sampled_from(["1.1", "1.1", "1.1", "1.0"]),
        connection=st.sampled_from(["", "", "keep-alive", "close"]), expect=st.booleans(), spoiled=st.booleans(), first=PIECES,
    )  # fmt: skip
    def ask(
        self, which: int, method: str, size: int, framing: str, path: str, version: str, connection: str, expect: bool,
        spoiled: bool, first: int,
    ) -> None:  # fmt: skip
        """A request joins what a client has to say, and some of it is said."""
        self.number += 1
        message = a_message(
            self.number, method, size, framing, path=path, version=version, connection=connection, expect=expect, spoiled=spoiled
        )
        self._say(which, message, first)

    @rule(which=st.integers(0, 9), bad=st.sampled_from(BAD_HEADS), first=PIECES)
    def ask_badly(self, which: int, bad: tuple[bytes, int], first: int) -> None:
        """Something that is refused as soon as it is read."""
        self.number += 1
        wire, status = bad
        self._say(which, Message(self.number, "GET", wire, len(wire), status=status, ends=True), first)

    @precondition(lambda self: any(not message.whole for client in self.clients for message in client.messages))
    @rule(which=st.integers(0, 9), size=PIECES)
    def say_more(self, which: int, size: int) -> None:
        self._do(lambda: self._with(self._client(which), lambda client: client.send(size)))

    @rule(which=st.integers(0, 9), how=st.sampled_from(["eof", "eof", "close", "reset"]))
    def leave(self, which: int, how: str) -> None:
        self._do(lambda: self._with(self._client(which), lambda client: client.leave(how)))

    @precondition(lambda self: any(end.speaks and end.current and not end.current.answer for end in self.w.opened))
    @rule(which=st.integers(0, 9), size=SIZES, first=PIECES, early=st.booleans(), kind=st.sampled_from(KIND))
    def answer(self, which: int, kind: str, size: int, first: int, early: bool) -> None:
        """The upstream begins to answer, perhaps before it has the whole request."""

        def action() -> None:
            asked = [(end, end.current) for end in self.w.opened if end.speaks and end.current and end.current.answer is None]
            if asked:
                end, seen = asked[which % len(asked)]
                if seen.whole or early:
                    seen.answer = an_answer(seen.number, seen.head.first.split(b" ")[0].decode(), kind, size)
                    end.strayed = kind in ("extra", "garbage", "both", "101")
                    end.send(first)

        self._do(action)

    @precondition(lambda self: any(end.speaks and end.current and end.current.answer for end in self.w.opened))
    @rule(which=st.integers(0, 9), size=PIECES)
    def answer_more(self, which: int, size: int) -> None:
        self._do(lambda: self._with(self._origin(which), lambda end: end.send(size)))

    @precondition(lambda self: any(end.alive for end in self.w.opened))
    @rule(which=st.integers(0, 9), how=st.sampled_from(["close", "reset", "eof"]))
    def upstream_ends(self, which: int, how: str) -> None:
        self._do(lambda: self._with(self._origin(which), lambda end: end.leave(how)))

    @precondition(lambda self: any(end.speaks and not end.current for end in self.w.opened))
    @rule(which=st.integers(0, 9))
    def upstream_speaks_unasked(self, which: int) -> None:
        def action(end: OriginEnd) -> None:
            if end.current is None and not (end.seen and self._broken(end.seen[-1])):  # else it would be more of that answer
                end.strayed = True
                end.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")

        self._do(lambda: self._with(self._origin(which), action))

    @precondition(lambda self: any(down._state != _HEAD or down._buffer for down in self.w.rig.edge._connections))
    @rule(which=st.integers(0, 9))
    def time_passes(self, which: int) -> None:
        """A deadline of a connection is over, whichever it has."""

        def action(client: ClientEnd) -> None:
            for down in list(self.w.rig.edge._connections):
                busy = down._exchange is not None or down._buffer or down._state != _HEAD
                if busy and down.transport.get_extra_info("peername")[1] == client.port and down.deadline > 0:
                    client.expired = True
                    down.expire()

        self._do(lambda: self._with(self._client(which), action))

    @precondition(lambda self: self.w.rig.verdicts.held is None)
    @rule()
    def store_stalls(self) -> None:
        verdicts = self.w.rig.verdicts
        verdicts.held = verdicts.held if verdicts.held is not None else []

    @precondition(lambda self: self.w.rig.verdicts.held is not None)
    @rule()
    def store_answers(self) -> None:
        self._do(self.w.rig.verdicts.release)

    @rule(which=st.integers(0, 9), reads=st.booleans())
    def client_reads(self, which: int, reads: bool) -> None:
        def action(client: ClientEnd) -> None:
            client.deaf = not reads
            client.transport.resume_reading() if reads else client.transport.pause_reading()

        self._do(lambda: self._with(self._client(which), action))

    def may(self, step: str) -> bool:
        """Whether a rule's precondition holds."""
        rule = getattr(type(self), step).hypothesis_stateful_rule
        return all(condition(self) for condition in rule.preconditions)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Nothing that has happened so far may be wrong."""
        for fault in self.w.rig.faults:
            raise fault.get("exception") or AssertionError(fault)
        seen: dict[int, list[Seen]] = {}
        for end in self.w.opened:
            for one in end.seen:
                seen.setdefault(one.number, []).append(one)
        asked = {message.number for client in self.clients for message in client.messages}
        assert seen.keys() <= asked
        for client in self.clients:
            self._check_client(client, seen)

    def _check_client(self, client: ClientEnd, seen: dict[int, list[Seen]]) -> None:
        answers = client.answers()
        over = False
        for at, message in enumerate(client.messages):
            got = answers[at] if at < len(answers) else None
            sightings = seen.get(message.number, [])
            if over:
                assert got is None, "an answer after the last one"
                assert sightings == [], "a request was read behind the last one"
                continue
            self._check_seen(client, message, sightings)
            if got is None:
                if not (client.deaf or client.left in ("close", "reset")):  # whoever does not read may have his answer already
                    behind = [later.number for later in client.messages[at + 1 :] if seen.get(later.number)]
                    assert behind == [], "somebody was served before the one ahead of him had his answer"
                break
            self._check_got(client, message, got, sightings)
            if not got.whole and (client.deaf or client.left in ("close", "reset")):
                break  # he does not read; what the gateway does for him meanwhile is its own affair
            over = got.ends or not got.whole

    def _check_seen(self, client: ClientEnd, message: Message, sightings: list[Seen]) -> None:
        """The upstream saw what was asked, at most once, unless a connection died under it without a word."""
        if not sightings:
            return
        assert message.status == 0, "a refused request was passed on"
        assert message.sent >= message.head_size
        assert len(sightings) <= 2
        if len(sightings) == 2:
            died = sightings[0]
            assert message.repeatable, "it may not be repeated"
            assert died.on.left, "its connection lived"
            assert died.answer is None or died.answer.sent == 0 or died.on.left == "reset", "it was being answered"
        for one in sightings:
            method, target, version = one.head.first.split(b" ")
            assert (method, version) == (message.method.encode(), b"HTTP/1.1")
            assert target == message.wire.split(b" ")[1]
            assert one.head.one("host") == self.w.pool.head.split(b"Host: ")[1].strip()
            assert (one.head.one("x-client-id") is not None) == message.identified
            assert one.head.one("expect") is one.head.one("authorization") is one.head.one("connection") is None
            assert message.body.startswith(one.body), "bytes that are not its own"
            if one.whole:
                assert message.whole, "half a request became a whole one"
                assert not message.breaks
                assert one.body == message.body

    def _check_got(self, client: ClientEnd, message: Message, got: Got, sightings: list[Seen]) -> None:
        assert set(got.interim) <= {100, 103}
        assert not (message.http10 and got.interim)
        assert got.interim.count(100) <= (1 if message.expects else 0)
        if got.number is None:
            self._check_refusal(client, message, got, sightings)
        else:
            assert got.number == message.number, "another one's answer"
            answer = sightings[-1].answer
            assert answer is not None
            assert answer.sent > 0
            assert (got.status, message.status) == (answer.status, 0)
            assert answer.body.startswith(got.body), "bytes that are not its own"
            if got.whole:
                assert answer.good, "a broken answer was passed on as whole"
                assert got.body == answer.body, "half an answer became a whole one"
        if got.whole and (message.ends or not message.whole):
            assert got.ends, "the connection must end here"

    def _check_refusal(self, client: ClientEnd, message: Message, got: Got, sightings: list[Seen]) -> None:
        assert got.head.one("content-type") == b"application/problem+json"
        if message.status:
            # In pieces a fault may be seen sooner, as the general one; and a deadline may pass before the head is whole.
            allowed = {message.status, 400} if message.ends else {message.status}
        elif message.breaks:
            allowed = {400, 413} | REFUSED_BY_THE_WAY
        else:
            failed = client.expired or any(one.on.left or one.on.strayed or self._broken(one) for one in sightings)
            assert failed, "a good request was refused"
            allowed = REFUSED_BY_THE_WAY
        assert got.status in allowed | ({408, 503} if client.expired else set())

    @staticmethod
    def _broken(seen: Seen) -> bool:
        return seen.answer is not None and not seen.answer.good

    # --- the end of a run -----------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        kind, world = type(self), self.w
        try:
            if not self.stepping:  # else a step has failed already, and that is the thing to tell
                world.run(self._finish())
        except BaseException:
            self.stepping = True
            raise
        finally:
            if self.stepping:
                kind.world = None
                for client in self.clients:
                    client.transport.abort()
                world.close()

    async def _finish(self) -> None:
        """Let everybody get what he waits for, see that he does, and that nothing is left of it."""
        self.w.rig.verdicts.release()
        for client in self.clients:
            if client.alive:
                client.transport.resume_reading()
        await self._eventually(self._is_settled)
        self.check()
        for client in self.clients:
            client.transport.abort()
        edge, pool = self.w.rig.edge, self.w.pool
        # A client that closed in order looks like one that waits for its answer still.
        await self._eventually(lambda: self._answer_all() or (edge.connections == 0 and not pool._tasks))
        assert all(exchange.over for exchange in pool._waiting), "somebody waits for a connection and has gone"
        assert pool.open == len([up for up in pool._open if up.exchange is None]), "a connection serves nobody"
        for end in self.w.opened:
            end.transport.abort()
        await self._eventually(lambda: pool.open == 0)
        assert pool._idle == []
        tasks = asyncio.all_tasks(self.w.loop) - {asyncio.current_task(self.w.loop)}
        assert tasks == set(), tasks

    async def _eventually(self, condition: Any) -> None:
        end = self.w.loop.time() + 3
        while not condition():
            assert self.w.loop.time() < end, f"it did not happen: {self._state()}"
            await self.w.turn()

    def _is_settled(self) -> bool:
        """Whether every client has what is his, all that is asked being answered."""
        self._answer_all()
        return all(self._is_served(client) for client in self.clients)

    def _answer_all(self) -> None:
        for end in self.w.opened:
            seen = end.current
            if seen is not None and end.speaks:
                if seen.answer is None and seen.whole:
                    seen.answer = an_answer(seen.number, seen.head.first.split(b" ")[0].decode(), "length", 5)
                end.send(1 << 20)
            last = end.seen[-1].answer if end.seen else None
            if last is not None and last.whole and not last.good:
                end.leave("close")  # it announced more than there is

    def _is_served(self, client: ClientEnd) -> bool:
        if client.left in ("close", "reset"):
            return True
        answers = client.answers()
        for at, message in enumerate(client.messages):
            if at >= len(answers):
                if not message.whole:
                    return not client.left or bool(client.ended)  # it may yet come, or never, and then it is over
                return bool(client.ended) and (client.expired or message.breaks)
            if not answers[at].whole:
                return bool(client.ended)
            if answers[at].ends:
                return bool(client.ended)
        return not client.left or bool(client.ended)

    def _state(self) -> str:
        lines = []
        for client in self.clients:
            lines.append(f"client left={client.left!r} ended={client.ended!r} expired={client.expired} {client.received[:300]!r}")
            lines += [f"  {m.number} {m.method} sent={m.sent}/{len(m.wire)} status={m.status}" for m in client.messages]
        for end in self.w.opened:
            lines.append(f"origin left={end.left!r} ended={end.ended!r}")
            lines += [f"  {s.number} whole={s.whole} answer={s.answer and (s.answer.sent, len(s.answer.wire))}" for s in end.seen]
        lines += [f"down state={d._state} buffer={d._buffer[:100]!r} eof={d._eof}" for d in self.w.rig.edge._connections]
        return "\n".join(lines)

    # --- steps ----------------------------------------------------------------------------------------------------------

    def _say(self, which: int, message: Message, first: int) -> None:
        def action(client: ClientEnd) -> None:
            if not client.left:
                client.messages.append(message)
                client.send(first)

        self._do(lambda: self._with(self._client(which), action))

    def _do(self, action: Callable[[], Any]) -> None:
        """Do something on the loop, let the gateway do what comes of it, and look."""

        async def step() -> None:
            done = action()
            if done is not None:
                await done
            await self.w.turn()

        self.stepping = True
        self.w.run(step())
        self.check()
        self.stepping = False

    @staticmethod
    def _with(end: E | None, action: Callable[[E], Any]) -> None:
        if end is not None:
            action(end)

    def _client(self, which: int) -> ClientEnd | None:
        alive = [client for client in self.clients if client.alive]
        served = [client for client in alive if not client.ended]
        if which < 8 and served:  # whoever was told to go may go on sending, but mostly does not
            return served[which % len(served)]
        return alive[which % len(alive)] if alive else None

    def _origin(self, which: int) -> OriginEnd | None:
        alive = [end for end in self.w.opened if end.speaks]
        return alive[which % len(alive)] if alive else None
