# SPDX-License-Identifier: Apache-2.0
"""Charts of values over time: blocks in the terminal, and SVG."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.chart import Panel, PlotLine, blocks, columns, svg, ticks

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("values", "width", "height", "most", "rows"),
    [
        ([], 10, 2, 0, ["", ""]),
        ([0, 0], 10, 2, 0, ["  ", "··"]),
        ([0, 1, 2, 4], 10, 1, 4, ["·▂▄█"]),
        ([0, 1, 2, 4], 10, 2, 4, ["   █", "·▄██"]),
        ([0.001, 4], 10, 2, 4, [" █", "▁█"]),
        ([0, 0, 4, 0, 0, 0], 3, 1, 4, ["·█·"]),
    ],
)
def test_bars_of_blocks_fill_from_below(
    values: list[float], width: int, height: int, most: float, rows: list[str]
) -> None:
    assert blocks(values, width, height, most) == rows


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.integers(1, 100))
def test_columns_keep_every_peak_and_fit_the_width(values: list[float], width: int) -> None:
    shown = columns(values, width)

    assert len(shown) == min(width, len(values))
    assert max(shown) == max(values)


@pytest.mark.parametrize(
    ("most", "levels"),
    [(0, [0, 1]), (1, [0, 0.5, 1]), (4, [0, 1, 2, 3, 4]), (29, [0, 10, 20, 30]), (200, [0, 50, 100, 150, 200])],
)
def test_an_axis_has_round_numbers(most: float, levels: list[float]) -> None:
    assert ticks(most) == levels


@given(st.floats(1e-6, 1e9))
def test_an_axis_reaches_beyond_the_highest_value_with_few_numbers(most: float) -> None:
    levels = ticks(most)

    assert levels[-1] >= most * 0.999
    assert 2 <= len(levels) <= 5


def test_the_picture_has_each_line_as_a_staircase_on_the_scale_of_its_panel() -> None:
    load = PlotLine("load", [0, 10, 10, 5], "#60a5fa", filled=True)
    wanted = PlotLine("wanted", [0, 2, 2, 1], "#1f2937")

    picture = ElementTree.fromstring(svg("A & B", [Panel("requests", [load]), Panel("instances", [wanted])], 120))
    paths = [path.get("d") for path in picture.findall(f"{SVG}path")]
    texts = [text.text for text in picture.iter(f"{SVG}text")]

    assert paths == [
        "M70 270.0H270.0V70.0H670.0V170.0H870V270H70Z",
        "M70 540.0H270.0V340.0H670.0V440.0H870",
    ]
    assert picture.findtext(f"{SVG}title") == "A & B"
    assert {"A & B", "requests", "load", "instances", "wanted", "0 s", "120 s", "10", "2"} <= set(texts)


@pytest.mark.parametrize(("seconds", "last"), [(0, "0 s"), (60, "60 s"), (600, "10 min"), (86400, "20 h")])
def test_the_unit_of_time_depends_on_the_length(seconds: float, last: str) -> None:
    picture = ElementTree.fromstring(svg("t", [Panel("p", [PlotLine("l", [1, 2], "#000000")])], seconds))

    assert [text.text for text in picture.iter(f"{SVG}text") if str(text.text).endswith((" s", " min", " h"))][
        -1
    ] == last
