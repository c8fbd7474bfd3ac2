"""The store goes away and comes back: what goes on, what does not, and that nobody is let in who should not be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.ops.running import CONFIG, Gateway
from tests.servers import ValkeyServer, wait_for

Make = Callable[..., Gateway]
CACHED = CONFIG.replace("routes:\n", "routes:\n  - {path: /cached, upstream: legacy, on_store_failure: cached, max_stale: 1h}\n")


def test_known_tokens_go_on_until_the_store_is_back_and_then_it_decides(gateway: Make, folder: Path) -> None:
    """502 is the upstream's: nobody is behind, so the request passed."""
    (folder / "config.yaml").write_text(CACHED)
    store = ValkeyServer().start()
    try:
        running = gateway(GATEWAY_STORE__URL=store.url).start()
        client = running.register("ann")
        known, never, unseen = [running.token(client)["access_token"] for _ in range(3)]

        def ask(token: str, path: str = "/cached") -> int:
            return running.ask("GET", path, Authorization=f"Bearer {token}")[0]

        assert (ask(known), ask(never), ask(never, "/v1/resource")) == (502, 502, 502)
        assert running.form(client, "/v1/oauth/revoke", f"token={never}") == 200
        assert ask(never) == 401
        store.kill()
        wait_for(lambda: ask(known, "/v1/resource") == 503)
        assert [ask(token) for token in (known, never, unseen)] == [502, 503, 503]
        assert running.ask("GET", "/public/x")[0] == 502
        assert running.metric('gateway_stale_requests_total{route="/cached"}') == 1
        store.start()
        wait_for(lambda: ask(unseen) == 502)
        assert (ask(known), ask(never)) == (502, 401)
        assert running.metric('gateway_stale_requests_total{route="/cached"}') == 1, "the store decides again"
    finally:
        store.stop()
