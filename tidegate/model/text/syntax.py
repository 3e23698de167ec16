# SPDX-License-Identifier: Apache-2.0
"""The syntax of names. Each function returns the rules that a text breaks, in Kubernetes' words (k8s.io/apimachinery
util/validation); an empty list means that the text is valid."""

import re
from collections.abc import Sequence

LABEL_1123 = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
"""A regular expression without the limit of 63 characters."""
_SUBDOMAIN_1123 = rf"{LABEL_1123}(\.{LABEL_1123})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"

_IS_1123 = re.compile(LABEL_1123)
_IS_SUBDOMAIN = re.compile(_SUBDOMAIN_1123)
_IS_1035 = re.compile(_LABEL_1035)
_IS_QUALIFIED = re.compile(_QUALIFIED)
_IS_IDENTIFIER = re.compile(_IDENTIFIER)


def _rule(text: str, *examples: str, pattern: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{pattern}')"


_BAD_1123 = _rule(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character",
    "my-name",
    "123-abc",
    pattern=LABEL_1123,
)
_BAD_SUBDOMAIN = _rule(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character",
    "example.com",
    pattern=_SUBDOMAIN_1123,
)
_BAD_1035 = _rule(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character",
    "my-name",
    "abc-123",
    pattern=_LABEL_1035,
)
_BAD_QUALIFIED = _rule(
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character",
    "MyName",
    "my.name",
    "123-abc",
    pattern=_QUALIFIED,
)
_BAD_IDENTIFIER = _rule(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters "
    "or '_'",
    "my_name",
    "MY_NAME",
    "MyName",
    pattern=_IDENTIFIER,
)


def _check(text: str, rule: re.Pattern[str], broken: str, longest: int) -> list[str]:
    found = [f"must be no more than {longest} characters"] if len(text) > longest else []
    return found if rule.fullmatch(text) else [*found, broken]


def dns_1123_label(text: str) -> Sequence[str]:
    return _check(text, _IS_1123, _BAD_1123, 63)


def dns_1123_subdomain(text: str) -> Sequence[str]:
    return _check(text, _IS_SUBDOMAIN, _BAD_SUBDOMAIN, 253)


def dns_1035_label(text: str) -> Sequence[str]:
    return _check(text, _IS_1035, _BAD_1035, 63)


def dns_1035_prefix(text: str) -> Sequence[str]:
    """The start of a label, which may end with a dash."""
    return dns_1035_label(f"{text[:-1]}a" if len(text) > 1 and text.endswith("-") else text)


def identifier(text: str) -> Sequence[str]:
    return [] if _IS_IDENTIFIER.fullmatch(text) else [_BAD_IDENTIFIER]


def qualified_name(text: str) -> Sequence[str]:
    """A name, after an optional DNS subdomain and a slash."""
    found: list[str] = []
    prefix, slash, name = text.partition("/")
    if not slash:
        prefix, name = "", text
    elif "/" in name:
        return [
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            f"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            f"'{_QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    elif not prefix:
        found.append("prefix part must be non-empty")
    else:
        found += [f"prefix part {rule}" for rule in dns_1123_subdomain(prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 characters")
    return found if _IS_QUALIFIED.fullmatch(name) else [*found, _BAD_QUALIFIED]
