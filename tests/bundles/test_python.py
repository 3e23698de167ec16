# SPDX-License-Identifier: Apache-2.0
"""Python projects: version, installed packages and start command. Nothing is downloaded: the tests make wheels."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bundles.world import app, build, folder_of, make_wheel, remarks
from tidegate.bundles.bundle import Bundle, BundleError

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def output(built: Bundle, *command: str) -> str:
    """The output of a program in the bundle's environment."""
    program = built.folder / "env" / "bin" / command[0]
    return subprocess.run([program, *command[1:]], capture_output=True, text=True, check=True, cwd=built.source).stdout


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where uv looks for packages."""
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    make_wheel(tmp_path / "wheels", "greetings", "greet")
    return tmp_path / "wheels"


def test_an_app_that_requires_nothing_gets_its_environment_without_network(tmp_path: Path) -> None:
    built = build(tmp_path, app(tmp_path / "app", **{"requirements.txt": "# nothing\n"}))

    assert output(built, "python", "-c", "import sys; print(sys.prefix)").strip() == str(built.folder / "env")
    assert built.environment("/bin")["PATH"] == f"{built.folder}/env/bin:/bin"


PYPROJECT = f'[project]\nname = "shop"\nversion = "1"\nrequires-python = ">={VERSION}"\ndependencies = ["greetings"]\n'
PIPFILE_LOCK = {"default": {"greetings": {"version": "==1.0", "markers": "python_version >= '3.8'"}}, "develop": {}}


@pytest.mark.parametrize(
    "files",
    [
        {"requirements.txt": "greetings\n"},
        {"pyproject.toml": PYPROJECT},
        {"Pipfile": '[packages]\ngreetings = "*"\n[dev-packages]\nabsent = "*"\n'},
        {"Pipfile": '[packages]\nabsent = "*"\n', "Pipfile.lock": json.dumps(PIPFILE_LOCK)},
        {"Pipfile": '[packages]\ngreetings = {version = "==1.0"}\n'},
    ],
    ids="+".join,
)
@pytest.mark.usefixtures("wheels")
def test_the_app_s_requirements_are_installed(tmp_path: Path, files: dict[str, str]) -> None:
    built = build(tmp_path, app(tmp_path / "app", **files))

    assert output(built, "greet") == "hello\n"


def test_a_uv_lock_is_obeyed(tmp_path: Path, wheels: Path) -> None:
    folder = app(tmp_path / "app", **{"pyproject.toml": PYPROJECT})
    lock = f"""
version = 1
requires-python = ">={VERSION}"
[[package]]
name = "greetings"
version = "1.0"
source = {{ registry = "{wheels}" }}
wheels = [{{ path = "greetings-1.0-py3-none-any.whl" }}]
[[package]]
name = "shop"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "greetings" }}]
"""
    (folder / "uv.lock").write_text(lock)
    make_wheel(wheels, "greetings", "greet", "def main():\n    print('another')\n").rename(
        wheels / "greetings-2.0-py3-none-any.whl"
    )
    make_wheel(wheels, "greetings", "greet")
    (folder / "requirements.txt").write_text("absent\n")
    built = build(tmp_path, folder)

    assert output(built, "greet") == "hello\n"
    assert remarks(tmp_path, folder) == ["requirements.txt is not used: uv.lock lists the dependencies"]


def test_a_project_that_is_installed_in_place_is_found_in_its_bundle(tmp_path: Path) -> None:
    folder = app(
        tmp_path / "app",
        **{
            "requirements.txt": "-e .\n",
            "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n[build-system]\nrequires = []\n'
            'build-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": BACKEND,
            "shop.py": "print('in', __file__)\n",
        },
    )
    built = build(tmp_path, folder)

    assert output(built, "python", "-P", "-c", "import shop") == f"in {built.source}/shop.py\n"


BACKEND = """
import pathlib, zipfile
def build_editable(folder, *_, **__):
    name = "shop-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        wheel.writestr("shop.pth", str(pathlib.Path.cwd()) + "\\n")
        wheel.writestr("shop-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: shop\\nVersion: 1\\n")
        wheel.writestr("shop-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("shop-1.dist-info/RECORD", "")
    return name
"""


def test_a_missing_requirement_fails_with_uv_s_message_and_leaves_no_files(tmp_path: Path) -> None:
    missing = (tmp_path / "no-such.whl").as_uri()
    with pytest.raises(BundleError, match="installing what the app requires failed") as failure:
        build(tmp_path, app(tmp_path / "app", **{"requirements.txt": f"no-such @ {missing}\n"}))
    assert "no-such" in "\n".join(failure.value.lines)
    assert list((tmp_path / "bundles").iterdir()) == []


@pytest.mark.parametrize(
    "files",
    [
        {".python-version": f"# ours\n{VERSION}\n"},
        {"runtime.txt": f"python-{VERSION}\n"},
        {"Pipfile": f'[requires]\npython_version = "{VERSION}"\n'},
        {"pyproject.toml": f'[project]\nname = "a"\nrequires-python = ">={VERSION}"\n'},
    ],
    ids="+".join,
)
def test_the_requested_python_version_runs_the_app(tmp_path: Path, files: dict[str, str]) -> None:
    built = build(tmp_path, app(tmp_path / "app", **files))

    assert output(built, "python", "--version").startswith(f"Python {VERSION}.")
    assert remarks(tmp_path, tmp_path / "app") == []


@pytest.mark.parametrize(
    ("file", "text"), [(".python-version", "3.3"), ("runtime.txt", "python-3.3.1"), (".python-version", "our-name")]
)
def test_a_python_version_that_is_not_installed_is_refused_with_its_file(tmp_path: Path, file: str, text: str) -> None:
    with pytest.raises(BundleError) as failure:
        build(tmp_path, app(tmp_path / "app", **{file: text}))

    assert str(failure.value).startswith(
        f"{file} asks for Python {text.removeprefix('python-')}; installed on this host for apps: "
    )
    assert VERSION in str(failure.value)


@pytest.mark.parametrize("text", ["--help", "-q", "/bin/sh", "./evil", "3.11\0"])
def test_an_invalid_python_version_is_not_passed_to_uv(tmp_path: Path, text: str) -> None:
    with pytest.raises(BundleError, match=r"^\.python-version asks for no version of Python: "):
        build(tmp_path, app(tmp_path / "app", **{".python-version": text}))


def test_another_patch_release_of_the_requested_python_is_used_and_named(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", **{"runtime.txt": f"python-{VERSION}.999"})

    assert remarks(tmp_path, folder) == [
        f"runtime.txt asks for Python {VERSION}.999: it runs with the {VERSION} of this host"
    ]


@pytest.mark.parametrize("lock", ["poetry.lock", "Pipfile.lock", "pdm.lock", "environment.yml"])
def test_an_unused_lock_file_is_named(tmp_path: Path, lock: str) -> None:
    folder = app(tmp_path / "app", **{lock: "{}", "requirements.txt": ""})

    assert remarks(tmp_path, folder) == [f"{lock} is not used: requirements.txt lists the dependencies"]


def test_dependencies_in_the_format_of_poetry_are_refused(tmp_path: Path) -> None:
    text = '[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\npython = "^3.11"\nflask = "*"\n'
    with pytest.raises(BundleError, match="which only poetry reads"):
        build(tmp_path, app(tmp_path / "app", **{"pyproject.toml": text}))


FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
GUNICORN = ("gunicorn", "--bind", "127.0.0.1:$(PORT)", "--workers", "1", "--threads", "8", "--timeout", "0")


@pytest.mark.parametrize(
    ("files", "installed", "command"),
    [
        ({"main.py": "print()"}, (), ("python", "main.py")),
        ({"app.py": "print()"}, (), ("python", "app.py")),
        ({"app.py": "print()", "main.py": "print()"}, (), ("python", "main.py")),
        ({"main.py": FLASK}, ("gunicorn",), (*GUNICORN, "main:app")),
        ({"app.py": FLASK}, ("gunicorn", "uvicorn"), (*GUNICORN, "app:app")),
        ({"main.py": FASTAPI}, ("uvicorn", "fastapi"), ("uvicorn", "--port", "$(PORT)", "main:app")),
        ({"main.py": f"{FLASK}if __name__ == '__main__':\n    app.run()\n"}, (), ("python", "main.py")),
        ({"wsgi.py": "application = make()\n"}, ("gunicorn",), (*GUNICORN, "wsgi:application")),
        ({"app/main.py": FASTAPI}, ("uvicorn",), ("uvicorn", "--port", "$(PORT)", "app.main:app")),
        ({"src/main.py": FASTAPI}, ("uvicorn",), ("uvicorn", "--port", "$(PORT)", "--app-dir", "src", "main:app")),
        ({"src/app.py": FLASK}, ("gunicorn",), (*GUNICORN, "--chdir", "src", "app:app")),
        ({"main.py": FASTAPI}, ("gunicorn",), (*GUNICORN, "main:app")),
        ({"server.py": "x = 1\n", "main.py": "print()"}, (), ("python", "main.py")),
        ({"manage.py": "", "shop/wsgi.py": ""}, ("django", "gunicorn"), (*GUNICORN, "shop.wsgi")),
        ({"main.py": "app == 1\napplication = 2\n"}, ("gunicorn",), ("python", "main.py")),
        ({"Procfile": "wsgi: shop.site:application"}, ("gunicorn",), (*GUNICORN, "shop.site:application")),
        ({"Procfile": "web: ./x", "main.py": FLASK}, ("gunicorn",), ("./x",)),
    ],
)
def test_the_start_command_comes_from_the_procfile_or_the_program(
    tmp_path: Path, wheels: Path, files: dict[str, str], installed: tuple[str, ...], command: tuple[str, ...]
) -> None:
    for name in installed:
        make_wheel(wheels, name, name)
    folder = folder_of(tmp_path / "app", **files, **{"requirements.txt": "\n".join(installed)})

    assert build(tmp_path, folder).command == command


@pytest.mark.parametrize(("text", "server"), [("app = make()\n", "gunicorn"), (FASTAPI, "uvicorn")])
def test_the_server_that_an_application_takes_is_installed(
    tmp_path: Path, wheels: Path, text: str, server: str
) -> None:
    make_wheel(wheels, server, server)
    built = build(tmp_path, folder_of(tmp_path / "app", **{"main.py": text}))

    assert built.command[0] == server
    assert output(built, server) == "hello\n"


def test_gunicorn_is_installed_if_wsgi_needs_it(tmp_path: Path, wheels: Path) -> None:
    make_wheel(wheels, "gunicorn", "gunicorn")
    built = build(tmp_path, folder_of(tmp_path / "app", **{"Procfile": "wsgi: shop:app", "shop.py": "app = None"}))

    assert output(built, "gunicorn") == "hello\n"


@pytest.mark.usefixtures("wheels")
def test_modules_are_compiled_at_the_build_and_invalid_ones_stay(tmp_path: Path) -> None:
    files = {"requirements.txt": "greetings", "shop.py": "", "old.py": "print 'Python 2'"}
    built = build(tmp_path, app(tmp_path / "app", **files))

    compiled = {each.name.partition(".")[0] for each in built.folder.rglob("*.pyc")}
    assert {"app", "shop", "__init__"} <= compiled
    assert "old" not in compiled


@pytest.mark.parametrize(
    ("manage", "expected"),
    [
        ("import sys; open('collected', 'w').write(' '.join(sys.argv[1:]))", []),
        (
            "raise SystemExit('SECRET_KEY is not set')",
            ["collectstatic --noinput failed with exit code 1: SECRET_KEY is"],
        ),
    ],
    ids=["works", "fails"],
)
def test_static_files_of_django_are_collected_if_possible(
    tmp_path: Path, wheels: Path, manage: str, expected: list[str]
) -> None:
    make_wheel(wheels, "django", "django-admin")
    folder = app(tmp_path / "app", **{"requirements.txt": "django", "manage.py": manage})
    remarked: list[str] = []
    built = build(tmp_path, folder, remark=remarked.append)

    assert [words in line for words, line in zip(expected, remarked, strict=True)] == [True] * len(expected)
    assert expected or (built.source / "collected").read_text() == "collectstatic --noinput"
