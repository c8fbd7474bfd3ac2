"""docs/paths.md: its configuration loads, and each row of its table is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.mapping import Outward
from gateway.rewriting import rewriting

DOC = (Path(__file__).parent.parent / "docs" / "paths.md").read_text()
ROWS = [re.findall(r"`([^`]+)`|any", row) for row in re.findall(r"^\| `/.*", DOC, re.MULTILINE)]


def test_its_configuration_is_sound(tmp_path: Path) -> None:
    """As written, but for the secret's place."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)
    (tmp_path / "key").write_text("k\n")
    text = "upstreams: {legacy: {targets: ['http://target:9000']}}\n" + block.replace("/run/secrets/legacy-key", "key")
    (tmp_path / "config.yaml").write_text(text)
    (route,) = load(tmp_path / "config.yaml", {}).routes
    assert route.request_headers is not None
    assert route.request_headers.set["X-Api-Key"].get_secret_value() == "k"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[-2])
def test_a_row_of_the_table_is_what_happens(row: list[str]) -> None:
    """What is sent, and what the client reads in Location."""
    asked, *route, location, read = row
    change, sent = None, asked
    if route[0]:
        path, *option = route[:-1]
        if option:
            key, value = option[0].split(": ")
            change = rewriting(path, key == "strip_prefix", value if key == "rewrite" else None)
            assert change is not None
            sent = change.forward(asked.encode()).decode()
        assert sent == route[-1]
    view = Outward("http://target:9000", b"target:9000", b"https://public", change)
    assert view.url(location.encode(), asked.encode(), sent.encode()).decode() == read


def test_the_table_has_rows() -> None:
    assert len(ROWS) == 4
