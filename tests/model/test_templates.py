# SPDX-License-Identifier: Apache-2.0
import pytest

from tidegate.model.text import templates


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("{{.Name}}.{{ .Name }}", "hello.hello"),
        ('{{index .Labels "a.b/c"}}', "x"),
        ("{{.Labels.short}}", "y"),
        ('{{index .Labels "none"}}|{{.Labels.none}}', "|"),
        ("a {{- .Name -}} b", "ahellob"),
        ('{{/* why */}}{{"lit"}}', "lit"),
    ],
)
def test_the_documented_actions_render(text: str, rendered: str) -> None:
    template = templates.parse(text, ("Name",), ("Labels",))

    assert template.render({"Name": "hello", "Labels": {"a.b/c": "x", "short": "y"}}) == rendered


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{{if .Name}}x{{end}}", "if .Name"),
        ("{{.Name | upper}}", "upper"),
        ("{{.Other}}", ".Other"),
        ("{{.Name.deep}}", ".Name"),
        ("{{.Labels}}", ".Labels"),
        ("{{.Name", "not closed"),
    ],
)
def test_other_actions_are_rejected_by_name(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        templates.parse(text, ("Name",), ("Labels",))

    assert named in str(caught.value)


@pytest.mark.parametrize("text", ["{{" * 500_000, "{{" + " " * 1_000_000, "{{- " * 250_000])
def test_a_long_text_is_read_once(text: str) -> None:
    """A search for the end of each action, with every split of its spaces, took hours."""
    with pytest.raises(ValueError, match="not closed"):
        templates.parse(text, ["Name"])
