# SPDX-License-Identifier: Apache-2.0
"""`tidegate deploy`: from a folder of source, or an image, to a Service that answers."""

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import deployment, failures, options, progress, source_build, urls
from tidegate.cli.connection import connected, home, run
from tidegate.cli.deployment import ServiceChange
from tidegate.cli.options import BuildOptions, Scope, WaitOptions
from tidegate.cli.source_build import BuiltApp, SourceFolder
from tidegate.model.objects import Key, Object
from tidegate.model.text import syntax
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.client.http import HttpCluster


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The service's name and, if it is not built from source, its image."""

    name: str | None
    image: str


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """Changes of the revision template; None removes an entry of a mapping, and leaves any other value unchanged."""

    env: Mapping[str, str | None]
    annotation: Mapping[str, str | None]
    concurrency: int | None
    port: int | None
    command: str | None
    args: str | None
    pull_secret: str | None


@click.command()
@click.argument(
    "target",
    default="",
    metavar="[DIR|NAME]",
    help="Folder of the app's source; with --image, the name of the service (default: from the image).",
)
@options.record(
    "app",
    ServiceOptions,
    click.option("--name", metavar="NAME", help="Name of the service to create or change."),
    click.option("--image", default="", metavar="IMAGE", help="Run this OCI image instead of an app from source."),
)
@options.record(
    "template",
    TemplateOptions,
    click.option(
        "--env",
        multiple=True,
        metavar="NAME=VALUE",
        callback=options.parsed(options.changes),
        help="Environment variable of the app; NAME- removes it; repeatable.",
    ),
    click.option(
        "--annotation",
        multiple=True,
        metavar="NAME=VALUE",
        callback=options.parsed(options.changes),
        help="Annotation of the revision, e.g. autoscaling.knative.dev/min-scale=1; NAME- removes it; repeatable.",
    ),
    click.option(
        "--concurrency",
        type=options.WholeNumber(min=0),
        metavar="N",
        help="Maximum concurrent requests per instance; 0: no limit; not given: unchanged.",
    ),
    click.option(
        "--port",
        type=options.WholeNumber(1, 65535),
        metavar="N",
        help="Port on which the container takes requests (default 8080); not given: unchanged.",
    ),
    click.option(
        "--command",
        metavar="WORDS",
        help="Command in place of the image's entrypoint, in the quotes of a shell; empty removes it.",
    ),
    click.option(
        "--args",
        metavar="WORDS",
        help="Arguments in place of the image's command, in the quotes of a shell; empty removes them.",
    ),
    click.option(
        "--pull-secret", metavar="NAME", help="Secret with the login of the image's registry; empty removes it."
    ),
)
@options.building
@options.waiting("the revision is ready and gets its traffic", 600)
@options.scope
def deploy(
    target: str,
    app: ServiceOptions,
    template: TemplateOptions,
    building: BuildOptions,
    waiting: WaitOptions,
    scope: Scope,
) -> None:
    """Run an app from its source or an OCI image: create a service or its next revision, print its URL."""
    key = Key(scope.namespace, _name(target, app))
    change = _change(app.image, template)
    state = "nothing was changed"

    async def deploy_app(built: BuiltApp) -> Object:
        nonlocal state
        changed = replace(change, image=built.image)
        async with connected(scope.data_dir, strict=True, warn=None) as cluster:
            before = await deployment.find(cluster, key)
            if built.release:
                report(f"{key.name}: running the release command")
                await deployment.run_release(cluster, key, before, changed, built.release)
            service = await deployment.put(cluster, key, before, changed)
            state = deployment.interrupted_state(key.name, before, service)
            if not waiting.wait:
                return service
            async with _progress_of_image(cluster, key, app.image, scope.data_dir, report):
                return await deployment.ready(cluster, service, waiting.timeout, report)

    with failures.interruptible(lambda: state), progress.shown() as report:
        run(_require_connection(key, scope.data_dir))
        built = BuiltApp(app.image)
        if not app.image:
            source = SourceFolder(Path(target), key.name, scope.data_dir)
            built = source_build.built_app(source, building, report)
        service = run(deploy_app(built))
    failures.remark(
        deployment.traffic_share(service)
        if waiting.wait
        else f"{key.name} will become ready in the background: see `tidegate status`"
    )
    if url := urls.of_service(service, scope.data_dir):
        click.echo(url)
        if hint := urls.hint(url):
            failures.remark(hint)


def _name(target: str, app: ServiceOptions) -> str:
    """The name of the service. Raises `Misuse`."""
    if not app.image:
        if not target:
            raise failures.Misuse("Missing argument 'DIR', or option '--image'.")
        if app.name is None:
            raise failures.Misuse("Missing option '--name'.")
        return _checked(app.name, "--name")
    if target and app.name is not None and target != app.name:
        raise failures.Misuse(f'the service has two names, "{target}" and "{app.name}": with --image, DIR is not built')
    if app.name is not None:
        return _checked(app.name, "--name")
    return _checked(target or _of_image(app.image), "NAME")


def _of_image(image: str) -> str:
    """The last part of an image's repository, as a name."""
    from tidegate.images.reference import InvalidReference, parse

    try:
        last = parse(image).repository.rpartition("/")[2]
    except InvalidReference as error:
        raise failures.Misuse(f'--image: "{image}": {error}') from error
    return re.sub("[^a-z0-9]+", "-", last)


def _checked(name: str, where: str) -> str:
    if syntax.dns_1035_label(name):
        raise failures.Misuse(
            f'{where}: "{name}" is not a name for a service: lower-case letters, digits and dashes, a letter first, '
            "no dash last, at most 63 characters"
        )
    return name


def _change(image: str, template: TemplateOptions) -> ServiceChange:
    return ServiceChange(
        image,
        template.env,
        template.annotation,
        template.concurrency,
        template.port,
        _words("--command", template.command),
        _words("--args", template.args),
        template.pull_secret,
    )


def _words(option: str, text: str | None) -> Sequence[str] | None:
    try:
        return None if text is None else shlex.split(text)
    except ValueError as error:
        raise failures.Misuse(f"{option}: {text!r}: {error}".lower()) from error


def _progress_of_image(
    cluster: "HttpCluster", key: Key, image: str, data_dir: Path | None, report: progress.ShowLine
) -> AbstractAsyncContextManager[None]:
    """Reports how the image is resolved and pulled, if the service has one."""
    if not image:
        return nullcontext()
    from tidegate.cli import image_progress

    return image_progress.reported(cluster, key, image, Settings(home(data_dir)).images, report)


async def _require_connection(key: Key, data_dir: Path | None) -> None:
    """Fail before the build if no Tidegate answers."""
    async with connected(data_dir) as cluster:
        await deployment.find(cluster, key)
