# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' types of containers: environment, ports, probes, resources, privileges and mounts."""

from tidegate.model.schemas import language, metadata

TYPES = language.read(
    """
SecretKeySelector: One key of a Secret.
  name       string   Name of the Secret.
  key!       string   The key.
  optional?  boolean  Whether the Secret or the key may be missing.

ConfigMapKeySelector: One key of a ConfigMap.
  name       string   Name of the ConfigMap.
  key!       string   The key.
  optional?  boolean  Whether the ConfigMap or the key may be missing.

ObjectFieldSelector: A field of the Pod itself.
  apiVersion  string  API version of the path.
  fieldPath!  string  Path of the field, e.g. metadata.name.

ResourceFieldSelector: A resource of a container.
  containerName  string    The container.
  resource!      string    The resource, e.g. limits.cpu.
  divisor!       quantity  Unit of the value.

EnvVarSource: Source of the value of an environment variable.
  secretKeyRef      SecretKeySelector      A key of a Secret.
  configMapKeyRef   ConfigMapKeySelector   A key of a ConfigMap.
  fieldRef          ObjectFieldSelector    A field of the Pod (feature kubernetes.podspec-fieldref).
  resourceFieldRef  ResourceFieldSelector  A resource of the container (feature kubernetes.podspec-fieldref).
  fileKeyRef        any                    Rejected in a revision.

EnvVar: An environment variable.
  name!      string        Name of the variable. Tidegate sets PORT, K_SERVICE, K_CONFIGURATION and K_REVISION.
  value      string        Value of the variable.
  valueFrom  EnvVarSource  Source of the value, instead of value.

SecretEnvSource: A Secret whose keys become environment variables.
  name       string   Name of the Secret.
  optional?  boolean  Whether the Secret may be missing.

ConfigMapEnvSource: A ConfigMap whose keys become environment variables.
  name       string   Name of the ConfigMap.
  optional?  boolean  Whether the ConfigMap may be missing.

EnvFromSource: Source of several environment variables.
  prefix        string              Prefix of each variable name.
  secretRef     SecretEnvSource     A Secret.
  configMapRef  ConfigMapEnvSource  A ConfigMap.

ContainerPort: The port that a container listens on.
  containerPort!  int32   Port number; 8080 by default.
  name            string  Protocol: http1 (default), or h2c for HTTP/2 and gRPC.
  protocol        string  TCP.
  hostPort        int32   Rejected in a revision.
  hostIP          string  Rejected in a revision.

ResourceRequirements: Requests and limits of a container.
  requests  {quantity}  Reserved amounts by resource: cpu, memory, ephemeral-storage.
  limits    {quantity}  Maximum amounts by resource.
  claims    [any]       Rejected in a revision.

ExecAction: A command to run in the container. Exit code 0 means success.
  command  [string]  The command and its arguments.

HTTPHeader: A header of a request.
  name!   string  Name of the header.
  value!  string  Value of the header.

HTTPGetAction: An HTTP request. A status from 200 to 399 means success.
  path         string        Path of the request.
  port!        port          Port number or name; the container's port by default.
  host         string        Host to connect to; the instance's address by default.
  scheme       string        HTTP or HTTPS.
  httpHeaders  [HTTPHeader]  Headers of the request.

TCPSocketAction: A TCP connection. An accepted connection means success.
  port!  port    Port number or name; the container's port by default.
  host   string  Host to connect to; the instance's address by default.

GRPCAction: A call of the gRPC health service.
  port!     int32   Port number; the container's port by default.
  service?  string  Name of the service in the request.

Probe: A check of a container's health.
  exec                            ExecAction       Run a program.
  httpGet                         HTTPGetAction    Send a request.
  tcpSocket                       TCPSocketAction  Open a connection.
  grpc                            GRPCAction       Call the gRPC health service.
  initialDelaySeconds             int32            Time before the first try, in seconds.
  timeoutSeconds                  int32            Maximum duration of a try, in seconds.
  periodSeconds                   int32            Time between tries, in seconds. 0 for readiness: Tidegate chooses it.
  successThreshold                int32            Consecutive successes after which the probe passes.
  failureThreshold                int32            Consecutive failures after which the probe fails.
  terminationGracePeriodSeconds?  int64            Grace period of the container after the probe failed, in seconds.

SeccompProfile: Filter of the system calls of a container.
  type              string  RuntimeDefault, Unconfined or Localhost.
  localhostProfile  string  File with the profile, for Localhost.

Capabilities: Linux capabilities to add or drop.
  add   [string]  Capabilities to add (feature kubernetes.containerspec-addcapabilities).
  drop  [string]  Capabilities to drop; ALL for all.

SecurityContext: Privileges of a container's processes.
  runAsUser?                 int64           User id of the processes.
  runAsGroup?                int64           Group id of the processes.
  runAsNonRoot?              boolean         Whether to refuse to run as root.
  readOnlyRootFilesystem?    boolean         Whether the root file system is read-only.
  allowPrivilegeEscalation?  boolean         Whether a process may gain more privileges than its parent.
  privileged?                boolean         May only be false.
  capabilities               Capabilities    Linux capabilities to add or drop.
  seccompProfile             SeccompProfile  Filter of the system calls.
  seLinuxOptions             any             Rejected in a revision.
  windowsOptions             any             Rejected in a revision.
  procMount                  any             Rejected in a revision.
  appArmorProfile            any             Rejected in a revision.

VolumeMount: A place in a container where a volume is mounted.
  name!              string   Name of the volume.
  mountPath!         string   Folder in the container.
  subPath            string   Path within the volume.
  readOnly           boolean  Whether the mount is read-only. Always true except for emptyDir and claims.
  mountPropagation?  string   None or HostToContainer (feature kubernetes.podspec-volumes-mount-propagation).
  recursiveReadOnly  any      Rejected in a revision.
  subPathExpr        string   Rejected in a revision.

Container: A program that runs in an instance.
  name!                     string                Name of the container.
  image                     string                The image to run. tidegate.dev/host runs the command on this host;
    tidegate.dev/bundle/NAME@sha256:... runs what tidegate build made.
  command                   [string]              Command, instead of the image's.
  args                      [string]              Arguments of the command.
  workingDir                string                Working directory.
  ports                     [ContainerPort]       Port to listen on; at most one in all containers.
  env                       [EnvVar]              Environment variables.
  envFrom                   [EnvFromSource]       Environment variables from Secrets and ConfigMaps.
  resources-                ResourceRequirements  Requests and limits.
  volumeMounts              [VolumeMount]         Mounts of volumes.
  readinessProbe            Probe                 Check after which the container accepts requests.
  livenessProbe             Probe                 Check whose failure restarts the container.
  startupProbe              Probe                 Check that the container has started.
  securityContext           SecurityContext       Privileges of the processes.
  imagePullPolicy           string                Always, IfNotPresent or Never.
  terminationMessagePath    string                File with the container's last message.
  terminationMessagePolicy  string                File or FallbackToLogsOnError.
  lifecycle                 any                   Rejected in a revision.
  resizePolicy              [any]                 Rejected in a revision.
  restartPolicy?            string                Rejected in a revision.
  restartPolicyRules        [any]                 Rejected in a revision.
  stdin                     boolean               Rejected in a revision.
  stdinOnce                 boolean               Rejected in a revision.
  tty                       boolean               Rejected in a revision.
  volumeDevices             [any]                 Rejected in a revision.
""",
    metadata.TYPES,
)
