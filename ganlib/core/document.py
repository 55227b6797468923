"""A YAML file as plain values, bounded before it is built: nothing in it can hang its reader or fill the memory.

It is YAML 1.2, in which `2e-4` and `1e-05` are numbers.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ganlib.core.errors import UserError

MAX_BYTES = 2**16
MAX_VALUES = 5_000
"""Keys and values, those that aliases repeat among them."""
MAX_DEPTH = 10
MAX_TEXT, MAX_NUMBER = 1_000, 50
"""Characters of one value."""


def read_document(path: Path) -> tuple[Any, Node | None]:
    """Return what a file holds, and its nodes, which know how it was written; raise UserError in one line."""
    text = _read_text(path)
    yaml = YAML(typ="safe", pure=True)
    try:
        _check_events(path, yaml.parse(text))
        node = yaml.compose(text)
        if node is None:
            return None, None
        for key, scalar in _scalars(node):
            _check_scalar(path, key, scalar, yaml.constructor)
        return yaml.constructor.construct_document(node), node
    except YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {shortened(_reason(error), 300)}") from None


def shortened(text: str, most: int = 80) -> str:
    """Return a text in one line of so many characters at most."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no file: move what is there away, and restore the file with git")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES >> 10} KiB: take out what is no parameter")
        return content.decode("utf-8-sig")  # Windows' editors put a mark first
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root, or restore it with git") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML: byte {error.start} is not UTF-8: save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}: make it a file that you may read") from None


def _check_events(path: Path, events: Iterable[Event]) -> None:
    """Refuse what would be costly to build, as soon as it is seen: the parser itself is lazy."""
    total, sizes = 0, dict[str, int]()
    begun: list[tuple[str | None, int]] = []
    for event in events:
        place = f"{path}: line {event.start_mark.line + 1}"
        if isinstance(event, CollectionEndEvent):
            anchor, before = begun.pop()
            sizes |= {anchor: total - before} if anchor else {}
        elif isinstance(event, AliasEvent):
            if event.anchor not in sizes:
                raise UserError(
                    f"{place}: *{shortened(event.anchor)} repeats nothing that ends before it: write it out"
                )
            total += sizes[event.anchor]
        elif isinstance(event, (ScalarEvent, CollectionStartEvent)):
            total += 1
            if event.anchor in sizes:
                raise UserError(f"{place}: anchor &{shortened(event.anchor)} is there twice: rename one")
            if event.tag:
                raise UserError(f"{place}: a tag, {shortened(str(event.tag))}: write the value without it")
            if isinstance(event, ScalarEvent):
                sizes |= {event.anchor: 1} if event.anchor else {}
            else:
                begun.append((event.anchor, total - 1))
        if len(begun) > MAX_DEPTH:
            raise UserError(f"{place}: nested more than {MAX_DEPTH} deep: parameters are two or three")
        if total > MAX_VALUES:
            raise UserError(f"{place}: more than {MAX_VALUES} values, aliases followed: take out what is no parameter")


def _scalars(node: Node, key: str = "") -> Iterator[tuple[str, ScalarNode]]:
    """Yield every key and single value, with the name of its place."""
    if isinstance(node, ScalarNode):
        yield key, node
    elif isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            yield from _scalars(child, f"{key}.{index}" if key else str(index))
    elif isinstance(node, MappingNode):
        for name, child in node.value:
            said = shortened(name.value) if isinstance(name, ScalarNode) else "a key"
            place = f"{key}.{said}" if key else said
            yield from _scalars(name, place)
            yield from _scalars(child, place)


def _check_scalar(path: Path, key: str, node: ScalarNode, constructor: Any) -> None:
    text = node.tag.endswith(":str")
    if len(node.value) > (MAX_TEXT if text else MAX_NUMBER):
        most = f"{MAX_TEXT} characters" if text else f"{MAX_NUMBER} digits"
        raise UserError(f"{path}: {shortened(key)} = {shortened(node.value)}: longer than {most}: shorten it")
    try:
        constructor.construct_document(node)
    except (ValueError, OverflowError):  # a 30th of February
        raise UserError(
            f"{path}: {shortened(key)} = {shortened(node.value)}: no {node.tag.rpartition(':')[2]} that there is: mend "
            "it, or quote it as text"
        ) from None


def _reason(error: YAMLError) -> str:
    if not isinstance(error, MarkedYAMLError) or not error.problem:
        return str(error)
    line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
    return f"{line}{error.context or ''} {error.problem}"
