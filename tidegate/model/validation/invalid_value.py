# SPDX-License-Identifier: Apache-2.0
"""A value that Kubernetes does not accept in a container. Rules of revisions and of Pods share it: each reports it in
the words of its own API."""

from typing import NamedTuple


class InvalidValue(NamedTuple):
    """`field`: the path within the part that was checked."""

    field: str
    value: object
    why: str
