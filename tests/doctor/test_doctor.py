# SPDX-License-Identifier: Apache-2.0
"""The checks of `tidegate doctor`, on hosts that tests make up, and their table in the docs."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from tidegate.cli.commands.doctor import doctor
from tidegate.doctor import checks, kernel, limits, tools
from tidegate.doctor.checks import CHECKS, INSTALL, CheckResult, advice_for, examine, family_of, works
from tidegate.doctor.finding import Answer, Finding, HostView, State, missing, ok

PAGE = Path(__file__).parents[2] / "docs/doctor.md"
ALL_CAPABILITIES = "Name: x\nCapEff:\t000001ffffffffff\n"


@dataclass(frozen=True, slots=True)
class MadeUp(HostView):
    """A host with these files, programs and answers."""

    home: Path = Path("/home/me/.tidegate")
    files: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    failing: Sequence[str] = ()
    free: int = 10 * 2**30
    names: Sequence[str] = ("localhost", "a.default.localhost")

    def text(self, path: str) -> str:
        return self.files.get(path, "")

    def exists(self, path: str) -> bool:
        return path in self.files

    def writable(self, path: str) -> bool:
        return path in self.files

    def program(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.programs else None

    def run(self, *words: str) -> Answer:
        name = Path(words[0]).name
        if name in self.failing or words[1] in self.failing:
            return Answer(1, "it does not work")
        return Answer(0, self.programs[name])

    def free_bytes(self, folder: Path) -> int:
        return self.free

    def resolves(self, name: str) -> bool:
        return name in self.names

    def listens(self, port: int) -> bool:
        return port == 8080


def linux(release: str) -> MadeUp:
    return MadeUp(files={"/proc/sys/kernel/osrelease": f"{release}\n"})


def with_number(path: str, number: int) -> MadeUp:
    return MadeUp(files={path: f"{number}\n"})


V1 = {f"/sys/fs/cgroup/{name}": "" for name in ("cpu", "memory", "pids")}
V2 = {"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n", "/sys/fs/cgroup": ""}


@pytest.mark.parametrize(
    ("look", "host", "state", "words"),
    [
        (kernel.version, linux("6.1.0-13-amd64"), "warn", "needs 6.2"),
        (kernel.version, linux("6.18.44"), "ok", "6.18"),
        (kernel.version, linux("5.4.0-100-generic"), "missing", "older than 5.8"),
        (kernel.capabilities, MadeUp(is_root=False), "warn", "not root"),
        (kernel.capabilities, MadeUp(is_root=True, files={"/proc/self/status": ALL_CAPABILITIES}), "ok", "root"),
        (
            kernel.capabilities,
            MadeUp(is_root=True, files={"/proc/self/status": "CapEff:\t00000000a80425fb\n"}),
            "missing",
            "root lacks CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN",
        ),
        (kernel.control_groups, MadeUp(is_root=True, files=V2), "ok", "version 2"),
        (kernel.control_groups, MadeUp(is_root=True, files={**V1, "/sys/fs/cgroup": ""}), "ok", "version 1"),
        (kernel.control_groups, MadeUp(is_root=False, files={**V1, "/sys/fs/cgroup": ""}), "warn", "only root"),
        (kernel.control_groups, MadeUp(is_root=True, files=V1), "missing", "read-only"),
        (kernel.control_groups, MadeUp(), "missing", "cpu, memory, pids"),
        (kernel.overlayfs, MadeUp(files={"/proc/filesystems": "nodev\ttmpfs\nnodev\toverlay\n"}), "ok", ""),
        (kernel.overlayfs, MadeUp(files={"/proc/filesystems": "nodev\ttmpfs\n"}), "missing", "no overlayfs"),
        (kernel.user_namespaces, MadeUp(), "ok", ""),
        (kernel.user_namespaces, with_number("/proc/sys/user/max_user_namespaces", 0), "missing", "is 0"),
        (kernel.user_namespaces, with_number("/proc/sys/kernel/unprivileged_userns_clone", 0), "missing", "is 0"),
        (
            kernel.user_namespaces,
            with_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 1),
            "warn",
            "AppArmor",
        ),
        (kernel.subordinate_ids, MadeUp(files={"/etc/subuid": "me:100000:65536\n"}), "ok", "65536"),
        (kernel.subordinate_ids, MadeUp(files={"/etc/subuid": "me:100000:10\nodd\n"}), "warn", "no range"),
        (kernel.ip_forward, with_number("/proc/sys/net/ipv4/ip_forward", 1), "ok", ""),
        (kernel.ip_forward, MadeUp(is_root=True), "ok", "tidegate up sets it"),
        (kernel.ip_forward, MadeUp(is_root=False), "warn", "only root"),
        (tools.oci_runtime, MadeUp(), "missing", "neither crun nor runc"),
        (tools.oci_runtime, MadeUp(programs={"runc": "runc version 1.1.5+ds1"}), "ok", "runc 1.1.5+ds1"),
        (
            tools.oci_runtime,
            MadeUp(programs={"crun": "crun version 1.8", "runc": "runc version 1.1"}, failing=["crun"]),
            "ok",
            "runc 1.1",
        ),
        (tools.oci_runtime, MadeUp(programs={"crun": "1"}, failing=["crun"]), "missing", "crun does not run"),
        (tools.oci_runtime, MadeUp(programs={"crun": "1"}, files={"/sys/fs/cgroup/unified": ""}), "missing", "refuses"),
        (tools.seccomp_profile, MadeUp(), "missing", "not installed"),
        (tools.seccomp_profile, MadeUp(files={"/etc/containers/seccomp.json": ""}), "ok", "/etc/containers"),
        (tools.skopeo, MadeUp(), "missing", "skopeo is not installed"),
        (tools.skopeo, MadeUp(programs={"skopeo": "skopeo version 1.9.3"}), "ok", "skopeo 1.9.3"),
        (tools.skopeo, MadeUp(programs={"skopeo": ""}, failing=["skopeo"]), "warn", "it does not work"),
        (tools.conmon, MadeUp(programs={"conmon": "conmon version 2.1.6"}), "ok", "conmon 2.1.6"),
        (tools.buildah, MadeUp(programs={"buildah": "buildah version 1.28.2 (...)"}), "ok", "buildah 1.28.2"),
        (tools.nftables, MadeUp(programs={"nft": "nftables v1.0.6 (...)"}, is_root=False), "ok", "nft 1.0.6"),
        (tools.nftables, MadeUp(programs={"nft": "v1.0"}, is_root=True, failing=["list"]), "missing", "cannot read"),
        (tools.bubblewrap, MadeUp(), "missing", "not installed"),
        (tools.bubblewrap, MadeUp(programs={"bwrap": "bubblewrap 0.8.0"}), "ok", "0.8.0"),
        (tools.bubblewrap, MadeUp(programs={"bwrap": "bubblewrap 0.4.1"}), "missing", "older than 0.8"),
        (
            tools.bubblewrap,
            MadeUp(programs={"bwrap": "bubblewrap 0.11"}, failing=["--unshare-pid"]),
            "missing",
            "cannot make a sandbox: it does not work",
        ),
        (limits.local_names, MadeUp(names=()), "missing", "localhost"),
        (limits.local_names, MadeUp(), "ok", ""),
        (limits.service_names, MadeUp(), "ok", ""),
        (limits.service_names, MadeUp(names=["localhost"]), "warn", "curl or a browser"),
        (limits.name_servers, MadeUp(files={"/etc/resolv.conf": "# x\nnameserver 1.1.1.1\n"}), "ok", "1.1.1.1"),
        (limits.name_servers, MadeUp(), "warn", "names no server"),
        (limits.ports, MadeUp(ports=(8080, 8443)), "warn", "in use: 8080"),
        (limits.ports, MadeUp(ports=(8443,)), "ok", "8443"),
        (limits.disk, MadeUp(), "ok", "10.0 GiB"),
        (limits.disk, MadeUp(free=2**30), "warn", "1.0 GiB"),
        (limits.disk, MadeUp(free=2**20), "missing", "0.0 GiB"),
        (limits.inotify, with_number("/proc/sys/fs/inotify/max_user_instances", 128), "warn", "128"),
        (limits.inotify, with_number("/proc/sys/fs/inotify/max_user_instances", 8192), "ok", "8192"),
        (limits.swap, MadeUp(files={"/proc/swaps": "Filename Type\n/dev/zram0 partition\n"}), "ok", "/dev/zram0"),
        (limits.swap, MadeUp(files={"/proc/swaps": "Filename Type\n"}), "warn", "no swap"),
    ],
)
def test_a_check_reports_the_state_of_a_host(
    look: Callable[[HostView], Finding], host: MadeUp, state: str, words: str
) -> None:
    found = look(host)

    assert found.state == state
    assert words in found.detail


def test_each_check_answers_on_this_host() -> None:
    results = list(examine(HostView(Path("/tmp/none"), (0,))))

    assert [result.name for result in results] == [check.name for check in CHECKS]
    assert all(result.detail or result.state == "ok" for result in results)


def test_each_check_answers_on_a_host_that_has_nothing() -> None:
    results = list(examine(MadeUp(names=(), free=0, is_root=False)))

    assert not works(results)
    assert all(result.advice for result in results if result.state != "ok")


@pytest.mark.parametrize(
    ("os_release", "family"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian"),
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=fedora\n", "fedora"),
        ("ID=arch\n", "arch"),
        ("ID=alpine\n", "alpine"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "suse"),
        ("ID=plan9\n", ""),
        ("", ""),
    ],
)
def test_the_family_of_a_distribution_is_known(os_release: str, family: str) -> None:
    assert family_of(os_release) == family


def test_the_advice_names_the_command_of_the_distribution() -> None:
    runtime = next(check for check in CHECKS if check.name == "OCI runtime")

    assert [advice_for(runtime, family) for family in ("debian", "fedora", "")] == [
        "apt install runc",
        "dnf install crun",
        "install the package crun",
    ]


def test_only_a_missing_base_means_that_tidegate_does_not_run() -> None:
    def result(state: State, *, is_base: bool) -> CheckResult:
        return CheckResult("x", state, "", "", "", is_base)

    assert works([result(State.MISSING, is_base=False), result(State.WARNING, is_base=True)])
    assert not works([result(State.MISSING, is_base=True)])


def test_the_page_has_each_check_and_no_other() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", PAGE.read_text(), flags=re.MULTILINE)
    documented = {name: without for name, without, _ in rows if name not in ("check", "---", "state")}

    assert {check.name: check.without for check in CHECKS}.items() <= documented.items()
    assert [name for name in documented if name not in [check.name for check in CHECKS]] == [
        "`ok`",
        "`warn`",
        "`missing`",
    ]
    for check in CHECKS:
        row = next(advice for name, _, advice in rows if name == check.name)
        assert all(package in row for package in check.packages.values())
        assert not check.setting or check.setting in row.replace("`", "")
    assert all(command in PAGE.read_text() for command in INSTALL.values())


def test_the_command_prints_a_table_or_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        checks, "CHECKS", (checks.HostCheck("one", lambda host: missing("gone"), "nothing", is_base=True),)
    )

    table = CliRunner().invoke(doctor, ["--data-dir", str(tmp_path)])
    found = CliRunner().invoke(doctor, ["--data-dir", str(tmp_path), "-o", "json"])

    assert (table.exit_code, found.exit_code) == (1, 1)
    assert table.output.splitlines()[:2] == ["CHECK   STATE     DETAIL", "one     missing   gone"]
    assert json.loads(found.output)[0]["state"] == "missing"
    monkeypatch.setattr(checks, "CHECKS", (checks.HostCheck("one", lambda host: ok(), "nothing"),))
    assert CliRunner().invoke(doctor, ["--data-dir", str(tmp_path)]).exit_code == 0
