"""What a page may do, and how it looks to a browser (C04, C05, G08)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from gateway import console
from gateway.console import pages
from tests.console.conftest import ACCOUNT, SIGN_IN, SIGN_OUT, Browser, Page

HERE = Path(console.__path__[0])
EVIL = "<script>alert(1)</script>\" onload='x' =cmd|'/c'!A1"


async def test_c04_c05_every_page_says_what_it_may_do(ann: Browser) -> None:
    """Pages, refusals and redirects: no script, no frame, no foreign form, no sniffing, no referrer, no store."""
    stranger = Browser(ann.house)
    answers = [await stranger.get(SIGN_IN), await ann.get(ACCOUNT), await ann.post(SIGN_OUT, {}), await ann.get(SIGN_OUT)]
    assert [answer.status for answer in answers] == [200, 200, 403, 405]
    for answer in answers:
        headers = answer.headers
        assert headers["Content-Security-Policy"] == (
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        page = Page(await answer.text())
        assert "script" not in page.tags
        assert not any(name == "style" or name.startswith("on") for name in page.attributes)
    leading = await Browser(ann.house).get(ACCOUNT)
    assert (leading.status, leading.headers["Cache-Control"]) == (303, "no-store")


@pytest.mark.parametrize("template", sorted(path.name for path in (HERE / "templates").glob("*.html")))
def test_c04_no_template_turns_the_escaping_off(template: str) -> None:
    """Nor holds a script or a style of its own, which the policy would stop anyway."""
    text = (HERE / "templates" / template).read_text()
    assert not re.search(r"\|\s*safe|autoescape|Markup|<script|<style|style=|\son\w+=|javascript:|href=[^\"]|value=[^\"]", text)


def test_c04_g08_what_is_put_in_is_escaped_and_what_is_missing_is_an_error() -> None:
    templates = pages.templates()
    shown = templates.from_string("<p title=\"{{ name }}\">{{ name }}</p>").render(name=EVIL)
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 2
    assert "'" not in shown.replace("&#39;", "")
    with pytest.raises(UndefinedError):
        templates.from_string("{{ name }}").render()


async def test_the_stylesheet_is_kept_for_ever_under_a_name_of_its_contents(browser: Browser) -> None:
    text = await (await browser.get(SIGN_IN)).text()
    (href,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', text)
    answer = await browser.get(href)
    assert (answer.status, answer.content_type) == (200, "text/css")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (await answer.read()) == (HERE / "assets" / "pages.css").read_bytes()
    assert (await browser.get(href.replace("pages-", "pages-0"))).status == 404


def test_the_stylesheet_loads_nothing_and_knows_both_schemes_and_small_screens() -> None:
    text = (HERE / "assets" / "pages.css").read_text()
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert "max-width: 30rem" in text
    assert ":focus-visible" in text


def test_both_schemes_are_readable() -> None:
    """WCAG 2.2 contrast 4.5 : 1 for text on its back, in light and dark."""
    text = (HERE / "assets" / "pages.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", block)) for block in blocks)

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for scheme in (light, dark):
        for ink, paper in (
            ("text", "back"), ("text", "card"), ("soft", "back"), ("soft", "card"), ("accent", "back"), ("accent", "card"),
            ("on-accent", "accent"), ("bad", "bad-back"), ("bad", "card"), ("text", "good-back"),
        ):  # fmt: skip
            bright, dim = sorted((luminance(scheme[ink]), luminance(scheme[paper])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, paper)


async def test_every_field_has_a_label_and_every_page_a_language_and_one_heading(ann: Browser) -> None:
    for browser, path in ((Browser(ann.house), SIGN_IN), (ann, ACCOUNT)):
        text = await (await browser.get(path)).text()
        assert '<html lang="en">' in text
        assert text.count("<h1") == 1
        named = re.findall(r'<(?:input|select) id="([^"]+)"', text)
        assert all(f'<label for="{name}">' in text for name in named)
        assert len(named) == len(re.findall(r'<(?:input(?! type="hidden")|select)\b', text))


def test_a_policy_is_of_origins_only() -> None:
    assert "form-action 'self' https://app.example;" in pages._policy(["https://app.example"])
    for bad in ("https://a.example; script-src *", "https://a.example b", "x\r\ny", "a,b"):
        with pytest.raises(ValueError):
            pages._policy([bad])
