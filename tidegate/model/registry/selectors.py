# SPDX-License-Identifier: Apache-2.0
"""Label and field selectors: from the API's syntax to a predicate. Pure.

    labels   a=b  a==b  a!=b  a in (b,c)  a notin (b,c)  a  !a     joined by commas
    fields   a=b  a==b  a!=b                                       joined by commas; only the fields of `fields_of`

An object without the label satisfies != and notin, as in k8s.io/apimachinery labels.Requirement.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object, labels

Test = Callable[[Object], bool]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9._-]*"
_SET = re.compile(rf"({_NAME})\s+(in|notin)\s*\(([^()]*)\)")
_EQUALS = re.compile(rf"({_NAME})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_NAME})")

MOST_TERMS = 100
"""Terms of one selector. Each is evaluated on every object."""

_FIELDS_OF_ALL = ("metadata.name", "metadata.namespace")


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects that a request selects. `name`: the only name that can match, if a field selector names one."""

    tests: tuple[Test, ...] = ()
    name: str = ""

    def __call__(self, obj: Object) -> bool:
        return all(test(obj) for test in self.tests)

    def __bool__(self) -> bool:
        return bool(self.tests)


def selection(kind: Kind, label_selector: str, field_selector: str) -> Selection:
    """Both selectors as one. Raises `BadRequest` if one is malformed."""
    if not label_selector and not field_selector:
        return Selection()
    fields = _fields(kind, field_selector)
    names = [value for field, operator, value in fields if field == "metadata.name" and operator != "!="]
    tests = (*_label_tests(label_selector), *(_field_test(*field) for field in fields))
    return Selection(tests, names[0] if names else "")


def fields_of(kind: Kind) -> Sequence[str]:
    """The fields by which objects of a kind can be selected."""
    return (*_FIELDS_OF_ALL, *kind.selectable)


def _label_tests(selector: str) -> list[Test]:
    return [_label_test(term.strip(), selector) for term in _terms(selector)] if selector.strip() else []


def _terms(selector: str) -> list[str]:
    """The selector, split at the commas outside of parentheses."""
    terms: list[str] = []
    parts: list[str] = []
    is_inside = False
    for part in selector.split(","):
        parts.append(part)
        is_inside = part.rfind("(") > part.rfind(")") or (is_inside and ")" not in part)
        if not is_inside:
            terms.append(",".join(parts))
            parts = []
    return _bounded([*terms, ",".join(parts)] if parts else terms)


def _bounded(terms: list[str]) -> list[str]:
    if len(terms) > MOST_TERMS:
        raise errors.BadRequest(f"a selector has at most {MOST_TERMS} terms, this one has {len(terms)}")
    return terms


def _label_test(term: str, selector: str) -> Test:
    if match := _SET.fullmatch(term):
        key, operator, listed = match.groups()
        values = frozenset(value.strip() for value in listed.split(","))
        return _is_in(key, values) if operator == "in" else _is_not_in(key, values)
    if match := _EQUALS.fullmatch(term):
        key, operator, value = match.groups()
        return _is_not_in(key, frozenset([value])) if operator == "!=" else _is_in(key, frozenset([value]))
    if match := _EXISTS.fullmatch(term):
        absent, key = match.groups()
        return lambda obj: (key in labels(obj)) != bool(absent)
    raise errors.BadRequest(f'unable to parse requirement: "{term}" in the label selector "{selector}"')


def _is_in(key: str, values: frozenset[str]) -> Test:
    return lambda obj: labels(obj).get(key) in values


def _is_not_in(key: str, values: frozenset[str]) -> Test:
    return lambda obj: labels(obj).get(key) not in values


def _fields(kind: Kind, selector: str) -> list[tuple[str, str, str]]:
    """The terms of a field selector: (field, operator, value)."""
    terms = []
    for term in filter(None, (term.strip() for term in _bounded(selector.split(",")))):
        match = re.fullmatch(r"([\w.]+)\s*(==|=|!=)\s*(.*)", term)
        if match is None:
            raise errors.BadRequest(f'invalid field selector: "{term}"; can\'t understand it')
        if match[1] not in fields_of(kind):
            raise errors.BadRequest(f"field label not supported: {match[1]}")
        terms.append((match[1], match[2], match[3]))
    return terms


def _field_test(field: str, operator: str, wanted: str) -> Test:
    path = ("source", "component") if field == "source" else tuple(field.split("."))

    def test(obj: Object) -> bool:
        value = obj
        for name in path:
            value = value.get(name) or {}
        found = "" if value == {} else str(value)
        return (found == wanted) != (operator == "!=")

    return test
