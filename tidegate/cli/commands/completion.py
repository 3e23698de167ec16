# SPDX-License-Identifier: Apache-2.0
"""`tidegate completion`: a script for a shell that completes commands and options, as `kubectl completion` prints."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in a shell.

    \b
    bash: eval "$(tidegate completion bash)" in ~/.bashrc
    zsh: eval "$(tidegate completion zsh)" in ~/.zshrc
    fish: tidegate completion fish > ~/.config/fish/completions/tidegate.fish
    """
    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(script(ctx.find_root().command, {}, "tidegate", "_TIDEGATE_COMPLETE").source())
