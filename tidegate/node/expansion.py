# SPDX-License-Identifier: Apache-2.0
"""References to variables in texts of a Pod's spec. Pure.

In: a value, command or argument, and the variables. Out: the text with `$(NAME)` replaced by the variable and `$$` by a
dollar; a reference to an unknown variable stays as it is. `LaunchRejected` for a text that the kernel would reject.
Rule: k8s.io/kubernetes third_party/forked/golang/expansion.
"""

import re
from collections.abc import Mapping, Sequence

from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected

_LONGEST_TEXT = 128 * 1024  # MAX_ARG_STRLEN of linux/binfmts.h
_LONGEST_SUM = 6 * 2**20  # 3/4 of _STK_LIM
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


class TextBudget:
    """The characters that all texts of one kind may have together, so that references cannot fill the memory before the
    kernel refuses the program. `kind` is for the message."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._left = _LONGEST_SUM

    def spend(self, text: str) -> str:
        """`text` itself. Raises `LaunchRejected`."""
        self._left -= len(text)
        if self._left < 0:
            raise LaunchRejected(CONFIG_ERROR, f"{self._kind} may have {_LONGEST_SUM} characters in all")
        return text


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Raises `LaunchRejected` if references make the text longer than a program's arguments may be."""
    end = text.rfind(")") + 1  # no reference ends behind it
    parts: list[str] = []
    position = size = 0
    for found in _REFERENCE.finditer(text, 0, end):
        value = "$" if found[0] == "$$" else variables.get(found[1], found[0])
        parts += (text[position : found.start()], value)
        size += len(value)
        position = found.end()
        if size > _LONGEST_TEXT:
            limit = f"a text that refers to variables may have {_LONGEST_TEXT} characters"
            raise LaunchRejected(CONFIG_ERROR, f"{limit}: {text[:60]!r}...")
    return "".join((*parts, text[position:end], text[end:].replace("$$", "$")))


def expand_all(texts: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The arguments of a program. Raises `LaunchRejected`."""
    budget = TextBudget("its command")
    return [budget.spend(expand(str(text), variables)) for text in texts]
