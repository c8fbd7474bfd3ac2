"""
Clients and access tokens for all peers alike: minted by the gateway's own code, written straight into the store.

Ours finds packed records under its own keys; the peers find ``bench:TOKEN`` with "client scope scope …", which is one GET.
"""

from __future__ import annotations

import os
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from gateway.oauth import tokens as forms
from gateway.oauth.records import AccessToken, Client, Credential
from gateway.store.codec import encode_client, encode_credential, encode_token
from gateway.store.keys import Keys

ROUTES = 100
"""Routes ``/r00/`` to ``/r99/``, each asking a scope of its own, ``s00`` to ``s99``."""
SCOPES = tuple(f"s{number:02}" for number in range(ROUTES))
LIFE_MS = 3_600_000
_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class SeededClient:
    """A client with one credential."""

    client_id: str
    client_key: str
    secret: str

    @property
    def basic(self) -> str:
        """What follows ``Authorization: Basic``."""
        return b64encode(f"{self.client_key}:{self.secret}".encode()).decode()


class Seeder:
    """Writes into one store."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._keys = Keys()

    def clients(self, count: int, scopes: Sequence[str] = SCOPES) -> list[SeededClient]:
        """Make clients that may be granted these scopes, by default every one."""
        made, now = [], _now_ms()
        pipe = self._store.pipeline(transaction=False)
        for _ in range(count):
            partition = forms.mint_partition(os.urandom(2))
            one = SeededClient(
                forms.mint_client_id(partition, os.urandom(16)),
                forms.mint_client_key(partition, os.urandom(16)),
                forms.mint_secret(partition, os.urandom(32)),
            )
            client = Client(one.client_id, "", scopes=frozenset(scopes), keys=(one.client_key,), issued_at=now)
            credential = Credential(one.client_key, one.client_id, forms.digest_secret(one.secret.encode()), now)
            pipe.set(self._keys.client(one.client_id), encode_client(client))
            pipe.set(self._keys.credential(one.client_key), encode_credential(credential))
            made.append(one)
        pipe.execute()
        return made

    def tokens(self, clients: Sequence[SeededClient], scopes: Sequence[frozenset[str]]) -> list[str]:
        """Issue one access token for each entry of ``scopes``, the clients taking turns."""
        made: list[str] = []
        now = _now_ms()
        pipe = self._store.pipeline(transaction=False)
        for number, granted in enumerate(scopes):
            client = clients[number % len(clients)]
            token = forms.mint_access(client.client_id[4:7], os.urandom(32))
            record = AccessToken(client.client_id, client.client_key, "", granted, 0, now, now + LIFE_MS)
            reference = forms.find_opaque(token.encode())
            assert reference is not None
            pipe.set(self._keys.token(reference), encode_token(record), px=LIFE_MS)
            pipe.set(f"bench:{token}", f"{client.client_id} {' '.join(sorted(granted))} ", px=LIFE_MS)
            made.append(token)
            if number % _BATCH == _BATCH - 1:
                pipe.execute()
        pipe.execute()
        return made


def _now_ms() -> int:
    return int(time.time() * 1000)
