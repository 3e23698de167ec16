# SPDX-License-Identifier: Apache-2.0
"""The schema of the group networking.internal.knative.dev: Ingress."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
IngressBackendSplit: A share of a path's requests, and the revision that receives it.
  serviceName!       string    The revision.
  serviceNamespace!  string    Namespace of the revision.
  servicePort!       port      Port of the revision.
  percent?           int64     Share of the requests, 0 to 100 percent.
  appendHeaders      {string}  Headers that are added to these requests.

HeaderMatch: Condition on a header.
  exact!  string  The whole value of the header.

HTTPIngressPath: Requests whose path starts with a prefix.
  path           string                 Prefix of the path; empty for all paths.
  headers        {HeaderMatch}          Headers that a request must have.
  rewriteHost    string                 Host that the revision receives.
  appendHeaders  {string}               Headers that are added to the requests.
  splits         [IngressBackendSplit]  Revisions that receive the requests. Their percents add up to 100.

HTTPIngressRuleValue: Paths of some hosts.
  paths  [HTTPIngressPath]  The paths.

IngressRule: Routing of some hosts' requests.
  hosts       [string]              The hosts.
  visibility  string                ExternalIP (default) or ClusterLocal.
  http        HTTPIngressRuleValue  The paths.

IngressTLS: Certificate of some hosts.
  hosts            [string]  The hosts.
  secretName       string    Secret with the certificate.
  secretNamespace  string    Namespace of the Secret.

IngressSpec: Desired routing.
  httpOption  string         Enabled, or Redirected to HTTPS.
  rules       [IngressRule]  Routing by host.
  tls         [IngressTLS]   Certificates.

IngressStatus*: Observed state of the Ingress.
  observedGeneration   int64        Generation of the spec that this status describes.
  conditions           [Condition]  Ready, NetworkConfigured and LoadBalancerReady.
  publicLoadBalancer   any          Address for requests from outside the cluster.
  privateLoadBalancer  any          Address for requests from inside the cluster.
""",
    kubernetes.TYPES,
)

INGRESS = language.kind("Ingress", "Routing of hosts and paths to revisions, for the gateway.", _TYPES)
