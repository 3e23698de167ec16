# SPDX-License-Identifier: Apache-2.0
"""The registries.conf of a run of skopeo: from config-images and the host's own files."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tidegate.images import registries
from tidegate.model.config import Configs, ImagesConfig


def rendered(config: ImagesConfig, registry: str = "ghcr.io", host: list[dict[str, Any]] | None = None) -> Any:
    tables = tomllib.loads(registries.render(config, registry, host or [])).get("registry", [])
    return {table["prefix"]: table for table in tables}


def config(**data: str) -> ImagesConfig:
    return Configs.parse({"config-images": {key.replace("_", "-"): value for key, value in data.items()}}).images


def test_mirrors_are_tried_in_their_order() -> None:
    found = rendered(config(registry_mirrors="docker.io=a.example, docker.io=b.example/hub, ghcr.io=c.example"))

    assert [mirror["location"] for mirror in found["docker.io"]["mirror"]] == ["a.example", "b.example/hub"]
    assert [mirror["location"] for mirror in found["ghcr.io"]["mirror"]] == ["c.example"]


def test_a_registry_is_insecure_only_if_a_setting_says_so() -> None:
    found = rendered(
        config(registry_mirrors="docker.io=a.example/hub", insecure_registries="a.example, b.example:5000")
    )

    assert found["b.example:5000"]["insecure"] is True
    assert found["docker.io"]["insecure"] is False
    assert found["docker.io"]["mirror"][0]["insecure"] is True


@pytest.mark.parametrize(
    ("registry", "is_insecure"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("10.0.0.1:5000", False),
        ("localhost.example", False),
        ("ghcr.io", False),
    ],
)
def test_a_registry_on_a_loopback_address_needs_no_tls(registry: str, is_insecure: bool) -> None:
    assert (registry in rendered(ImagesConfig(), registry)) is is_insecure


def test_the_settings_of_the_host_are_kept_unless_config_images_names_the_registry() -> None:
    host: list[dict[str, Any]] = [
        {"prefix": "docker.io", "location": "docker.io", "mirror": [{"location": "theirs.example", "insecure": True}]},
        {"location": "quay.io", "prefix": "quay.io", "blocked": True},
        {"location": "localhost:5000", "prefix": "localhost:5000", "insecure": False},
    ]

    found = rendered(config(registry_mirrors="docker.io=ours.example"), "localhost:5000", host)

    assert [mirror["location"] for mirror in found["docker.io"]["mirror"]] == ["ours.example"]
    assert found["quay.io"]["blocked"] is True
    assert found["localhost:5000"]["insecure"] is False
    assert rendered(ImagesConfig(), host=host)["docker.io"]["mirror"][0] == {
        "location": "theirs.example",
        "insecure": True,
    }


def test_the_files_of_the_user_replace_the_main_file_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(registries, "_SYSTEM", tmp_path / "etc")
    files = {
        "etc/registries.conf": '[[registry]]\nlocation = "system"\n',
        "etc/registries.conf.d/a.conf": '[[registry]]\nlocation = "drop-in"\n',
        "etc/registries.conf.d/b.conf": "not toml",
        "etc/registries.conf.d/c.conf": "registry = 3\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert [table["location"] for table in registries.of_host()] == ["system", "drop-in"]

    user = tmp_path / ".config/containers/registries.conf"
    user.parent.mkdir(parents=True)
    user.write_text('[[registry]]\nlocation = "user"\n')
    assert [table["location"] for table in registries.of_host()] == ["user", "drop-in"]


def test_quotes_in_a_setting_stay_in_their_string() -> None:
    hostile = 'a"\n[[registry]]\nprefix = "evil'

    assert list(rendered(ImagesConfig(insecure_registries=frozenset({hostile})))) == [hostile]
