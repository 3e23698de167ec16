# SPDX-License-Identifier: Apache-2.0
"""The schema of the group networking.internal.knative.dev: Ingress."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
IngressBackendSplit: A share of a path's requests.
  serviceName!       string    The revision.
  serviceNamespace!  string    Its namespace.
  servicePort!       port      Its port.
  percent?           int64     The share, in percent.
  appendHeaders      {string}  Headers added to these requests.

HeaderMatch: What a header must be.
  exact!  string  Its whole value.

HTTPIngressPath: What begins with a path.
  path           string                 The path's beginning; all if not named.
  headers        {HeaderMatch}          Headers that must be there.
  rewriteHost    string                 The host the revision sees.
  appendHeaders  {string}               Headers added to the requests.
  splits         [IngressBackendSplit]  Who gets which share.

HTTPIngressRuleValue: The paths of some hosts.
  paths  [HTTPIngressPath]  The paths.

IngressRule: What happens to some hosts' requests.
  hosts       [string]              The hosts.
  visibility  string                ExternalIP, or ClusterLocal.
  http        HTTPIngressRuleValue  The paths.

IngressTLS: A certificate for some hosts.
  hosts            [string]  The hosts.
  secretName       string    The Secret with the certificate.
  secretNamespace  string    Its namespace.

IngressSpec: Which requests go where.
  httpOption  string         Enabled, or Redirected to HTTPS.
  rules       [IngressRule]  By host.
  tls         [IngressTLS]   Certificates.

IngressStatus*: What is so.
  observedGeneration   int64        The generation that this status is about.
  conditions           [Condition]  Ready, NetworkConfigured and LoadBalancerReady.
  publicLoadBalancer   any          Where requests from outside arrive.
  privateLoadBalancer  any          Where requests from inside arrive.
""",
    kubernetes.TYPES,
)

INGRESS = language.kind("Ingress", "Which requests the gateway sends where.", _TYPES)
