# SPDX-License-Identifier: Apache-2.0
"""YAML -> a JSON value, made while it is parsed, so that a body beyond a limit is rejected at once. Pure.

Only YAML that means JSON is accepted: string keys, each once; no dates; no times of day (`22:22` is text, as in Go); no
aliases, by which a few bytes become many; no tags except JSON's types. The parser is libyaml if PyYAML has it.
"""

from typing import Any

import yaml
from yaml.constructor import ConstructorError

from tidegate.apiserver.endpoints import json_body
from tidegate.model import errors

_Parser: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_JSON = {f"{_TAG}{name}" for name in ("null", "bool", "int", "float")}
_LONGEST_NUMBER = 100  # characters; longer ones are text


def decoded(body: bytes) -> Any:
    """The value of the only document; None if the body is empty."""
    try:
        return _Reader(body).document()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise errors.BadRequest(f"the body is not valid YAML: {text}") from error


class _Reader:
    """One pass over the events of a body."""

    def __init__(self, body: bytes) -> None:
        self._parser = _Parser(body)
        self._values = 0

    def document(self) -> Any:
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        value = self._value(self._next(), 0)
        self._next()  # the document ends
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise ConstructorError(None, None, "expected a single document", after.start_mark)
        return value

    def _next(self) -> Any:
        return self._parser.get_event()  # type: ignore[no-untyped-call]

    def _value(self, event: Any, depth: int) -> Any:
        self._values += 1
        if self._values > json_body.MOST_VALUES:
            raise json_body.too_many_values()
        if depth >= json_body.DEEPEST:
            raise json_body.too_deep()
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._object(event, depth)
        raise ConstructorError(None, None, "aliases are not accepted", event.start_mark)

    def _list(self, start: Any, depth: int) -> list[Any]:
        _require_tag(start, f"{_TAG}seq")
        entries = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            entries.append(self._value(event, depth + 1))
        return entries

    def _object(self, start: Any, depth: int) -> dict[str, Any]:
        _require_tag(start, f"{_TAG}map")
        made: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            name = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else None
            if not isinstance(name, str):
                raise ConstructorError(None, None, "keys must be strings", event.start_mark)
            if name in made:
                raise ConstructorError(None, None, f'key "{name}" already set in map', event.start_mark)
            made[name] = self._value(self._next(), depth + 1)
        return made

    def _scalar(self, event: Any) -> Any:
        text, tag = event.value, event.tag
        if tag in (None, "!"):
            if len(text) > _LONGEST_NUMBER:
                return text
            tag = self._parser.resolve(yaml.ScalarNode, text, event.implicit)  # type: ignore[no-untyped-call]
            if tag not in _JSON or ":" in text:
                return text
        if tag == f"{_TAG}str":
            return text
        if tag not in _JSON or len(text) > _LONGEST_NUMBER:
            raise ConstructorError(None, None, f"{tag} is not accepted here", event.start_mark)
        value = self._parser.construct_object(yaml.ScalarNode(tag, text, event.start_mark, event.end_mark))
        if isinstance(value, float) and not float("-inf") < value < float("inf"):
            raise ConstructorError(None, None, f"{text} is not a JSON number", event.start_mark)
        return value


def _require_tag(event: Any, tag: str) -> None:
    if event.tag not in (None, "!", tag):
        raise ConstructorError(None, None, f"{event.tag} is not accepted here", event.start_mark)
