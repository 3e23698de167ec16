# SPDX-License-Identifier: Apache-2.0
"""An SVG as a PNG, for pages that accept no SVG.

In: the text of a picture. Out: the bytes of a PNG, twice as large for sharp screens. The library (resvg-py) is the
optional extra `png`; it has no fonts, so fontconfig's sans-serif font is used. Called by: `tidegate simulate`.
"""

import subprocess
from typing import NamedTuple

from tidegate.cli.failures import CommandFailure

_ZOOM = 2.0
_MISSING = "drawing PNG needs the extra png: pip install 'tidegate[png]', or for a checkout: pip install resvg-py"
_NO_FONT = "drawing PNG needs a font that fc-match finds (packages fontconfig and fonts-dejavu-core); SVG needs none"


class _Font(NamedTuple):
    file: str
    family: str


def png(svg: str) -> bytes:
    """The picture. Raises `CommandFailure` if the extra or a font is missing."""
    try:
        import resvg_py
    except ImportError as error:
        raise CommandFailure(_MISSING) from error
    font = _font()
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=_ZOOM,
            skip_system_fonts=True,
            font_files=[font.file],
            font_family=font.family,
            sans_serif_family=font.family,
        )
    )


def _font() -> _Font:
    command = ["fc-match", "--format", "%{file}\n%{family[0]}", "sans-serif"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        return _Font(*found.stdout.split("\n"))
    except (OSError, subprocess.CalledProcessError, TypeError) as error:
        raise CommandFailure(_NO_FONT) from error
