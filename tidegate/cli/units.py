# SPDX-License-Identifier: Apache-2.0
"""Tidegate as a unit of systemd: the text of the unit file and its path. Pure.

In: settings, and whether the unit is a user's. Out: text, paths, arguments of systemctl. Called by: `tidegate service`.

Apps and Envoy are children of the control plane and must survive its crash. Therefore stopping the unit signals only
the control plane (KillMode=process), which stops them itself. For the same reason no option may depend on one start, as
PrivateTmp= would. Options that need a mount namespace are for the system's unit: a user's manager cannot create one.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tidegate.cli.failures import DAMAGED, MISUSED
from tidegate.settings import Settings

NAME = "tidegate.service"
RUNNING = Path("/run/systemd/system")
"""Exists if systemd manages this machine."""

_HARDENED = """\
ProtectSystem=full
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
"""


def place(*, user: bool) -> Path:
    """The path of the unit file."""
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
