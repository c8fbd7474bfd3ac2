"""The pages through the public port of a real process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.authority.conftest import PASSWORD
from tests.console.conftest import ACCOUNT, SIGN_IN, SIGN_OUT, Page
from tests.ops.running import CONFIG, Gateway
from tests.servers import ValkeyServer


@pytest.fixture
def running(valkey: ValkeyServer, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with pages, and two workers: a session is known to both."""
    config = CONFIG.replace("{registration: open}", "{registration: open, sign_in: true}")
    (tmp_path / "config.yaml").write_text(f"{config}workers: 2\n")
    gateway = Gateway(tmp_path, GATEWAY_STORE__URL=valkey.url, PYTHONPATH=os.pathsep.join(sys.path))
    try:
        yield gateway.start()
    finally:
        gateway.kill_all()


def test_somebody_signs_in_and_out_over_the_wire(running: Gateway) -> None:
    url = f"http://127.0.0.1:{running.port}"
    running.register("ann")
    with httpx.Client(base_url=url) as http:
        answer = http.get(ACCOUNT)
        assert answer.status_code == 303
        fields = Page(http.get(answer.headers["Location"]).text).form(SIGN_IN)
        form = {**fields, "username": "ann", "password": PASSWORD}
        origin = {"Sec-Fetch-Site": "same-origin"}
        signed_in = http.post(SIGN_IN, data=form, headers=origin)
        assert (signed_in.status_code, signed_in.headers["Location"]) == (303, ACCOUNT)
        cookie = http.cookies["gateway"]
        for _ in range(8):
            assert httpx.get(url + ACCOUNT, cookies={"gateway": cookie}).status_code == 200
        page = Page(http.get(ACCOUNT).text)
        assert http.post(SIGN_OUT, data=page.form(SIGN_OUT), headers=origin).status_code == 303
        for _ in range(8):
            assert httpx.get(url + ACCOUNT, cookies={"gateway": cookie}).status_code == 303
