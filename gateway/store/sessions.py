"""Sessions at the pages on Redis; implements `gateway.oauth.ports.SessionStore`."""

from __future__ import annotations

import asyncio

from gateway.oauth.records import SignIn
from gateway.store import codec
from gateway.store.caller import Caller
from gateway.store.keys import Keys
from gateway.store.script import Script, answering

_BEGIN_SESSION = Script("begin_session")
_INDEX_SESSION = Script("index_session")
_USE_SESSION = Script("use_session")


class RedisSessions:
    """
    Everything raises `StoreUnavailable` when the store does not answer, refuses, or holds a corrupt record.

    A session and the index of its account are in different slots, so no script touches both: a session is in the index before
    it is there, and leaves it after it is gone, so that whoever ends all of them misses none.
    """

    def __init__(self, caller: Caller, prefix: str = "gw") -> None:
        self._caller = caller
        self._keys = Keys(prefix)

    async def begin_session(self, session: SignIn, *, idle_ms: int, life_ms: int, at_most: int) -> None:
        """Write a new session; an account that has ``at_most`` loses its oldest one."""
        index = [self._keys.sessions(session.username)]
        for digest in await _INDEX_SESSION(self._caller, index, [session.digest, life_ms, at_most]):
            await self._delete(digest)
        await _BEGIN_SESSION(
            self._caller, [self._keys.session(session.digest)], [codec.encode_session(session), idle_ms, life_ms]
        )

    async def use_session(self, digest: bytes, *, idle_ms: int, life_ms: int) -> SignIn | None:
        """The session with this digest, which was used now; None when there is none, or its time has come."""
        value = await _USE_SESSION(self._caller, [self._keys.session(digest)], [idle_ms, life_ms])
        with answering("use_session"):
            return None if value is None else codec.decode_session(value, digest)

    async def end_session(self, session: SignIn) -> None:
        """End a session."""
        await self._end(session.username, session.digest)

    async def end_sessions(self, username: str) -> None:
        """End all sessions of an account."""
        for digest in await self._indexed(username):
            await self._end(username, digest)

    async def sessions_of(self, username: str) -> list[SignIn]:
        """The sessions of an account that live, oldest first."""
        digests = await self._indexed(username)
        with answering("sessions_of"):
            values = await asyncio.gather(*(self._caller.call("GET", self._keys.session(digest)) for digest in digests))
            pairs = zip(digests, values, strict=True)
            found = [codec.decode_session(value, digest) for digest, value in pairs if value is not None]
        return sorted(found, key=lambda session: session.began_at)

    async def _indexed(self, username: str) -> list[bytes]:
        with answering("sessions_of"):
            found: list[bytes] = await self._caller.call("ZRANGE", self._keys.sessions(username), 0, -1)
            return found

    async def _end(self, username: str, digest: bytes) -> None:
        await self._delete(digest)
        with answering("end_session"):
            await self._caller.call("ZREM", self._keys.sessions(username), digest)

    async def _delete(self, digest: bytes) -> None:
        with answering("end_session"):
            await self._caller.call("DEL", self._keys.session(digest))
