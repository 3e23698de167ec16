# SPDX-License-Identifier: Apache-2.0
"""The kubeconfig, by which kubectl, kn and the tidegate command line find the API server and authenticate."""

import base64
from pathlib import Path

import yaml

from tidegate.apiserver.pki import Identity
from tidegate.kit.files import write_whole


def write(path: Path, identity: Identity, port: int) -> None:
    """Write the kubeconfig atomically (mode 0600), if it is missing or differs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    authority = base64.b64encode(identity.authority.encode()).decode()
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tidegate", "cluster": cluster}],
        "users": [{"name": "tidegate", "user": {"token": identity.token}}],
        "contexts": [
            {"name": "tidegate", "context": {"cluster": "tidegate", "user": "tidegate", "namespace": "default"}}
        ],
        "current-context": "tidegate",
    }
    text = yaml.safe_dump(config, sort_keys=False).encode()
    if not path.is_file() or path.read_bytes() != text:
        write_whole(path, text, durable=True)


def token(path: Path) -> str:
    """The token in a kubeconfig that `write` has written; "" if it is missing or unreadable."""
    try:
        found = yaml.safe_load(path.read_bytes())["users"][0]["user"]["token"]
    except (OSError, yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError):
        return ""
    return found if isinstance(found, str) else ""
