"""
The names of all keys, in one place.

Whatever one script touches carries the same Redis Cluster hash tag, in braces: the client's partition, or the username::

    gw:at:{ppp}:<digest>      access token        gw:cx:{ppp}:<client_id>   its live chains, a sorted set by expiry
    gw:ch:{ppp}:<chain>       refresh chain       gw:lu:{ppp}:<client_key>  when a credential last got a token
    gw:cl:{ppp}:<client_id>   client              gw:ac:{username}          account
    gw:ck:{ppp}:<client_key>  credential          gw:cm:{username}          somebody's claim of a username
    gw:sd:{ppp}:<digest>      client_key of the secret with this digest
    gw:ja:{ppp}:<digest>      a jti that a client used
    gw:rg:{ppp}:<client_id>   what a client registered of itself (RFC 7591)
    gw:ia:{ppp}:<digest>      uses that an initial access token has left
    gw:ss:<digest>            session at the pages
    gw:sx:{username}          an account's sessions, a sorted set of digests by beginning
    gw:co:{ppp}:<digest>      what an authorization code stands for, or which chain it began
    gw:cs:{ppp}:<client_id>:<sub>   what an account lets a client do
    gw:cx:{ppp}:<client_id>:<sub>   the live chains that rest on it, a sorted set by expiry
    gw:cn:{username}          client ids that an account gave a consent to, with the time
    gw:rs                     client ids that registered themselves, a sorted set by when they vanish unless used
    gw:lt:{ppp}:<client_id>   how many access tokens of a client have not expired
    gw:jk                     the keys that sign JWT access tokens
    gw:rf                     what routes that only report would have refused, a hash of counts
    gw:pd                     client ids that wait for the operator, a sorted set by time

Digests (32 bytes) and chain ids (16 bytes) stand in keys as they are: there are millions of them, and base64url would be a
third more.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Literal

from gateway.oauth.tokens import AccessRef, CodeRef, InitialRef, SecretRef, find_partition, raw

TokenName = tuple[Literal["token"], bytes]
ClientName = tuple[Literal["client"], str]


class Keys:
    """Makes and reads keys below one prefix, so that several gateways can share a server without sharing tokens."""

    def __init__(self, prefix: str = "gw") -> None:
        self._prefix = prefix
        self._token = f"{prefix}:at:{{".encode("ascii")
        self._client = f"{prefix}:cl:{{".encode("ascii")

    @property
    def tracked(self) -> tuple[bytes, bytes]:
        """What the keys of tokens and of clients begin with."""
        return self._token, self._client

    def token(self, ref: AccessRef) -> bytes:
        """The record of an access token."""
        return self.tokens(ref.partition) + ref.digest

    def tokens(self, partition: str) -> bytes:
        """What the keys of a partition's access tokens begin with; the digest follows."""
        return _in_partition(self._prefix, "at", partition, "")

    def chain(self, partition: str, chain_id: str) -> bytes:
        """The record of a chain of refresh tokens."""
        return self.chains(partition) + raw(chain_id)

    def chains(self, partition: str) -> bytes:
        """What the keys of a partition's chains begin with."""
        return _in_partition(self._prefix, "ch", partition, "")

    def client(self, client_id: str) -> bytes:
        """The record of a client."""
        return _of(self._prefix, "cl", client_id)

    def clients(self, partition: str) -> bytes:
        """What the keys of a partition's clients begin with."""
        return _in_partition(self._prefix, "cl", partition, "")

    def clients_short(self, partition: str) -> bytes:
        """What the keys of a partition's clients begin with, up to what a token's record keeps of a client id."""
        return _in_partition(self._prefix, "cl", partition, f"gwc_{partition}")

    def credential(self, client_key: str) -> bytes:
        """The record of a credential."""
        return _of(self._prefix, "ck", client_key)

    def credentials(self, partition: str) -> bytes:
        """What the keys of a partition's credentials begin with."""
        return _in_partition(self._prefix, "ck", partition, "")

    def secret(self, ref: SecretRef) -> bytes:
        """Whose secret it is: a client_key."""
        return self.secrets(ref.partition) + ref.digest

    def secrets(self, partition: str) -> bytes:
        """What the keys that lead from a partition's secrets begin with; the digest follows."""
        return _in_partition(self._prefix, "sd", partition, "")

    def live_chains(self, client_id: str) -> bytes:
        """The index of a client's chains that can still be refreshed."""
        return _of(self._prefix, "cx", client_id)

    def live_tokens(self, client_id: str) -> bytes:
        """How many access tokens of a client have not expired."""
        return _of(self._prefix, "lt", client_id)

    def live_chains_short(self, partition: str) -> bytes:
        """What those of a partition begin with, up to what a chain's record keeps of a client id."""
        return _in_partition(self._prefix, "cx", partition, f"gwc_{partition}")

    def used_jti(self, client_id: str, jti: str) -> bytes:
        """That a client used a ``jti`` (RFC 7523 section 3)."""
        digest = sha256(f"{client_id} {jti}".encode()).digest()
        return _in_partition(self._prefix, "ja", client_id[4:7], "") + digest

    def registration(self, client_id: str) -> bytes:
        """What a client registered of itself."""
        return _of(self._prefix, "rg", client_id)

    def initial(self, ref: InitialRef) -> bytes:
        """How often an initial access token may still be used."""
        return _in_partition(self._prefix, "ia", ref.partition, "") + ref.digest

    def code(self, ref: CodeRef) -> bytes:
        """The record of an authorization code."""
        return _in_partition(self._prefix, "co", ref.partition, "") + ref.digest

    def consent(self, client_id: str, subject: str) -> bytes:
        """What an account lets a client do."""
        return _of(self._prefix, "cs", client_id) + f":{subject}".encode("ascii")

    def consents(self, username: str) -> bytes:
        """To which clients an account gave a consent."""
        return f"{self._prefix}:cn:{{{username}}}".encode()

    def registered(self) -> bytes:
        """Who registered without the operator."""
        return f"{self._prefix}:rs".encode("ascii")

    def signing_keys(self) -> bytes:
        """The keys that sign JWT access tokens."""
        return f"{self._prefix}:jk".encode("ascii")

    def findings(self) -> bytes:
        """What routes that only report would have refused."""
        return f"{self._prefix}:rf".encode("ascii")

    def mark(self, key: bytes) -> bytes:
        """A key in the slot of another one, to be written behind its change."""
        begin = key.find(b"{")
        end = key.find(b"}", begin + 1)
        tag = key[begin + 1 : end] if 0 <= begin < end - 1 else key
        return f"{self._prefix}:wt:{{".encode("ascii") + tag + b"}"

    def rate(self, name: str) -> bytes:
        """What is left of a rate."""
        return f"{self._prefix}:lr:{name}".encode("ascii")

    def quota(self, name: str) -> bytes:
        """What was taken of a quota."""
        return f"{self._prefix}:lq:{name}".encode("ascii")

    def slots(self, name: str) -> bytes:
        """Who holds how many slots."""
        return f"{self._prefix}:ls:{name}".encode("ascii")

    def pending(self) -> bytes:
        """Who waits for the operator."""
        return f"{self._prefix}:pd".encode("ascii")

    def last_used(self, client_key: str) -> bytes:
        """When a credential last got a token."""
        return _of(self._prefix, "lu", client_key)

    def last_uses(self, partition: str) -> bytes:
        """What the keys of a partition's last uses begin with."""
        return _in_partition(self._prefix, "lu", partition, "")

    def account(self, username: str) -> bytes:
        """The record of an account."""
        return f"{self._prefix}:ac:{{{username}}}".encode()

    def claim(self, username: str) -> bytes:
        """Somebody's claim of a username that is about to become an account."""
        return f"{self._prefix}:cm:{{{username}}}".encode()

    def session(self, digest: bytes) -> bytes:
        """The record of a session at the pages; each in a slot of its own, as nothing but the digest is known of it."""
        return f"{self._prefix}:ss:".encode("ascii") + digest

    def sessions(self, username: str) -> bytes:
        """The index of an account's sessions."""
        return f"{self._prefix}:sx:{{{username}}}".encode()

    def parse(self, key: bytes) -> TokenName | ClientName | None:
        """Read the key of an access token or a client, as invalidations name it; None for any other key."""
        name = key[len(self._token) + 5 :]  # behind "ppp}:"
        if key.startswith(self._token):
            return ("token", name) if len(name) == 32 else None
        if key.startswith(self._client):
            return ("client", name.decode("ascii", "replace"))
        return None


@lru_cache(4096)
def _of(prefix: str, kind: str, client_id_or_key: str) -> bytes:
    partition = find_partition(client_id_or_key)
    if partition is None:
        raise ValueError("not a client id or client key")
    return _in_partition(prefix, kind, partition, client_id_or_key)


def _in_partition(prefix: str, kind: str, partition: str, name: str) -> bytes:
    return f"{prefix}:{kind}:{{{partition}}}:{name}".encode("ascii")
