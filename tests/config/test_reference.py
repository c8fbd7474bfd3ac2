"""docs/config.md says what the model says."""

from __future__ import annotations

import re

from gateway.config.model import Config
from gateway.config.reference import text
from tests.config.test_load import REPOSITORY


def test_the_manual_is_fresh() -> None:
    """``python -m gateway.config.reference > docs/config.md`` renews it."""
    assert (REPOSITORY / "docs" / "config.md").read_text() == text()


def test_every_key_of_every_section_has_a_row() -> None:
    """With a meaning."""
    manual = text()
    for key in Config.model_fields:
        assert f"| `{key}` |" in manual
    rows = re.findall(r"^\| `\w+` \| (.*) \| (.*) \| (.*) \|$", manual, re.MULTILINE)
    assert len(rows) > 45
    assert all(kind and default and meaning for kind, default, meaning in rows)
    assert "| `token` | secret | none |" in manual
    assert "| `access_token_ttl` | duration | `1h` |" in manual
    assert "| `min_body_rate` | size | `240B` |" in manual
