"""The pages in a real browser: what it sends with our forms, and what it keeps scripts from (C01, C05, C07, C08)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.chromium import a_tab, needs_chromium
from tests.console.conftest import ACCOUNT, SIGN_IN
from tests.ops.running import CONFIG, Gateway
from tests.servers import ValkeyServer

pytestmark = needs_chromium

PASSWORD, NEW = "client-password", "another-password"


@pytest.fixture
def url(valkey: ValkeyServer, tmp_path: Path) -> Iterator[str]:
    """A gateway with pages and one account, as the issuer says."""
    issuer = "{registration: open, sign_in: true}"
    (tmp_path / "config.yaml").write_text(CONFIG.replace("{registration: open}", issuer))
    gateway = Gateway(tmp_path, GATEWAY_STORE__URL=valkey.url, PYTHONPATH=os.pathsep.join(sys.path))
    try:
        gateway.start().register("ann")
        yield f"http://127.0.0.1:{gateway.port}"
    finally:
        gateway.kill_all()


async def test_a_person_walks_through_all_pages(url: str) -> None:
    """Signing in, a client, its secret, name and end, another password, out; the browser has nothing to say against any page."""
    async with a_tab() as tab:
        await tab.go(f"{url}{ACCOUNT}")
        assert await tab.run("location.pathname") == SIGN_IN
        await tab.submit("main form button", username="ann", password="wrong-password")
        assert await tab.run("document.querySelector('[role=alert]').textContent") == "Username or password is wrong."
        await tab.submit("main form button", username="ann", password=PASSWORD)
        assert await tab.run("location.pathname") == ACCOUNT
        await tab.submit(f"form[action='{ACCOUNT}/clients'] button")
        assert str(await tab.run("document.querySelectorAll('code')[2].textContent")).startswith("gws_")
        await tab.submit("a.button")
        assert await tab.run("location.pathname") == f"{ACCOUNT}/client"
        await tab.submit("button.ends[value=revoke]")
        assert "There is none" in await tab.run("document.body.textContent")
        await tab.submit(f"form[action='{ACCOUNT}/client/name'] button", client_name="Orders")
        assert await tab.run("document.querySelector('#client_name').value") == "Orders"
        await tab.submit(f"a[href^='{ACCOUNT}/client/delete']")
        await tab.submit("button.ends")
        assert "The client is deleted" in await tab.run("document.querySelector('[role=status]').textContent")
        await tab.go(f"{url}{ACCOUNT}")
        await tab.submit(f"form[action='{ACCOUNT}/password'] button", password=PASSWORD, new=NEW, again=NEW)
        assert "Your password is changed" in await tab.run("document.querySelector('[role=status]').textContent")
        await tab.submit("form.who button")
        assert await tab.run("location.pathname") == SIGN_IN
        assert tab.complaints() == []
        sent = tab.forms_sent()
        assert len(sent) == 8
        # Under our Referrer-Policy it says no more of where a form comes from than this.
        assert {(head["origin"], head["sec-fetch-site"], "referer" in head) for head in sent} == {("null", "same-origin", False)}


async def test_c07_a_destination_is_reached_though_no_redirect_may_lead_there(url: str) -> None:
    async with a_tab() as tab:
        await tab.go(f"{url}{SIGN_IN}?next=/public/x%3Fa=b")
        await tab.submit("main form button", username="ann", password=PASSWORD)
        await tab.until("location.pathname + location.search == '/public/x?a=b'")


async def test_c05_c08_a_script_of_the_same_origin_gets_at_no_page(url: str) -> None:
    """It can neither read one, nor look into a window that it opened, nor frame it; the cookie is not its to see either."""
    async with a_tab() as tab:
        await tab.go(f"{url}{SIGN_IN}")
        await tab.submit("main form button", username="ann", password=PASSWORD)
        await tab.go(f"{url}/elsewhere")  # a 404 of ours, which has no policy: as any page of an upstream
        assert await tab.run("document.cookie") == ""
        assert await tab.run(f"fetch('{ACCOUNT}').then(answer => answer.status)") == 403
        form = "{method: 'POST', headers: {'Content-Type': 'application/x-www-form-urlencoded'}, body: 'csrf=x'}"
        assert await tab.run(f"fetch('{ACCOUNT}/sign-out', {form}).then(answer => answer.status)") == 403
        framed = await tab.run(
            "new Promise(done => { const frame = document.createElement('iframe');"
            f" frame.onload = () => done(frame.contentDocument ? frame.contentDocument.body.textContent : null);"
            f" frame.src = '{ACCOUNT}'; (document.body || document.documentElement).append(frame); }})"
        )
        assert "Your account" not in (framed or "")
        opened = await tab.run(
            f"new Promise(done => {{ const opened = window.open('{ACCOUNT}'); const look = () => {{"
            " try { if (opened.closed) return done('gone'); opened.document.title; } catch (error) { return done(error.name); }"
            " setTimeout(look, 20); }; look(); })"
        )
        assert opened in ("gone", "SecurityError")
