# SPDX-License-Identifier: Apache-2.0
"""Credentials from Secrets and from the user, for registries with users and TLS."""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import images, registry
from harness.registry import PASSWORD, USER, TestRegistry
from tidegate.client.memory import MemoryCluster
from tidegate.images.credentials import NO_CREDENTIALS, Credentials, of_secrets
from tidegate.images.errors import PullError
from tidegate.images.pull_secrets import credentials_of
from tidegate.images.puller import Puller
from tidegate.images.reference import parse
from tidegate.images.resolver import Resolver
from tidegate.images.store import ImageStore
from tidegate.model.config import Configs, ImagesConfig
from tidegate.model.kinds import SECRET, SERVICE_ACCOUNT
from tidegate.model.objects import Object

needs_registry = pytest.mark.needs("skopeo", "docker-registry", "root")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(auths: Any, kind: str = "kubernetes.io/dockerconfigjson", name: str = "pull") -> Object:
    key, content = (".dockercfg", auths) if kind.endswith("dockercfg") else (".dockerconfigjson", {"auths": auths})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": kind,
        "data": {key: encoded(json.dumps(content))},
    }


def tried(credentials: Credentials, image: str) -> list[str]:
    """The user:password that skopeo gets for an image, in order."""
    reference = parse(image)
    found = []
    for authfile in credentials.authfiles(reference):
        entry = json.loads(authfile)["auths"].get(reference.name)
        found.append(base64.b64decode(entry["auth"]).decode() if entry else "")
    return found


@pytest.fixture(autouse=True)
def no_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user who runs the tests may be logged in somewhere."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user" / "run"))


@pytest.mark.parametrize(
    ("place", "image", "fits"),
    [
        ("ghcr.io", "ghcr.io/o/app", True),
        ("https://ghcr.io", "ghcr.io/o/app", True),
        ("ghcr.io/o", "ghcr.io/o/app", True),
        ("ghcr.io/p", "ghcr.io/o/app", False),
        ("https://index.docker.io/v1/", "nginx", True),
        ("docker.io", "nginx", True),
        ("index.docker.io/v1/", "me/app", True),
        ("*.example.com", "a.example.com/app", True),
        ("*.example.com", "a.b.example.com/app", False),
        ("host:5000", "host:5000/app", True),
        ("host:5000", "host:5001/app", False),
        ("host", "host:5000/app", False),
        ("http://host:5000/v2/", "host:5000/app", True),
    ],
)
def test_a_login_fits_images_as_in_the_kubelet(place: str, image: str, fits: bool) -> None:
    credentials = of_secrets([secret({place: {"auth": encoded("me:word")}})])

    assert tried(credentials, image) == (["me:word"] if fits else [""])


def test_the_longest_match_is_tried_first() -> None:
    auths = {"ghcr.io": {"auth": encoded("all:1")}, "ghcr.io/o": {"username": "one", "password": "2"}}
    more = secret({"ghcr.io": {"auth": encoded("other:3")}}, name="more")

    assert tried(of_secrets([secret(auths), more]), "ghcr.io/o/app") == ["one:2", "all:1", "other:3"]


def test_both_types_of_secrets_are_read() -> None:
    old = secret({"ghcr.io": {"auth": encoded("me:word")}}, "kubernetes.io/dockercfg")

    assert tried(of_secrets([old]), "ghcr.io/o/app") == ["me:word"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"type": "Opaque", "data": {".dockerconfigjson": encoded('{"auths": {"ghcr.io": {"auth": "eA=="}}}')}},
        {"type": "kubernetes.io/dockerconfigjson"},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "!"}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded("[")}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded("[]")}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded('{"auths": {"x": 1}}')}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "/w=="}},
    ],
)
def test_an_unreadable_secret_brings_no_login(broken: Object) -> None:
    assert of_secrets([broken]) == NO_CREDENTIALS


def test_a_login_does_not_show_its_password() -> None:
    credentials = of_secrets([secret({"ghcr.io": {"auth": encoded("me:word")}})])

    assert encoded("me:word") not in repr(credentials)


async def test_the_secrets_of_the_service_account_are_used_if_the_spec_names_none() -> None:
    cluster = MemoryCluster()
    for name in ("of-account", "of-pod"):
        await cluster.create(SECRET, secret({"ghcr.io": {"auth": encoded(f"{name}:word")}}, name=name))
    account = {"name": "default", "namespace": "default"}
    pull = {"imagePullSecrets": [{"name": "of-account"}]}
    await cluster.create(SERVICE_ACCOUNT, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account, **pull})

    for spec, wanted in (
        ({}, "of-account:word"),
        ({"imagePullSecrets": [{"name": "of-pod"}]}, "of-pod:word"),
        ({"serviceAccountName": "other"}, ""),
    ):
        assert tried(await credentials_of(cluster, "default", spec), "ghcr.io/o/app") == [wanted]


async def test_a_missing_secret_brings_no_login() -> None:
    cluster = MemoryCluster()
    await cluster.create(SECRET, secret({"ghcr.io": {"auth": encoded("me:word")}}))
    spec = {"imagePullSecrets": [{"name": "missing"}, {"name": "pull"}, {}]}

    assert tried(await credentials_of(cluster, "default", spec), "ghcr.io/o/app") == ["me:word"]


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    """A registry with users."""
    with registry.running(tmp_path_factory.mktemp("guarded"), users=True) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
def private(tmp_path: Path, guarded: TestRegistry) -> str:
    return guarded.push(images.build(tmp_path / "app", "app:v1", [images.Entry("a", b"a")]), "private/app:v1")


@needs_registry
async def test_a_secret_opens_a_registry_with_users(guarded: TestRegistry, private: str, store: ImageStore) -> None:
    wrong = secret({f"{guarded.address}/private": {"username": USER, "password": "wrong"}}, name="wrong")
    right = secret(json.loads(guarded.docker_config())["auths"])
    puller = Puller(store, ImagesConfig)

    for credentials in (NO_CREDENTIALS, of_secrets([wrong])):
        with pytest.raises(PullError, match=r"authentication required|unauthorized") as raised:
            await puller.pull(private, "", credentials)
        assert raised.value.reason == "ErrImagePull"
    both = of_secrets([wrong, right])

    assert (await Resolver(store, Configs).resolve(private, both)).startswith(f"{guarded.address}/private/app@sha256:")
    assert (await puller.pull(private, "", both)).names == (private,)


@needs_registry
async def test_the_password_is_in_no_argument_and_in_no_file_afterwards(
    tmp_path: Path, guarded: TestRegistry, private: str, store: ImageStore
) -> None:
    credentials = of_secrets([secret(json.loads(guarded.docker_config())["auths"])])
    words: set[str] = set()
    modes: set[int] = set()

    async def look() -> None:
        while True:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    words.update([*process.cmdline(), *process.environ().values()])
            modes.update(path.stat().st_mode & 0o777 for path in store.folder.glob("work/*/auth.json"))
            await asyncio.sleep(0.002)

    looking = asyncio.create_task(look())
    await Puller(store, ImagesConfig).pull(private, "", credentials)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)

    assert any("copy" in word for word in words)
    assert not any(PASSWORD in word or encoded(f"{USER}:{PASSWORD}") in word for word in words)
    assert modes == {0o600}
    assert list(store.folder.rglob("auth.json")) == []


@needs_registry
@pytest.mark.parametrize("place", [".docker/config.json", "run/containers/auth.json", ".config/containers/auth.json"])
async def test_the_logins_of_the_user_are_used(
    tmp_path: Path, guarded: TestRegistry, private: str, store: ImageStore, place: str
) -> None:
    file = tmp_path / "user" / place
    file.parent.mkdir(parents=True)
    file.write_text(guarded.docker_config())

    assert await Puller(store, ImagesConfig).pull(private)


@needs_registry
async def test_a_certificate_must_be_trusted(
    tmp_path: Path, store: ImageStore, monkeypatch: pytest.MonkeyPatch, own_address: str
) -> None:
    layout = images.build(tmp_path / "app", "app:v1", [images.Entry("a", b"a")])
    with registry.running(tmp_path / "tls", tls=True, host=own_address) as running:
        reference = running.push(layout, "app:v1")
        with pytest.raises(PullError, match="certificate signed by unknown authority"):
            await Puller(store, ImagesConfig).pull(reference)

        insecure = replace(ImagesConfig(), insecure_registries=frozenset({running.address}))
        assert await Puller(store, lambda: insecure).pull(reference)

        monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
        assert await Puller(ImageStore(tmp_path / "other"), ImagesConfig).pull(reference)


@needs_registry
async def test_a_registry_without_tls_must_be_allowed(tmp_path: Path, store: ImageStore, own_address: str) -> None:
    layout = images.build(tmp_path / "app", "app:v1", [images.Entry("a", b"a")])
    with registry.running(tmp_path / "registry", host=own_address) as running:
        reference = running.push(layout, "app:v1")
        with pytest.raises(PullError, match="server gave HTTP response to HTTPS client"):
            await Puller(store, ImagesConfig).pull(reference)

        insecure = replace(ImagesConfig(), insecure_registries=frozenset({running.address}))
        assert await Puller(store, lambda: insecure).pull(reference)


@needs_registry
async def test_a_mirror_serves_the_images_of_another_registry(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    layout = images.build(tmp_path / "app", "app:v1", [images.Entry("a", b"a")])
    plain.push(layout, "library/mirrored:v1")
    config = ImagesConfig(registry_mirrors=(("docker.io", plain.address),))

    image = await Puller(store, lambda: config).pull("mirrored:v1")
    resolved = await Resolver(store, lambda: Configs(images=config)).resolve("mirrored:v1")

    assert image.names == ("docker.io/library/mirrored:v1",)
    assert resolved == f"index.docker.io/library/mirrored@{layout.digest}"
    assert (await Puller(store, ImagesConfig).pull(resolved)).id == image.id
