# SPDX-License-Identifier: Apache-2.0
"""Tidegate as a unit of systemd: the text of the unit, and where it belongs.

In: settings, and who asks. Out: text, paths, arguments of systemctl. Pure. Who: `tidegate service`.

Apps and Envoy are children of the control plane and have to survive its crash, so that stopping the unit signals the
control plane alone (KillMode=process), which ends them itself. For the same reason nothing of the unit may depend on
one start, as PrivateTmp= would. Options that need a mount namespace are for the system's unit: a user's manager may not
make one.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tidegate.cli.problems import DAMAGED, MISUSED
from tidegate.settings import Settings

NAME = "tidegate.service"
RUNNING = Path("/run/systemd/system")
"""There when systemd runs this machine."""

_HARDENED = """\
ProtectSystem=full
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
"""


def place(*, user: bool) -> Path:
    """Where the unit's file belongs."""
    if not user:
        return Path("/etc/systemd/system") / NAME
    configured = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configured) if configured else Path.home() / ".config") / "systemd" / "user" / NAME


def systemctl(*arguments: str, user: bool) -> Sequence[str]:
    return ["systemctl", *(["--user"] if user else []), *arguments]


def unit(settings: Settings, *, user: bool) -> str:
    """The unit that runs the Tidegate of a state folder."""
    command = shlex.join([sys.executable, "-P", "-m", "tidegate", "up", f"--data-dir={settings.home}"])
    return f"""\
[Unit]
Description=Tidegate, the Knative Serving API on one machine
After=network.target
StartLimitIntervalSec=300
StartLimitBurst=6

[Service]
Type=notify
ExecStart={command.replace("%", "%%").replace("$", "$$")}
KillMode=process
Restart=on-failure
RestartSec=1
RestartPreventExitStatus={MISUSED} {DAMAGED}
TimeoutStartSec=90
TimeoutStopSec=120
LimitNOFILE=1024:524288
Delegate=yes
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
{"" if user else _HARDENED}
[Install]
WantedBy={"default.target" if user else "multi-user.target"}
"""
