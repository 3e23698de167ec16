# SPDX-License-Identifier: Apache-2.0
"""Lines of Procfiles and scripts: their arguments, and the delivery of signals to the app."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tidegate.bundles.commands import CommandError, command
from tidegate.bundles.procfile import Procfile, ProcfileError
from tidegate.node.expansion import expand_all


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("python app.py", ("python", "app.py")),
        ("gunicorn -b :$PORT 'a b' app", ("gunicorn", "-b", ":$(PORT)", "a b", "app")),
        ('run --port=${PORT} "on $PORT" cost$', ("run", "--port=$(PORT)", "on $(PORT)", "cost$$")),
        ("show '$PORT' \\$PORT", ("show", "$$PORT", "$$PORT")),
        ("A=1 B='x y' node a.js", ("env", "A=1", "B=x y", "node", "a.js")),
        ("exec node a.js", ("node", "a.js")),
        ("A=1 exec node a.js", ("env", "A=1", "node", "a.js")),
        ("x '&&' \"a|b\"", ("x", "&&", "a|b")),
        ("run ${PORT:-80}", ("/bin/sh", "-c", "exec run $${PORT:-80}")),
        ("java $JAVA_OPTS -jar x.jar", ("/bin/sh", "-c", "exec java $$JAVA_OPTS -jar x.jar")),
        ("A=$B exec run $C", ("/bin/sh", "-c", "A=$$B exec run $$C")),
        ("run > log 2>&1", ("/bin/sh", "-c", "exec run > log 2>&1")),
        ("run *.conf", ("/bin/sh", "-c", "exec run *.conf")),
        ("a && b $PORT", ("/bin/sh", "-c", "trap 'exit 143' TERM\na && b $$PORT")),
        ("a | tee log", ("/bin/sh", "-c", "trap 'exit 143' TERM\na | tee log")),
    ],
)
def test_a_command_runs_without_a_shell_if_it_needs_none(line: str, words: tuple[str, ...]) -> None:
    assert command(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a 'b", "the quote ' is not closed"),
        ("A=1", "it names no program"),
        ("exec A=1 b", "no program"),
        ("a \\", "ends"),
    ],
)
def test_a_command_with_invalid_shell_syntax_is_refused(line: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        command(line)


LINES = [
    "echo one  two",
    "echo $PORT ${PORT} \"$PORT\" '$PORT' \\$PORT $",
    "echo ${PORT:-80} ${NONE:-none} $NONE",
    "A='x  y' sh -c 'echo \"$A\"'",
    'A=$PORT sh -c "echo \\$A"',
    "echo a && echo b; echo c | tr c d",
    "echo $(echo $PORT) `echo x`",
    'exec echo "it\'s" \'a "b"\'',
    "echo err >&2 2>/dev/null; true",
    "cd / && pwd",
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_does_the_same_as_in_a_shell(line: str, tmp_path: Path) -> None:
    variables = {"PORT": "8080", "PATH": os.environ["PATH"]}
    words = expand_all(command(line), variables)

    ours = subprocess.run(words, capture_output=True, text=True, check=True, env=variables, cwd=tmp_path)
    shells = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, env=variables, cwd=tmp_path)
    assert ours.stdout == shells.stdout


GRACEFUL = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("bye")))
print("up", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("line", ["{app}", "A=1 {app}", "exec {app} ${{X:-1}}", "true && {app}", "{app}; echo next"])
def test_sigterm_to_the_group_lets_the_app_exit_by_itself(line: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(GRACEFUL)
    words = expand_all(command(line.format(app="python3 app.py")), {})
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        os.killpg(child.pid, signal.SIGTERM)
        assert child.stdout.read() == "bye\n"
        assert child.wait() in (0, 143)


def test_the_shell_of_several_commands_exits_after_them(tmp_path: Path) -> None:
    """A caller that waits for the shell may conclude that all its commands have exited."""
    slow = "import signal, time; signal.signal(15, lambda *_: (time.sleep(.2), open('done', 'w').close(), exit(0)))\n"
    (tmp_path / "app.py").write_text(slow + "print('up', flush=True)\nsignal.pause()")
    words = expand_all(command("true; python3 app.py; touch next"), {})
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=tmp_path, start_new_session=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        os.killpg(child.pid, signal.SIGTERM)
        child.wait()

        assert (tmp_path / "done").exists()
        assert not (tmp_path / "next").exists()


def test_a_procfile_has_one_line_for_each_type() -> None:
    read = Procfile.of(
        "# how it runs\r\nrelease: ./migrate --all\r\n\r\nweb:  node server.js  \r\nworker: node a.js\r\n"
    )

    assert read.web == ("node", "server.js")
    assert read.release == ("./migrate", "--all")
    assert read.not_run() == ["worker"]


def test_web_comes_before_wsgi_and_static() -> None:
    assert Procfile.of("web: a\nwsgi: b:c\nstatic: d").not_run() == ["wsgi", "static"]
    assert Procfile.of("static: d\nwsgi: b:c").wsgi == "b:c"
    assert Procfile.of("static: d\nwsgi: b:c").static == ""
    assert Procfile.of("static: d").static == "d"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web node server.js", "line 1 of the Procfile cannot be read"),
        ("web:", "line 1"),
        ("web: a\nweb: b", "two lines web:"),
        ("web: 'a", "line web: cannot be read: the quote"),
        ("release: A=1", "line release: cannot be read: it names no program"),
    ],
)
def test_an_invalid_procfile_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ProcfileError, match=words):
        Procfile.of(text)
