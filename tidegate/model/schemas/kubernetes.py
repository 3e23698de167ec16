# SPDX-License-Identifier: Apache-2.0
"""The types of Kubernetes that the served kinds use: those of `metadata`, `containers` and `volumes`, and the pod spec.

The pod spec has all of Kubernetes' fields, so that admission rejects a field that Knative does not accept by its name,
instead of dropping it.
"""

from tidegate.model.schemas import language, volumes

TYPES = language.read(
    """
PodSecurityContext: Privileges of all containers' processes.
  runAsUser?                int64           User id of the processes.
  runAsGroup?               int64           Group id of the processes.
  runAsNonRoot?             boolean         Whether to refuse to run as root.
  fsGroup?                  int64           Group id of the volumes' files.
  supplementalGroups        [int64]         Additional group ids of the processes.
  seccompProfile            SeccompProfile  Filter of the system calls.
  seLinuxOptions            any             Rejected in a revision.
  seLinuxChangePolicy       any             Rejected in a revision.
  windowsOptions            any             Rejected in a revision.
  sysctls                   [any]           Rejected in a revision.
  fsGroupChangePolicy       any             Rejected in a revision.
  supplementalGroupsPolicy  any             Rejected in a revision.
  appArmorProfile           any             Rejected in a revision.

PodSpec: Desired state of an instance.
  containers!                    [Container]             Containers of the instance. The one with a port receives the
    requests.
  initContainers                 [Container]             Containers that must end before the others start (feature
    kubernetes.podspec-init-containers).
  volumes                        [Volume]                Files that containers can mount.
  serviceAccountName             string                  Service account of the Pod.
  imagePullSecrets               [LocalObjectReference]  Secrets for the registries of the images.
  enableServiceLinks?            boolean                 Whether other services' addresses become environment variables.
  automountServiceAccountToken?  boolean                 May only be false.
  securityContext                PodSecurityContext      Privileges of all containers' processes (feature
    kubernetes.podspec-securitycontext).
  affinity                       any                     Preferred nodes (feature kubernetes.podspec-affinity).
  nodeSelector                   {string}                Labels that the node must have (feature
    kubernetes.podspec-nodeselector).
  tolerations                    [any]                   Taints of nodes that are tolerated (feature
    kubernetes.podspec-tolerations).
  topologySpreadConstraints      [any]                   Spread of instances over nodes (feature
    kubernetes.podspec-topologyspreadconstraints).
  runtimeClassName?              string                  Container runtime (feature
    kubernetes.podspec-runtimeclassname).
  schedulerName                  string                  Scheduler (feature kubernetes.podspec-schedulername).
  priorityClassName              string                  Priority class (feature
    kubernetes.podspec-priorityclassname).
  hostAliases                    [any]                   Additional lines of /etc/hosts (feature
    kubernetes.podspec-hostaliases).
  dnsPolicy                      string                  Policy of name resolution (feature
    kubernetes.podspec-dnspolicy).
  dnsConfig                      any                     Settings of name resolution (feature
    kubernetes.podspec-dnsconfig).
  hostNetwork                    boolean                 Whether to use the host's network (feature
    kubernetes.podspec-hostnetwork).
  hostPID                        boolean                 Whether to see the host's processes (feature
    kubernetes.podspec-hostpid).
  hostIPC                        boolean                 Whether to use the host's IPC (feature
    kubernetes.podspec-hostipc).
  shareProcessNamespace?         boolean                 Whether containers see each other's processes (feature
    kubernetes.podspec-shareprocessnamespace).
  ephemeralContainers            [any]                   Rejected in a revision.
  restartPolicy                  string                  Rejected in a revision.
  terminationGracePeriodSeconds?  int64                  Rejected in a revision; use timeoutSeconds.
  activeDeadlineSeconds?         int64                   Rejected in a revision.
  serviceAccount                 string                  Rejected in a revision; use serviceAccountName.
  nodeName                       string                  Rejected in a revision.
  hostname                       string                  Rejected in a revision.
  hostnameOverride?              string                  Rejected in a revision.
  subdomain                      string                  Rejected in a revision.
  priority?                      int32                   Rejected in a revision.
  preemptionPolicy?              string                  Rejected in a revision.
  readinessGates                 [any]                   Rejected in a revision.
  overhead                       {quantity}              Rejected in a revision.
  setHostnameAsFQDN?             boolean                 Rejected in a revision.
  os                             any                     Rejected in a revision.
  hostUsers?                     boolean                 Rejected in a revision.
  schedulingGates                [any]                   Rejected in a revision.
  resourceClaims                 [any]                   Rejected in a revision.
  resources                      any                     Rejected in a revision.
  workloadRef                    any                     Rejected in a revision.
""",
    volumes.TYPES,
)
