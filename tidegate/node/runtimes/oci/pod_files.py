# SPDX-License-Identifier: Apache-2.0
"""The texts of /etc/hosts, /etc/hostname and /etc/resolv.conf of a Pod. Pure.

In: a Pod, its address, the name server of the Pod network, and the host's own resolv.conf. Out: the texts, within the
bounds of Kubernetes. Called by: `pod_sandbox.py`.

Rule: pkg/kubelet/kubelet_pods.go (managedHostsFileContent) and pkg/kubelet/network/dns.

| dnsPolicy | name servers and searches |
| --- | --- |
| ClusterFirst (default), ClusterFirstWithHostNet | the Pod network's; `NAMESPACE.svc.cluster.local`, then the host's |
| Default | the host's; the Pod network's instead of one on a loopback address, e.g. systemd-resolved's |
| None | only those of dnsConfig |
"""

from collections.abc import Iterable, Sequence

from tidegate.model.objects import Object, spec

_MOST_SERVERS, _MOST_SEARCHES, _MOST_SEARCH_CHARACTERS = 3, 32, 2048
_LONGEST_HOSTNAME = 63
CLUSTER_DOMAIN = "cluster.local"


def hostname(pod: Object) -> str:
    """The host name of a Pod: `spec.hostname`, else its name, cut to what Linux takes."""
    name = str(spec(pod).get("hostname") or pod["metadata"]["name"])
    return name[:_LONGEST_HOSTNAME].rstrip("-.")


def full_name(pod: Object) -> str:
    """With the domain, if the Pod has a subdomain."""
    subdomain = spec(pod).get("subdomain")
    if not subdomain:
        return hostname(pod)
    return f"{hostname(pod)}.{subdomain}.{pod['metadata'].get('namespace', '')}.svc.{CLUSTER_DOMAIN}"


def hosts(pod: Object, address: str) -> str:
    lines = [
        "# Written by Tidegate.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
        "\t".join((address, *dict.fromkeys((full_name(pod), hostname(pod))))),
    ]
    for alias in spec(pod).get("hostAliases") or ():
        names = [_one_line(name) for name in alias.get("hostnames") or ()]
        lines.append("\t".join((_one_line(alias.get("ip", "")), *names)))
    return "\n".join((*lines, ""))


def resolver(pod: Object, server: str, host: str) -> str:
    """`server`: the address of the Pod network's name server; `host`: the host's resolv.conf."""
    policy = spec(pod).get("dnsPolicy") or "ClusterFirst"
    configured = spec(pod).get("dnsConfig") or {}
    servers, searches, options = [], [], []
    if policy == "Default":
        servers, searches, options = (_values(host, word) for word in ("nameserver", "search", "options"))
        servers = [server if _is_loopback(each) else each for each in servers]  # it would be the Pod's own loopback
    elif policy != "None":
        service = f"svc.{CLUSTER_DOMAIN}"
        servers = [server]
        searches = [f"{pod['metadata'].get('namespace', '')}.{service}", service, CLUSTER_DOMAIN]
        searches += _values(host, "search")
        options = ["ndots:5"]
    servers = [*servers, *map(_one_line, configured.get("nameservers") or ())]
    searches = _bounded([*searches, *map(_one_line, configured.get("searches") or ())])
    options = _merged([*options, *(_option(each) for each in configured.get("options") or ())])
    lines = [f"nameserver {each}" for each in list(dict.fromkeys(servers))[:_MOST_SERVERS]]
    lines += [f"search {' '.join(searches)}"] if searches else []
    lines += [f"options {' '.join(options)}"] if options else []
    return "\n".join((*lines, ""))


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _values(text: str, word: str) -> list[str]:
    """The values of the lines with this word; of `search` the last line counts."""
    lines = [line.split()[1:] for line in text.splitlines() if line.split()[:1] == [word]]
    return [value for line in (lines[-1:] if word == "search" else lines) for value in line]


def _bounded(searches: Iterable[str]) -> list[str]:
    result: list[str] = []
    for search in dict.fromkeys(searches):
        if len(result) < _MOST_SEARCHES and sum(map(len, result)) + len(result) + len(search) < _MOST_SEARCH_CHARACTERS:
            result.append(search)
    return result


def _merged(options: Sequence[str]) -> list[str]:
    """A later option replaces an earlier one of the same name."""
    return list({option.partition(":")[0]: option for option in options}.values())


def _option(option: Object) -> str:
    name, value = _one_line(option.get("name", "")), option.get("value")
    return f"{name}:{_one_line(value)}" if value else name


def _one_line(value: object) -> str:
    """No text of a spec begins a line of its own."""
    return "".join(str(value).split())
