# SPDX-License-Identifier: Apache-2.0
"""The subset of Go templates that Knative's configuration documents: `domain-template`, `tag-template`,
`container-name-template`.

In: the text of a template and the names that it may use. Out: a `Template` that renders values to text. Supported:

| action                        | gives                                      |
| --- | --- |
| `{{.Name}}`                   | a field                                    |
| `{{.Labels.key}}`             | an entry of a map field, or nothing        |
| `{{index .Labels "key"}}`     | the same, for keys with dots and dashes    |
| `{{"text"}}`, `{{/* ... */}}` | the text; nothing                          |
| `{{- ` and ` -}}`             | the same, and trim the text on that side   |

Anything else (if, range, functions, pipes) is rejected by name when the template is parsed.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

Values = Mapping[str, str | Mapping[str, str]]

_FIELD = re.compile(r"\.([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?", re.ASCII)
_INDEX = re.compile(r'index\s+\.([A-Za-z_]\w*)\s+"([^"\\]*)"', re.ASCII)
_LITERAL = re.compile(r'"([^"\\]*)"')
_COMMENT = re.compile(r"/\*.*\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str | None = None

    def render(self, values: Values) -> str:
        value = values.get(self.name, "")
        if self.key is not None:
            return value.get(self.key, "") if isinstance(value, Mapping) else ""
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. Templates with the same text are equal."""

    text: str
    _parts: tuple[str | _Field, ...] = field(repr=False, compare=False)

    def render(self, values: Values) -> str:
        return "".join(part if isinstance(part, str) else part.render(values) for part in self._parts)


def parse(text: str, names: Collection[str], maps: Collection[str] = ()) -> Template:
    """Parse `text`, which may use the fields `names` and the map fields `maps`; `ValueError` for anything else."""
    parts: list[str | _Field] = []
    position, trim = 0, False
    while (start := text.find("{{", position)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            raise ValueError("an action {{ is not closed")
        action = text[start + 2 : end]
        trims = action[:1] == "-" and action[1:2].isspace()
        parts.append(_trimmed(text[position:start], left=trim, right=trims))
        action = action[1:] if trims else action
        trim = action[-1:] == "-" and action[-2:-1].isspace()
        parts.append(_read((action[:-1] if trim else action).strip(), names, maps))
        position = end + 2
    parts.append(_trimmed(text[position:], left=trim, right=False))
    return Template(text, tuple(parts))


def _trimmed(text: str, *, left: bool, right: bool) -> str:
    text = text.lstrip() if left else text
    return text.rstrip() if right else text


def _read(action: str, names: Collection[str], maps: Collection[str]) -> str | _Field:
    if found := _FIELD.fullmatch(action):
        return _field(found[1], found[2], names, maps)
    if found := _INDEX.fullmatch(action):
        return _field(found[1], found[2], names, maps)
    if found := _LITERAL.fullmatch(action):
        return found[1]
    if _COMMENT.fullmatch(action):
        return ""
    raise ValueError(f'the action "{{{{{action}}}}}" is not supported; {_choices(names, maps)}')


def _field(name: str, key: str | None, names: Collection[str], maps: Collection[str]) -> _Field:
    if name not in (names if key is None else maps):
        raise ValueError(f'the field ".{name}" is not known here; {_choices(names, maps)}')
    return _Field(name, key)


def _choices(names: Collection[str], maps: Collection[str]) -> str:
    fields = [f"{{{{.{name}}}}}" for name in names] + [f'{{{{index .{name} "key"}}}}' for name in maps]
    return f"known are {', '.join(fields)}"
