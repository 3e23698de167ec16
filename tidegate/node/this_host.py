# SPDX-License-Identifier: Apache-2.0
"""The host that Tidegate runs on, as a node whose containers are processes or OCI containers.

In: the settings, and the API for the users of namespaces and for pull secrets. Out: a `NodeHost` (`this_host`), or no
instance any more (`end_instances`). Called by: `embedded.py`. The runtimes are chosen here ("Adding a runtime" in
docs/node.md).
"""

import os
import sys
from pathlib import Path

from tidegate.client.cluster import Cluster
from tidegate.client.context import Context
from tidegate.images.puller import Puller
from tidegate.images.store import ImageStore
from tidegate.network.pod_network import PodNetwork
from tidegate.node.machine import node_name, resources
from tidegate.node.node import NodeHost
from tidegate.node.runtimes.choice import RuntimeChoice
from tidegate.node.runtimes.oci.control_groups import ControlGroups
from tidegate.node.runtimes.oci.end import end_containers
from tidegate.node.runtimes.oci.folders import Folders
from tidegate.node.runtimes.oci.host import OciHost
from tidegate.node.runtimes.oci.pod_images import PodImages
from tidegate.node.runtimes.oci.runtime import OciRuntime
from tidegate.node.runtimes.process import end, identity, limits, users
from tidegate.node.runtimes.process.freezer import freezer
from tidegate.node.runtimes.process.identity import Identities
from tidegate.node.runtimes.process.processes import InstanceProcesses
from tidegate.node.runtimes.process.programs import Programs
from tidegate.node.runtimes.process.runtime import ProcessRuntime
from tidegate.node.runtimes.process.sandbox import Sandboxes, sandboxes
from tidegate.node.volumes import volumes
from tidegate.settings import Settings


def this_host(context: Context, settings: Settings, network: PodNetwork) -> NodeHost:
    """`network`: for Pods that have addresses. Raises `RuntimeUnavailable` if root runs Tidegate and apps cannot run as
    users of their own."""
    groups = limits.groups()
    processes = InstanceProcesses(settings.instances, groups, freezer(groups))
    identities = _identities(settings, context.cluster)
    programs = Programs(settings.instances, settings.bundles, identities, _sandboxes(settings))
    runtime = RuntimeChoice(ProcessRuntime(processes, programs), _containers(context, settings, network))
    return NodeHost(node_name(settings.home), resources(), runtime)


def _containers(context: Context, settings: Settings, network: PodNetwork) -> OciRuntime:
    """It looks for its tools when a Pod needs them."""
    host = OciHost(Folders(settings.containers), ControlGroups())
    puller = Puller(ImageStore(settings.images), lambda: context.configs.current.images, context.clock)
    return OciRuntime(host, PodImages(context, puller), network, settings.instances, settings.oci_runtime)


async def end_instances(settings: Settings, grace_seconds: float) -> int:
    """End all instances that a killed control plane left running: SIGTERM, and SIGKILL after the grace. Nothing stays
    mounted. Returns the number of processes."""
    ended = await end.end_instances(settings.instances, grace_seconds)
    ended += await end_containers(OciHost(Folders(settings.containers), ControlGroups()), grace_seconds)
    volumes.close(settings.volumes)
    return ended


def _sandboxes(settings: Settings) -> Sandboxes:
    python = Path(sys.base_prefix)  # bundles have Python from there
    return sandboxes(settings.sandbox, settings.home, settings.sandbox_etc, python)


def _identities(settings: Settings, cluster: Cluster) -> Identities:
    if os.geteuid() != 0:
        return identity.as_ourselves()
    return identity.as_users_of_their_own(
        cluster,
        settings.users,
        settings.app_users or users.usual_uids(),
        (settings.bundles, settings.instances),
        allow_root=settings.allow_root_apps,
    )
