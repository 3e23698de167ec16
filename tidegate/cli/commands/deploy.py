# SPDX-License-Identifier: Apache-2.0
"""`tidegate deploy`: from a folder of source to a Service that answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from tidegate.cli import deployment, failures, options, progress, source_build, urls
from tidegate.cli.connection import connected, run
from tidegate.cli.deployment import ServiceChange
from tidegate.cli.options import BuildOptions, Scope, WaitOptions
from tidegate.cli.source_build import BuiltApp, SourceFolder
from tidegate.model.objects import Key, Object
from tidegate.model.text import syntax


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """Changes of the revision template; None removes an entry."""

    env: Mapping[str, str | None]
    annotation: Mapping[str, str | None]
    concurrency: int | None


@click.command()
@click.argument("folder", type=options.FILE, metavar="DIR", help="Folder of the app's source.")
@click.option("--name", required=True, metavar="NAME", help="Name of the service to create or change.")
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
)
@options.building
@options.waiting("the revision is ready and gets its traffic", 600)
@options.scope
def deploy(
    folder: Path, name: str, template: TemplateOptions, building: BuildOptions, waiting: WaitOptions, scope: Scope
) -> None:
    """Run an app from its source: build it, create a service or its next revision, print its URL."""
    if syntax.dns_1035_label(name):
        raise failures.Misuse(
            f'--name: "{name}" is not a name for a service: lower-case letters, digits and dashes, a letter first, '
            "no dash last, at most 63 characters"
        )
    key = Key(scope.namespace, name)
    state = "nothing was changed"

    async def deploy_app(app: BuiltApp) -> Object:
        nonlocal state
        change = ServiceChange(app.image, template.env, template.annotation, template.concurrency)
        async with connected(scope.data_dir, strict=True, warn=None) as cluster:
            before = await deployment.find(cluster, key)
            if app.release:
                report(f"{name}: running the release command")
                await deployment.run_release(cluster, key, before, change, app.release)
            service = await deployment.put(cluster, key, before, change)
            state = deployment.interrupted_state(name, before, service)
            if waiting.wait:
                return await deployment.ready(cluster, service, waiting.timeout, report)
            return service

    with failures.interruptible(lambda: state), progress.shown() as report:
        run(_require_connection(key, scope.data_dir))
        app = source_build.built_app(SourceFolder(folder, name, scope.data_dir), building, report)
        service = run(deploy_app(app))
    failures.remark(
        deployment.traffic_share(service)
        if waiting.wait
        else f"{name} will become ready in the background: see `tidegate status`"
    )
    if url := urls.of_service(service, scope.data_dir):
        click.echo(url)
        if hint := urls.hint(url):
            failures.remark(hint)


async def _require_connection(key: Key, data_dir: Path | None) -> None:
    """Fail before the build if no Tidegate answers."""
    async with connected(data_dir) as cluster:
        await deployment.find(cluster, key)
