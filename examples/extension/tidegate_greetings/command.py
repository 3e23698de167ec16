# SPDX-License-Identifier: Apache-2.0
"""The command `tidegate greet`: creates a Greeting and prints its text."""

from contextlib import aclosing
from pathlib import Path

import click

from tidegate.cli import options, watching
from tidegate.cli.connection import connected, run
from tidegate.extension import Key
from tidegate_greetings.kind import GREETING


@click.command()
@click.argument("whom")
@click.option("--language", default="en", show_default=True, help="The language: en, de or fr.")
@options.data_dir
def greet(whom: str, language: str, data_dir: Path | None) -> None:
    """Greet somebody."""
    run(_greet(whom, language, data_dir))


async def _greet(whom: str, language: str, data_dir: Path | None) -> None:
    key = Key("default", whom.lower())
    metadata = {"namespace": key.namespace, "name": key.name}
    head = {"apiVersion": GREETING.api_version, "kind": GREETING.kind, "metadata": metadata}
    async with connected(data_dir) as cluster:
        await cluster.create(GREETING, {**head, "spec": {"whom": whom, "language": language}})
        async with aclosing(watching.states(cluster, GREETING, key)) as states:
            async for greeting in states:
                if greeting is not None and "text" in greeting.get("status", {}):
                    click.echo(greeting["status"]["text"])
                    return
