"""Whatever is in the file and the environment: the structure is the file's, and the only exception is ConfigFault."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.config.interpolate import Interpolation
from gateway.config.load import load_all
from gateway.config.nodes import Mapping, Node, Scalar, Sequence
from gateway.config.yaml_nodes import compose
from gateway.errors import ConfigFault

NASTY = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["}", "]\nroutes: []", "\n- x", ": ", "# x", "&a", "*a", "!!python/name:os", "${A}", "$${A}", "'", '"', "\x00", "\ud800", "---"]),
)
TEMPLATES = [
    "a: ${A}\nb: [x, '${A}', \"${B}\"]\nc: {d: '${A}${B}'}\n",
    "a: |\n  ${A}\nb: >\n  ${B}\nc: &x ${A}\nd: *x\n",
    "${A}: ${B}\n",
    "- ${A}\n- [${A:-x}]\n",
]


def shape(node: Node | None) -> Any:
    """The structure of a tree, without its values."""
    if isinstance(node, Mapping):
        return {key: shape(child) for key, child in node.entries.items()}
    if isinstance(node, Sequence):
        return [shape(child) for child in node.items]
    assert isinstance(node, Scalar)
    return "scalar", node.plain, node.mark


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEMPLATES[:3]), NASTY, NASTY)
def test_no_value_changes_the_structure(template: str, one: str, other: str) -> None:
    """References are replaced after parsing."""
    root, _ = compose(template)
    assert root is not None
    environ = {"A": one, "B": other}
    interpolation = Interpolation(environ, Path("/nonexistent"))
    replaced = interpolation.replace(root)
    assert shape(replaced) == shape(root)
    assert interpolation.faults == []
    if isinstance(replaced, Mapping) and "a" in replaced.entries:
        first = replaced.entries["a"]
        assert isinstance(first, Scalar)
        assert first.text.rstrip("\n") == one.rstrip("\n")


KEYS = ["listen", "admin", "store", "oauth", "upstreams", "routes", "host", "port", "token", "url", "path", "upstream", "targets", "scopes", "methods",
        "hosts", "allow", "timeouts", "connect", "GET", "x", "trusted_proxies", "workers", "issuer", "registration", "prefix", "public", "max_body"]  # fmt: skip
SCALARS = st.sampled_from(
    ["", "x", "/a", "1", "-1", "true", "null", "1s", "1MiB", "http://h", "[", "{", "*a", "&a x", "!t x", "'", '"q"', "${A}", "${", "$$", "${file:/}",
     "${file:x}", "|\n  x", ">-", "GET", "open", "closed", "10.0.0.0/8", "127.0.0.1", "0x1f", ".nan", "1e999", "- x", "? x", "redis://:p@h", "unix:x",
     "embedded:", "https://[", "http://[::1]:x", "//", "%", "@", "`", "\t", "\x07", "é", "\U0001f600", "9" * 400]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(st.sampled_from(KEYS), inner), max_size=4).map(lambda pairs: "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"),
    ),
    max_leaves=12,
)
DOCUMENTS = st.one_of(
    st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=6).map(lambda pairs: "\n".join(f"{key}: {value}" for key, value in pairs)),
    st.text(max_size=60),
    st.text(alphabet="abc:- \n[]{}&*!|>'\"%@#?,\t$\\", max_size=60),
)
NAMES = st.sampled_from(["GATEWAY_LISTEN__PORT", "GATEWAY_ROUTES__0__PATH", "GATEWAY_STORE", "GATEWAY_UPSTREAMS", "GATEWAY_OAUTH__SCOPES__X",
                         "GATEWAY_", "GATEWAY___", "GATEWAY_LISTEN__", "GATEWAY_LISTEN____PORT", "GATEWAY_ROUTES__99999999999__X", "A"])  # fmt: skip


def try_to_load(content: bytes, environ: dict[str, str]) -> None:
    """Anything but success and ConfigFault escapes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(content)
        found = ["a: sound one"]
        try:
            load_all(path, environ, {})
        except ConfigFault as fault:
            found = fault.faults
        assert found
        assert all(": " in line for line in found)


@settings(max_examples=700, deadline=None)
@given(DOCUMENTS, st.dictionaries(NAMES, st.one_of(NASTY, VALUES), max_size=3))
@example("routes: [{path: /a, upstream: x, scopes: {GET: }}]", {})
@example("upstreams: {1: {targets: {}}}\nroutes: {0: 1}", {"GATEWAY_ROUTES__0__PATH": "/"})
@example("store:\noauth: []\n", {"GATEWAY_STORE": "", "GATEWAY_OAUTH__SCOPES__X": ""})
def test_no_text_raises_anything_but_a_config_fault(text: str, environ: dict[str, str]) -> None:
    """With any environment."""
    try_to_load(text.encode("utf-8", "surrogatepass"), environ)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_config_fault(content: bytes) -> None:
    """Nor what is no text."""
    try_to_load(content, {})
