"""
Does the test suite notice when a safeguard is switched off?  `make mutants` switches one off at a time, in a copy of the tree,
and expects the tests to fail.  A mutant that survives is a hole in the tests: exit 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Mutant:
    """One safeguard, and the text that switches it off."""

    name: str
    file: str
    old: str
    new: str
    likely: str
    """Tests that should notice first; all the others follow only if they do not."""


MUTANTS = (
    Mutant("permit: a request without a token passes", "gateway/guard/permit.py",
           "if match.route.public is not True:", "if False:", "tests/guard tests/rfc/test_rfc6750.py"),
    Mutant("permit: scopes are not looked at", "gateway/guard/permit.py",
           "if scopes and not scopes <= verdict.scopes:", "if False:", "tests/guard"),
    Mutant("jwt: any header is taken", "gateway/oauth/access.py",
           "if len(token) > MAX_ACCESS or _JWT.fullmatch(token) is None:", "if token.count(b'.') != 2:",
           "tests/oauth/test_access.py"),
    Mutant("jwt: a longer one is decoded", "gateway/oauth/access.py",
           "if len(token) > MAX_ACCESS or ", "if ", "tests/oauth/test_access.py"),
    Mutant("jwt: a new key signs before it is known", "gateway/oauth/signing_keys.py",
           "if key.made_at + AHEAD_MS <= now_ms]", "if key.made_at <= now_ms]", "tests/oauth/test_signing_keys.py"),
    Mutant("jwt: a key goes with tokens of it alive", "gateway/oauth/signing_keys.py",
           "+ AHEAD_MS + key.longest_ms + MARGIN_MS", "+ AHEAD_MS", "tests/oauth/test_signing_keys.py"),
    Mutant("jwt: whoever writes last has the ring", "gateway/store/scripts/replace_ring.lua",
           'if (redis.call("GET", KEYS[1]) or "") ~= ARGV[1] then', "if false then", "tests/store/test_signing_keys.py"),
    Mutant("limits: access tokens of a client are not counted", "gateway/store/scripts/prelude.lua",
           "  if count > most then\n    local fields", "  if false then\n    local fields", "tests/store/test_tokens.py"),
    Mutant("limits: a refused refresh is spent", "gateway/store/scripts/refresh.lua",
           '  if wait then\n    return { "full", wait }',
           '  if wait then\n    redis.call("DEL", KEYS[4])\n    return { "full", wait }',
           "tests/authority/test_terms.py"),
    Mutant("rates: a lease is used for ever", "gateway/guard/leases.py",
           "if lease.left and now < lease.until:\n            lease.left -= 1", "if lease.left:\n            lease.left -= 1",
           "tests/guard/test_leases.py"),
    Mutant("rates: each asks for all", "gateway/guard/leases.py",
           "return min(max(min(2 * used if now < lease.until else used, self.most), len(lease.waiting), 1), self.burst)",
           "return self.burst", "tests/guard/test_leases.py"),
    Mutant("rates: more is granted than is free", "gateway/store/scripts/take_rate.lua",
           "local granted = math.min(asked, free)", "local granted = asked", "tests/store/test_limits.py"),
    Mutant("quotas: the end is not shared", "gateway/store/scripts/take_quota.lua",
           "local granted = math.min(asked, left, math.max(1, math.floor(left / 8)))", "local granted = math.min(asked, left)",
           "tests/store/test_limits.py"),
    Mutant("slots: what is given back is used meanwhile", "gateway/guard/limits.py",
           "lease.left = min(lease.left, count)  #", "pass  #", "tests/edge/test_limits.py tests/guard"),
    Mutant("slots: a client that goes keeps its slot", "gateway/edge/downstream.py",
           "        self._discharge()\n        if exchange.up is not None and exchange.up.exchange",
           "        if exchange.up is not None and exchange.up.exchange", "tests/edge/test_limits.py"),
    Mutant("limits: without the store deny lets pass", "gateway/guard/limits.py",
           'if mode == "deny":', "if False:", "tests/edge/test_limits.py"),
    Mutant("cluster: a primary that is cut off is believed", "gateway/store/cluster.py",
           "primary.sound, primary.epoch = read_state(", "_, primary.epoch = read_state(", "tests/store/test_cluster.py"),
    Mutant("cluster: what was known of the others counts too", "gateway/store/cluster.py",
           "self._owner.listener.link_lost(self._owner.lost(self._link))", "self._owner.listener.link_lost()",
           "tests/store/test_cluster.py"),
    Mutant("replicated: no replica is needed", "gateway/store/wire.py",
           "if replicas.result() < 1:", "if False:", "tests/store/test_cluster.py tests/store/test_sentinel.py"),
    Mutant("sentinel: an older configuration counts", "gateway/store/sentinel.py",
           "older = newest[0] < self.epoch", "older = False", "tests/store/test_sentinel.py"),
    Mutant("keys: an expiry is only noted", "gateway/store/scripts/expire_credential.lua",
           "end_with_client(KEYS[1], credential.x, { KEYS[2], ARGV[3] .. credential.d })", "", "tests/authority/test_keys.py"),
    Mutant("stale: any route goes on without the store", "gateway/guard/permit.py",
           "if not match.route.max_stale > 0:", "if False:", "tests/guard/test_permit.py"),
    Mutant("stale: for ever", "gateway/guard/verdicts.py",
           "if self._facts.caching or now - self._lost_at > most:", "if self._facts.caching:", "tests/guard/test_verdicts.py"),
    Mutant("stale: also when the store is back", "gateway/guard/verdicts.py",
           "        self._stale.clear()\n", "", "tests/guard/test_verdicts.py"),
    Mutant("permit: any route only reports", "gateway/guard/permit.py",
           "if match.route.reports is not True:", "if False:", "tests/guard/test_permit.py"),
    Mutant("report: a token's end ends what it began", "gateway/guard/permit.py",
           "known = Permit(found.client_id, found.identity, _FOR_EVER)",
           "known = Permit(found.client_id, found.identity, found.deadline)", "tests/guard/test_permit.py"),
    Mutant("permit: a token for another resource passes", "gateway/guard/permit.py",
           "if verdict.audience and verdict.audience.isdisjoint(match.route.resources):", "if False:",
           "tests/guard/test_permit.py"),
    Mutant("refresh: a token grows to more resources", "gateway/store/scripts/refresh.lua",
           "if chain.w and not within(resources, chain.w) then", "if false then", "tests/authority/test_resource_indicators.py"),
    Mutant("permit: an expired verdict passes", "gateway/guard/permit.py",
           "if now >= verdict.deadline:", "if False:", "tests/guard"),
    Mutant("brute force: an attempt is paid after it was verified", "gateway/guard/attempts.py",
           "self._pairs.charge(attempt.pair, now, price)", "pass", "tests/guard/test_attempts.py"),
    Mutant("brute force: being right starts all over", "gateway/guard/attempts.py",
           "self._pairs.refund(attempt.pair, attempt.paid)", "self._pairs.refund(attempt.pair, 100)",
           "tests/guard/test_attempts.py"),
    Mutant("brute force: who shares an attacker's address is locked out", "gateway/guard/attempts.py",
           "            free = proof is not None or attempt.guess in self._under_way", "            free = False",
           "tests/guard/test_attempts.py"),
    Mutant("brute force: an account under attack is closed", "gateway/guard/attempts.py",
           "if attacked else 1, _weight", "* 99 if attacked else 1, _weight", "tests/guard/test_attempts.py"),
    Mutant("brute force: behind a trusted proxy all are one", "gateway/edge/listener.py",
           "return peer.own_lines if address is None else", "return peer.own_lines if True else",
           "tests/edge/test_downstream.py"),
    Mutant("short: what may still be a body is taken for a request", "gateway/authority/short.py",
           "self._framed = body is not None", "pass", "tests/authority/test_short.py"),
    Mutant("short: a request is taken before its body is there", "gateway/authority/short.py",
           "begin if len(data) == begin + length else None", "begin", "tests/authority/test_short.py"),
    Mutant("short: a header breaks its line", "gateway/authority/short.py",
           'if head.count("\\n") != len(lines) or head.count("\\r") != len(lines):', "if False:",
           "tests/authority/test_short.py"),
    Mutant("timing: failures are answered as they come", "gateway/authority/throttle.py",
           "await asyncio.sleep(SLOT - (self._clock() - began) % SLOT)", "pass", "tests/authority/test_throttle.py"),
    Mutant("ttl: access tokens are stored for ever", "gateway/store/scripts/prelude.lua",
           'cmsgpack.pack(token), "PXAT", now + ttl)', "cmsgpack.pack(token))", "tests/store/test_tokens.py"),
    Mutant("ttl: the cache outlives the token", "gateway/guard/verdicts.py",
           "if verdict is not None and now < verdict.deadline:", "if verdict is not None:", "tests/guard"),
    Mutant("digest: the store sees access tokens", "gateway/oauth/tokens.py",
           'return sha256(b"access:" + token).digest()', "return token", "tests/store tests/oauth"),
    Mutant("digest: the store sees refresh tokens", "gateway/oauth/tokens.py",
           'return sha256(b"refresh:" + token).digest()', "return token", "tests/store tests/oauth"),
    Mutant("digest: the store sees client secrets", "gateway/oauth/tokens.py",
           'return sha256(b"secret:" + secret).digest()', "return secret", "tests/authority tests/oauth"),
    Mutant("client binding: any client may refresh", "gateway/store/scripts/refresh.lua",
           "or chain.c ~= ARGV[1]", "or false", "tests/store/test_tokens.py"),
    Mutant("client binding: any client may revoke an access token", "gateway/store/scripts/revoke_access.lua",
           "token.c ~= ARGV[1]", "false", "tests/store/test_tokens.py"),
    Mutant("checksum: mistyped tokens are looked up", "gateway/oauth/tokens.py",
           'return _checksum(token[:-6]).encode("ascii") == token[-6:]', "return True", "tests/oauth/test_tokens.py"),
    Mutant("invalidation: a revoked token stays cached", "gateway/guard/verdicts.py",
           "self._drop(digest)\n        lookup = self._lookups.get(digest)", "lookup = self._lookups.get(digest)", "tests/guard"),
    Mutant("invalidation: a disabled client stays cached", "gateway/guard/verdicts.py",
           "bearer = self._bearers.pop(client_id, None)", "bearer = None", "tests/guard"),
    Mutant("streams: changes reach only what the cache keeps", "gateway/guard/verdicts.py",
           "        self.watcher.token_changed(digest)\n", "", "tests/guard tests/e2e/test_websocket.py"),
    Mutant("streams: a client's end leaves them", "gateway/guard/verdicts.py",
           "        self.watcher.client_changed(client_id)\n", "", "tests/guard tests/e2e/test_websocket.py"),
    Mutant("streams: they outlive their token's hour", "gateway/guard/streams.py",
           "if now >= self._due:", "if False:", "tests/guard"),
    Mutant("streams: a client may have any number", "gateway/guard/streams.py",
           "if count >= rules.max_per_client:", "if False:", "tests/guard tests/edge/test_tunnel.py"),
    Mutant("streams: events elsewhere are not watched", "gateway/edge/streaming.py",
           "if not answer.is_events:", "if True:", "tests/edge/test_streaming_tokens.py"),
    Mutant("websocket: any 101 makes a tunnel", "gateway/edge/streaming.py",
           'return answer.to_websocket and answer.values(b"sec-websocket-accept") == [handshake.accept]', "return True",
           "tests/edge/test_tunnel.py"),
    Mutant("websocket: what follows a refused handshake is a request", "gateway/edge/streaming.py",
           "    reader.keep_alive = False\n", "", "tests/edge/test_tunnel.py"),
    Mutant("websocket: the token goes upstream as a subprotocol", "gateway/edge/streaming.py",
           "            reader.drop({_PROTOCOL})\n", "", "tests/edge/test_tunnel.py"),
    Mutant("websocket: a Close into the middle of a frame", "gateway/edge/tunnel.py",
           "        if self.frames.between:\n            self._take_leave()\n\n", "        self._take_leave()\n\n",
           "tests/edge/test_tunnel.py"),
    Mutant("websocket: a slow end is not waited for", "gateway/edge/tunnel.py",
           "self.other.hold(held=not self.other._muted)", "pass", "tests/edge/test_tunnel.py"),
    Mutant("invalidation: a lost link goes unnoticed", "gateway/guard/verdicts.py",
           "self._kept.clear()", "pass", "tests/guard"),
    Mutant("replay: a spent refresh token kills nothing", "gateway/store/scripts/refresh.lua",
           "end_chain(KEYS[4], chain_id, chain, KEYS[5], ARGV[12])", "", "tests/store/test_tokens.py"),
    Mutant("paths: a rewritten path goes around another route", "gateway/routing.py",
           "if route.kept_out is not None:", "if False:", "tests/edge/test_hardening_paths.py"),
    Mutant("paths: a rewritten path may begin like another host", "gateway/edge/target.py",
           'if sent.startswith((b"/%2F", b"/%5C")):', "if False:", "tests/edge/test_hardening_paths.py"),
    Mutant("paths: an upstream's redirect becomes another host", "gateway/rewriting.py",
           'b"/" + (self._public + path[len(self._sent) :]).lstrip(b"/\\\\")', "self._public + path[len(self._sent) :]",
           "tests/test_rewriting.py"),
    Mutant("headers: a route's configuration may say who calls", "gateway/header_names.py",
           "if lower in IDENTITY:", "if False:", "tests/test_header_names.py"),
    Mutant("headers: one client's answer is another's", "gateway/edge/head.py",
           "other.edited = {}", "other.edited = self.edited", "tests/edge/test_hardening_headers.py"),
    Mutant("codes: a redirect URI may begin like a registered one", "gateway/oauth/authorization.py",
           "    if registered == named:", "    if named.startswith(registered):", "tests/oauth/test_authorization.py"),
    Mutant("codes: no verifier is asked for", "gateway/oauth/authorization.py",
           "return compare_digest(code.challenge, challenge_of(verifier)) and bound", "return bound",
           "tests/oauth/test_authorization.py"),
    Mutant("codes: bound to no redirect URI", "gateway/oauth/authorization.py",
           "challenge_of(verifier)) and bound", "challenge_of(verifier))", "tests/oauth/test_authorization.py"),
    Mutant("codes: plain challenges", "gateway/oauth/authorization.py",
           'if parameters.get("code_challenge_method") != CHALLENGE_METHOD:', "if False:", "tests/oauth/test_authorization.py"),
    Mutant("codes: any loopback app is trusted again", "gateway/oauth/authorization.py",
           " and request.is_claimed", "", "tests/oauth/test_authorization.py"),
    Mutant("codes: a second use ends nothing", "gateway/store/scripts/redeem_code.lua",
           "if begun then", "if false then", "tests/store/test_authorizations.py"),
    Mutant("codes: another client may use them", "gateway/store/scripts/redeem_code.lua",
           " or code.c ~= short(client.c) then", " then", "tests/store/test_authorizations.py"),
    Mutant("codes: they outlive their consent", "gateway/store/scripts/redeem_code.lua",
           "if not consent or consent.e ~= code.g or code.e < client.e then", "if false then",
           "tests/store/test_authorizations.py"),
    Mutant("codes: a wrong guess may be repeated", "gateway/store/scripts/redeem_code.lua",
           '  redis.call("DEL", KEYS[4])\n', "", "tests/store/test_authorizations.py"),
    Mutant("codes: who has not signed in is sent on with an error", "gateway/console/authorize.py",
           "            return people.to_sign_in(request)\n        try:\n            wanted = read_request(",
           "            pass\n        try:\n            wanted = read_request(", "tests/console/test_authorize.py"),
    Mutant("codes: anybody agrees for somebody else", "gateway/console/authorize.py",
           "        csrf.check(request, form)\n", "", "tests/console/test_authorize.py"),
    Mutant("codes: an account that is gone gets one", "gateway/console/authorize.py",
           "        if await people.signed_in(request) is None:\n            await store",
           "        if False:\n            await store",
           "tests/console/test_authorize.py"),
    Mutant("codes: a client with a secret needs none", "gateway/authority/identify.py",
           "if client is None or not client.public or not client.keys:", "if client is None or not client.keys:",
           "tests/console/test_authorize.py"),
    Mutant("chains: idle ones live on", "gateway/store/scripts/redeem_code.lua",
           "x = now + math.min(idle, longest)", "x = now + longest", "tests/store/test_authorizations.py"),
    Mutant("chains: used ones live for ever", "gateway/store/scripts/refresh.lua",
           "chain.x = math.min(now + chain.l, chain.z)", "chain.x = now + chain.l", "tests/store/test_authorizations.py"),
    Mutant("verdicts: one subject's upstream header for another", "gateway/guard/verdicts.py",
           " and bearer.subject == token.subject", "", "tests/guard/test_verdicts.py"),
    Mutant("pages: any site may send a form", "gateway/console/csrf.py",
           "    _check_source(request)\n", "    pass\n", "tests/console/test_forms.py"),
    Mutant("pages: a form needs no token", "gateway/console/csrf.py",
           'if not expected or not compare_digest(sent.encode("utf-8"), expected.encode("ascii")):', "if False:",
           "tests/console/test_forms.py"),
    Mutant("pages: a script of an upstream reads them", "gateway/console/application.py",
           "            check_opened(request)\n", "", "tests/console/test_forms.py"),
    Mutant("pages: signing in leaves the session before", "gateway/console/people.py",
           "    await storage.end(session_of(request))\n", "", "tests/console/test_sign_in.py"),
    Mutant("pages: a session outlives the password", "gateway/console/people.py",
           'or not compare_digest(proof_of(account.password_hash), raw(session["proof"]))', "", "tests/console/test_sign_in.py"),
    Mutant("pages: signing out takes the cookie alone", "gateway/console/people.py",
           "    await request.app[ROOM].storage.end(session)\n", "", "tests/console/test_sign_in.py"),
    Mutant("pages: next leads anywhere", "gateway/console/destination.py",
           "or _LOCAL.fullmatch(path) is None", "", "tests/console/test_forms.py"),
    Mutant("pages: of two cookies the first counts", "gateway/cookies.py",
           "if len(found) == 1 else None", "if found else None", "tests/test_cookies.py"),
    Mutant("pages: an upstream gets the session", "gateway/edge/head.py",
           "lines = without_cookie(lines, route.session_cookie)", "pass", "tests/edge/test_hardening_headers.py"),
    Mutant("pages: an upstream sets the session", "gateway/edge/downstream.py",
           "lines = without_set_cookie(lines, route.session_cookie)", "pass", "tests/edge/test_hardening_headers.py"),
    Mutant("pages: what is put in is not escaped", "gateway/console/pages.py",
           "autoescape=True", "autoescape=False", "tests/console/test_pages.py"),
    Mutant("pages: the client of another account", "gateway/authority/owner.py",
           "if client_id not in self.client_ids:", "if False:", "tests/console/test_account.py"),
    Mutant("pages: a deletion is not waited for", "gateway/console/application.py",
           "clients.delete, ends=True", "clients.delete", "tests/console/test_account.py"),
    Mutant("consents: those of clients that are gone fill the list", "gateway/authority/consents.py",
           "if len(await self.list(account)) >= MAX_CONSENTS:", "if True:", "tests/console/test_authorize.py"),
    Mutant("pages: an end is not waited for", "gateway/console/application.py",
           "            if ends:\n", "            if False:\n", "tests/console/test_account.py"),
)  # fmt: skip


def main() -> int:
    """Run the mutants whose name contains the argument (all, without one)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="")
    only = parser.parse_args().only
    chosen = [mutant for mutant in MUTANTS if only in mutant.name]
    survivors = [mutant.name for number, mutant in enumerate(chosen, 1) if not killed(mutant, f"{number}/{len(chosen)}")]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants were noticed")
    for name in survivors:
        print(f"SURVIVED: {name}")
    return 1 if survivors or not chosen else 0


def killed(mutant: Mutant, place: str) -> bool:
    """Whether the suite fails on the mutated copy."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        target = tree / mutant.file
        text = target.read_text()
        if text.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.file} does not hold {mutant.old!r} exactly once: mend scripts/mutants.py")
        target.write_text(text.replace(mutant.old, mutant.new))
        began = time.monotonic()
        # PYTHONPATH goes before the editable install, in this process and in every gateway that a test starts.
        for tests in (mutant.likely.split(), ["tests"]):
            run = subprocess.run(
                [sys.executable, "-m", "pytest", "-n", "2", "-x", "-q", *tests],
                cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if run.returncode:
                break
    first = next((line for line in run.stdout.splitlines() if line.startswith("FAILED")), "")
    if run.returncode and not first:  # a catch is a test that failed, not a run that broke
        raise SystemExit(f"{mutant.name}: pytest could not run\n{run.stdout[-2000:]}")
    verdict = "noticed " if run.returncode else "SURVIVED"
    print(f"[{place}] {verdict} {time.monotonic() - began:5.1f} s  {mutant.name}  {first[:100]}")
    sys.stdout.flush()
    return run.returncode != 0


def copy_tree(tree: Path) -> None:
    """The tracked and new files, as they are in the work tree."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        source = ROOT / name
        if source.is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tree / name)


if __name__ == "__main__":
    sys.exit(main())
