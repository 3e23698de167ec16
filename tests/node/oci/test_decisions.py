# SPDX-License-Identifier: Apache-2.0
"""What the OCI runtime decides from images and specs, without containers."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oci import pod
from tidegate.node.runtime import Launch, LaunchRejected, Limits
from tidegate.node.runtimes.oci import pod_files, tools
from tidegate.node.runtimes.oci.accounts import Accounts
from tidegate.node.runtimes.oci.capabilities import capabilities
from tidegate.node.runtimes.oci.failures import message_of
from tidegate.node.runtimes.oci.fields import check_container, check_pod
from tidegate.node.runtimes.oci.identity import ContainerUser, check_non_root, container_user
from tidegate.node.runtimes.oci.mounts import BoundVolume, PodFiles, mounts
from tidegate.node.runtimes.oci.resources import check_resources, oom_score, resources, storage_limit
from tidegate.node.runtimes.oci.seccomp import SeccompProfile, seccomp
from tidegate.node.runtimes.oci.security import security
from tidegate.node.runtimes.oci.stop_signal import stop_signal
from tidegate.node.runtimes.oci.volume_mounts import check_mounts

OURS = ("CHOWN", "KILL", "NET_RAW", "SYS_ADMIN", "NET_BIND_SERVICE")
ACCOUNTS = Accounts("root:x:0:0::/root:/bin/sh\napp:x:7:8:::\nodd:x:nine\n", "wheel:x:5:app,other\nbad\nown:x:8:\n")
PROFILE = SeccompProfile("SCMP_ACT_ERRNO")


def rejection(function: Any, *arguments: Any) -> str:
    with pytest.raises(LaunchRejected) as rejected:
        function(*arguments)
    return rejected.value.message


@pytest.mark.parametrize(
    ("context", "image_user", "expected"),
    [
        ({}, "", (0, 0, (0,))),
        ({}, "app", (7, 8, (8, 5))),
        ({}, "7", (7, 8, (8, 5))),
        ({}, "70", (70, 0, (0,))),
        ({}, "app:wheel", (7, 5, (5,))),
        ({}, "app:6", (7, 6, (6, 5))),
        ({"runAsUser": 7}, "root:wheel", (7, 8, (8, 5))),
        ({"runAsUser": 7, "supplementalGroupsPolicy": "Strict", "fsGroup": 3}, "", (7, 8, (8, 3))),
        ({"runAsGroup": 9, "supplementalGroups": [1, 2]}, "app", (7, 9, (9, 1, 2, 5))),
    ],
)
def test_the_user_of_a_container(context: dict[str, Any], image_user: str, expected: tuple[Any, ...]) -> None:
    assert container_user(context, image_user, ACCOUNTS) == ContainerUser(*expected)


@pytest.mark.parametrize(
    ("context", "image_user", "message"),
    [
        ({}, "nobody", "unable to find user nobody: no matching entries in the image's passwd"),
        ({}, "app:nogroup", "unable to find group nogroup: no matching entries in the image's group"),
        ({}, "4294967296", "unable to find user 4294967296: no matching entries in the image's passwd"),
        ({"runAsUser": -1}, "", "securityContext.runAsUser: -1 is not between 0 and 2147483647"),
        ({"fsGroup": 2**31}, "", "securityContext.fsGroup: 2147483648 is not between 0 and 2147483647"),
    ],
)
def test_a_user_that_does_not_exist_is_rejected(context: dict[str, Any], image_user: str, message: str) -> None:
    assert rejection(container_user, context, image_user, ACCOUNTS) == message


@given(st.text(), st.text(), st.text())
def test_no_passwd_of_an_image_breaks_the_lookup(passwd: str, group: str, name: str) -> None:
    accounts = Accounts(passwd, group)

    found = accounts.user(name)

    assert found is None or 0 <= found.user < 2**31
    assert all(0 <= number < 2**31 for number in accounts.groups_of(name))


@pytest.mark.parametrize(
    ("context", "image_user", "message"),
    [
        ({"runAsUser": 0}, "", "container's runAsUser breaks non-root policy"),
        ({}, "", "container has runAsNonRoot and image will run as root"),
        ({}, "0:5", "container has runAsNonRoot and image will run as root"),
        (
            {},
            "app",
            "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root",
        ),
    ],
)
def test_run_as_non_root_rejects_root_in_the_kubelets_words(
    context: dict[str, Any], image_user: str, message: str
) -> None:
    app = pod({"securityContext": {"runAsNonRoot": True, **context}})
    metadata = app["metadata"]
    where = f'(pod: "{metadata["name"]}_default({metadata["uid"]})", container: app)'

    assert rejection(check_non_root, app, app["spec"]["containers"][0], image_user) == f"{message} {where}"


@pytest.mark.parametrize(("context", "image_user"), [({"runAsUser": 5}, ""), ({}, "1000"), ({}, "1000:0")])
def test_run_as_non_root_accepts_other_users(context: dict[str, Any], image_user: str) -> None:
    app = pod({"securityContext": context}, securityContext={"runAsNonRoot": True})

    check_non_root(app, app["spec"]["containers"][0], image_user)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"]),
        ({"drop": ["ALL"]}, []),
        ({"drop": ["all"], "add": ["cap_kill"]}, ["CAP_KILL"]),
        (
            {"add": ["SYS_ADMIN"], "drop": ["CHOWN"]},
            ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_ADMIN"],
        ),
        (
            {"add": ["ALL"], "drop": ["KILL"]},
            ["CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_ADMIN"],
        ),
    ],
)
def test_capabilities_are_added_to_the_default_set_and_dropped(wanted: dict[str, Any], expected: list[str]) -> None:
    assert capabilities(wanted, OURS) == expected


def test_a_capability_that_nobody_can_give_is_rejected() -> None:
    missing = rejection(capabilities, {"add": ["SYS_TIME"]}, OURS)
    unknown = rejection(capabilities, {"drop": ["FLY"]}, OURS)

    assert missing == "securityContext.capabilities.add: Tidegate itself does not have SYS_TIME"
    assert unknown == "securityContext.capabilities.drop: there is no capability 'FLY'"


def test_the_profile_of_system_calls_depends_on_architecture_and_capabilities() -> None:
    rules = [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": []},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
        {"names": ["arm_only"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.1"}},
    ]
    machines = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}]
    text = json.dumps(
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": machines, "syscalls": rules}
    )
    profile = _decoded(text)

    found = seccomp(profile, ["CAP_KILL"], "x86_64", "6.0.5-amd64")
    privileged = seccomp(profile, ["CAP_SYS_ADMIN"], "aarch64", "6.10.1")

    assert found == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
            {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW"},
        ],
    }
    assert [rule["names"] for rule in privileged["syscalls"]] == [["read"], ["mount"], ["arm_only"], ["new"]]


def _decoded(text: str) -> SeccompProfile:
    import msgspec

    return msgspec.json.decode(text, type=SeccompProfile)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"privileged": True}, "privileged: a container is not given the rights of this host"),
        (
            {"seccompProfile": {"type": "Localhost"}},
            "seccompProfile.type: Localhost is not RuntimeDefault or Unconfined",
        ),
        ({"procMount": "Odd"}, "procMount: Odd is not Default or Unmasked"),
        ({"seLinuxOptions": {"level": "s0"}}, "seLinuxOptions: this runtime does not support it"),
        (
            {"appArmorProfile": {"type": "RuntimeDefault"}},
            "appArmorProfile.type: RuntimeDefault is not Unconfined; no AppArmor profile is applied",
        ),
    ],
)
def test_a_security_context_that_takes_no_effect_is_rejected(context: dict[str, Any], message: str) -> None:
    app = pod({"securityContext": context})

    assert rejection(security, app, app["spec"]["containers"][0], PROFILE, OURS) == f"securityContext.{message}"


def test_sysctls_must_be_safe() -> None:
    app = pod({}, securityContext={"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "0"}]})
    unsafe = pod({}, securityContext={"sysctls": [{"name": "kernel.panic", "value": "1"}]})

    assert security(app, app["spec"]["containers"][0], PROFILE, OURS).sysctls["net.ipv4.tcp_syncookies"] == "0"
    assert "kernel.panic" in rejection(security, unsafe, unsafe["spec"]["containers"][0], PROFILE, OURS)


@pytest.mark.parametrize(
    ("fields", "limits", "cpu", "memory"),
    [
        ({}, Limits(), {"shares": 2}, {}),
        ({}, Limits(0.5, 4097), {"shares": 512, "quota": 50000, "period": 100000}, {"limit": 4096, "swap": 4096}),
        ({"requests": {"cpu": "100m"}}, Limits(2), {"shares": 102, "quota": 200000, "period": 100000}, {}),
        ({}, Limits(0.001, 1), {"shares": 2, "quota": 1000, "period": 100000}, {"limit": 4096, "swap": 4096}),
        ({"requests": {"cpu": "9999"}}, Limits(), {"shares": 262144}, {}),
    ],
)
def test_limits_become_control_group_values(
    fields: dict[str, Any], limits: Limits, cpu: dict[str, int], memory: dict[str, int]
) -> None:
    found = resources({"resources": fields}, limits, limits_swap=True)

    assert (found["cpu"], found["memory"]) == (cpu, memory)
    assert found["pids"] == {"limit": 4096}


@pytest.mark.parametrize(
    ("resources", "score"),
    [
        ({}, 1000),
        ({"requests": {"memory": "250"}}, 750),
        ({"requests": {"cpu": "1"}}, 999),
        ({"requests": {"memory": "2000"}}, 2),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, None),
    ],
)
def test_containers_end_before_tidegate_when_the_host_is_out_of_memory(
    resources: dict[str, Any], score: int | None
) -> None:
    app = pod({"resources": resources})

    assert oom_score(app, app["spec"]["containers"][0], 1000) == score


def test_resources_without_an_effect_are_rejected() -> None:
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    storage = {"resources": {"limits": {"ephemeral-storage": "1Gi"}}}

    assert rejection(check_resources, gpu) == "resources.limits: this runtime does not support nvidia.com/gpu"
    assert (storage_limit(storage), storage_limit({})) == ("1Gi", "")


@pytest.mark.parametrize(
    "fields", [{"hostNetwork": True}, {"hostPID": True}, {"hostIPC": True}, {"shareProcessNamespace": True}]
)
def test_namespaces_of_the_host_are_rejected_by_field(fields: dict[str, Any]) -> None:
    assert rejection(check_pod, pod({}, **fields)).startswith(f"{next(iter(fields))}: ")


def test_fields_of_a_container_without_effect_are_rejected() -> None:
    assert rejection(check_container, {"tty": True}) == "tty: a container has no terminal"
    assert (
        rejection(check_container, {"lifecycle": {"preStop": {}}}) == "lifecycle: this runtime does not support hooks"
    )
    assert rejection(check_container, {"ports": [{"hostPort": 80}]}) == "hostPort: a Pod has an address of its own"


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"mountPropagation": "Bidirectional"}, "volumeMounts.mountPropagation: Bidirectional is not None"),
        ({"mountPath": "/proc/x"}, "volumeMounts.mountPath: /proc/x belongs to the container runtime"),
        ({"mountPath": "/a/../sys"}, "volumeMounts.mountPath: /a/../sys belongs to the container runtime"),
        ({"mountPath": "/"}, "volumeMounts.mountPath: / belongs to the container runtime"),
        ({"mountPath": "/a:b"}, "volumeMounts.mountPath: '/a:b' is no path"),
    ],
)
def test_mounts_without_an_effect_are_rejected(mount: dict[str, Any], message: str) -> None:
    app = pod({"volumeMounts": [{"name": "v", "mountPath": "/data", **mount}]})

    assert rejection(check_mounts, Launch(app, app["spec"]["containers"][0])) == message


def test_volumes_replace_files_of_the_pod_and_inner_ones_come_later() -> None:
    files = PodFiles(Path("/h"), Path("/n"), Path("/r"))
    volumes = [
        BoundVolume(Path("/1"), "/data/in"),
        BoundVolume(Path("/2"), "/data"),
        BoundVolume(Path("/3"), "/etc/hosts"),
    ]

    found = mounts(files, volumes, BoundVolume(Path("/m"), "/dev/termination-log"))

    places = [mount["destination"] for mount in found]
    assert places.index("/data") < places.index("/data/in")
    assert [mount["source"] for mount in found if mount["destination"] == "/etc/hosts"] == ["/3"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 15), ("SIGQUIT", 3), ("quit", 3), ("9", 9), ("SIGRTMIN+3", 37), ("RTMIN+99", 34), ("odd", 15), ("0", 15)],
)
def test_the_stop_signal_of_an_image(text: str, number: int) -> None:
    assert stop_signal(text) == number


def test_resolv_conf_follows_the_policy_and_configuration_of_the_pod() -> None:
    host = "nameserver 9.9.9.9\nsearch corp.example\noptions rotate\n"
    custom = {"nameservers": ["1.1.1.1"], "searches": ["x.y"], "options": [{"name": "ndots", "value": "2"}]}

    first = pod_files.resolver(pod({}, dnsConfig=custom), "10.0.0.1", host)
    default = pod_files.resolver(pod({}, dnsPolicy="Default"), "10.0.0.1", host)
    none = pod_files.resolver(pod({}, dnsPolicy="None", dnsConfig=custom), "10.0.0.1", host)

    searches = "default.svc.cluster.local svc.cluster.local cluster.local corp.example x.y"
    assert first == f"nameserver 10.0.0.1\nnameserver 1.1.1.1\nsearch {searches}\noptions ndots:2\n"
    assert default == host
    assert none == "nameserver 1.1.1.1\nsearch x.y\noptions ndots:2\n"


def test_a_name_server_on_the_hosts_loopback_is_replaced_by_the_one_of_pods() -> None:
    host = "nameserver 127.0.0.53\noptions edns0\nsearch corp.example\n"

    text = pod_files.resolver(pod({}, dnsPolicy="Default"), "10.0.0.1", host)

    assert text == "nameserver 10.0.0.1\nsearch corp.example\noptions edns0\n"


def test_no_text_of_a_spec_begins_a_line_of_its_own() -> None:
    app = pod({}, hostAliases=[{"ip": "1.2.3.4\n6.6.6.6", "hostnames": ["a\nevil 5.5.5.5"]}])

    assert "1.2.3.46.6.6.6\taevil5.5.5.5" in pod_files.hosts(app, "10.0.0.2")


def test_a_pod_with_a_subdomain_has_a_full_name() -> None:
    app = pod({}, hostname="web", subdomain="sub")

    assert "10.0.0.2\tweb.sub.default.svc.cluster.local\tweb" in pod_files.hosts(app, "10.0.0.2")
    assert len(pod_files.hostname(pod({}, hostname="x" * 80))) == 63


def test_the_message_of_a_runtime_is_its_last_error() -> None:
    failure = b'{"level":"error","msg":"runc create failed: unable to start container process: why"}'
    log = b'{"level":"warning","msg":"w"}\n' + failure + b"\n"

    assert message_of(log) == "why"
    assert message_of(b"") == ""
    assert message_of(b"plain text\n") == "plain text"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("conmon", "conmon is not installed, which containers take: install conmon (Debian, Ubuntu, Fedora)"),
        ("runtime", "no OCI runtime is installed: install crun (Debian, Ubuntu, Fedora), or runc"),
        ("profile", "seccomp.json is not installed, which containers take: install golang-github-containers-common"),
    ],
)
async def test_a_missing_program_is_reported_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str, message: str
) -> None:
    """The first container finds out."""
    (tmp_path / "bin").mkdir()
    for name in {"conmon"} - {missing}:
        (tmp_path / "bin" / name).write_text("")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(tools, "USUAL_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(tools, "PROFILES", () if missing == "profile" else (tmp_path,))
    monkeypatch.setattr("os.geteuid", lambda: 0)

    with pytest.raises(LaunchRejected) as rejected:
        await tools.find_tools(None, no_trial)

    assert rejected.value.message.startswith(message)


async def test_a_runtime_that_the_user_names_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_program", lambda name: Path("/bin/true"))
    monkeypatch.setattr(tools, "PROFILES", (Path("/"),))
    monkeypatch.setattr("os.geteuid", lambda: 0)

    with pytest.raises(LaunchRejected, match="--oci-runtime /missing: there is no such program"):
        await tools.find_tools(Path("/missing"), no_trial)
    with pytest.raises(LaunchRejected, match="/bin/false --version fails: it is no OCI runtime"):
        await tools.find_tools(Path("/bin/false"), no_trial)


async def no_trial(found: tools.Tools) -> str:
    return ""
