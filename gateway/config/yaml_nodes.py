"""
YAML text → tree with marks, by way of PyYAML's events.

Built from events rather than by PyYAML's composer: the depth is bounded (the composer recurses in C), duplicate keys are
seen (PyYAML keeps the last one), aliases are counted, and no tag builds anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from gateway.config.faults import Fault, Mark, Unreadable
from gateway.config.nodes import Mapping, Node, Scalar, Sequence

LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_DEPTH = 32
"""Levels of nesting; the model has six."""
MAX_ALIASED = 100_000
"""Nodes that all aliases together may stand for (the billion laughs)."""
_TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def compose(text: str, source: str = "") -> tuple[Node | None, list[Fault]]:
    """
    Read one YAML document.

    Args:
        text: The document.
        source: Stands in the marks in place of line and column, when the text is no file.

    Returns:
        The tree, None when the document is empty, and the faults that did not hinder reading on.

    Raises:
        Unreadable: It is not YAML, too deep, or more than one document.
    """
    _refuse_controls(text, source)
    builder = _Builder(source)
    loader = LOADER(text)
    try:
        while loader.check_event():
            builder.take(loader.get_event())  # type: ignore[no-untyped-call]  # types-PyYAML has no signature
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        mark = Mark(source, at.line + 1, at.column + 1) if at else Mark(source)
        raise Unreadable(mark, _explain(error.problem or "", text, mark)) from None
    except (yaml.YAMLError, ValueError, OverflowError):
        raise Unreadable(builder.last, "this is not YAML") from None
    finally:
        loader.dispose()
    return builder.root, builder.faults


def _refuse_controls(text: str, source: str) -> None:
    found = _FORBIDDEN.search(text)
    if found:
        at = found.start()
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        message = f"a character U+{ord(found[0]):04X} can't stand in YAML: remove it, or write an escape in double quotes"
        raise Unreadable(Mark(source, line, column), message)


def _explain(problem: str, text: str, mark: Mark) -> str:
    lines = text.splitlines()
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    if line[mark.column - 1 : mark.column] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab can't indent YAML: use spaces"
    if "${" in line and "did not find expected" in problem.replace("expected '", "did not find expected '"):
        return 'not YAML here: within { } or [ ] write "${…}" in quotes'
    return f"not YAML here: {problem}" if problem else "this is not YAML"


@dataclass
class _Frame:
    """A collection that is still open."""

    mark: Mark
    anchor: str | None
    mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Mark] = field(default_factory=dict)
    key: str | None = None
    duplicate: bool = False
    size: int = 1

    def close(self) -> Node:
        """The finished node."""
        return Mapping(self.entries, self.keys, self.mark) if self.mapping else Sequence(tuple(self.items), self.mark)


class _Builder:
    """Takes events, one by one; afterwards ``root`` is the tree."""

    def __init__(self, source: str) -> None:
        self.root: Node | None = None
        self.faults: list[Fault] = []
        self.last = Mark(source)
        self._source = source
        self._open: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._aliased = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Build on."""
        if event.start_mark is not None:
            self.last = Mark(self._source, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise Unreadable(self.last, "a second document begins here: keep one, without ---")
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_tag(event.tag, _TEXT_TAGS)
            node = Scalar(event.value, self.last, plain=event.implicit[0] and not event.style and event.tag is None)
            self._add(node, 1, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor or "")
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            frame = self._open.pop()
            self._add(frame.close(), frame.size, frame.anchor)

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        self._refuse_tag(event.tag, (None, "!"))
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable(self.last, f"nested more than {MAX_DEPTH} levels deep")
        if self._open and self._open[-1].mapping and self._open[-1].key is None:
            raise Unreadable(self.last, "a key must be plain text, not a list or a mapping")
        self._open.append(_Frame(self.last, event.anchor, isinstance(event, yaml.MappingStartEvent)))

    def _refuse_tag(self, tag: str | None, known: tuple[str | None, ...]) -> None:
        if tag not in known:
            self.faults.append(Fault(self.last, "tags mean nothing here: remove the word that begins with !"))

    def _alias(self, anchor: str) -> None:
        if any(frame.anchor == anchor for frame in self._open):
            raise Unreadable(self.last, f"the alias *{anchor} stands within its own anchor")
        if anchor not in self._anchors:
            raise Unreadable(self.last, f"no anchor &{anchor} above")
        node, size = self._anchors[anchor]
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise Unreadable(self.last, f"aliases stand for more than {MAX_ALIASED} values")
        self._add(node, size, None)

    def _add(self, node: Node, size: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)
        if not self._open:
            self.root = node
            return
        frame = self._open[-1]
        frame.size += size
        if not frame.mapping:
            frame.items.append(node)
        elif frame.key is None:
            self._begin_entry(frame, node)
        else:
            if not frame.duplicate:
                frame.entries[frame.key] = node
            frame.key, frame.duplicate = None, False

    def _begin_entry(self, frame: _Frame, node: Node) -> None:
        if not isinstance(node, Scalar):
            raise Unreadable(self.last, "a key must be plain text, not a list or a mapping")
        if node.plain and node.text == "<<":
            self.faults.append(Fault(self.last, "merge keys (<<) are not YAML 1.2: write the keys out"))
        frame.key = node.text
        frame.duplicate = node.text in frame.keys
        if frame.duplicate:
            first = frame.keys[node.text].line
            self.faults.append(Fault(self.last, f'the key "{node.text}" stands here twice, first on line {first}: keep one'))
        else:
            frame.keys[node.text] = self.last
