# SPDX-License-Identifier: Apache-2.0
"""The types of Kubernetes that the served kinds use. The pod spec has all of Kubernetes' fields, so that admission
rejects a field that Knative does not accept by its name, instead of dropping it."""

from tidegate.model.schemas import language

TYPES = language.read("""
OwnerReference*: Reference to the owner of an object. If the owner is deleted, the object is deleted too.
  apiVersion!          string   API version of the owner.
  kind!                string   Kind of the owner.
  name!                string   Name of the owner.
  uid!                 string   Uid of the owner.
  controller?          boolean  Whether the owner manages this object.
  blockOwnerDeletion?  boolean  Whether a foreground deletion of the owner waits for this object.

ObjectMeta: Standard object metadata.
  name                         string            Name, unique within kind and namespace.
  generateName                 string            Prefix of a name. The server adds a unique suffix.
  namespace                    string            Namespace of the object.
  labels                       {string}          Labels, which selectors match.
  annotations                  {string}          Annotations: settings and notes, which selectors do not match.
  uid                          string            Identifier that is unique over space and time. Set by the server.
  resourceVersion              string            Version of this state of the object. Set by the server.
  generation                   int64             Number of changes of the spec. Set by the server.
  creationTimestamp            time              Time of creation. Set by the server.
  deletionTimestamp            time              Time when the deletion ends. Set by the server.
  deletionGracePeriodSeconds?  int64             Grace period of the deletion, in seconds. Set by the server.
  finalizers                   [string]          Steps that must finish before the object is removed.
  ownerReferences              [OwnerReference]  Owners of the object.
  managedFields                [any]             Fields by the manager that set them, for server-side apply.
  selfLink                     string            No longer used.

LocalObjectReference: Reference to an object in the same namespace.
  name  string  Name of the object.

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

KeyToPath: A key that becomes a file.
  key!   string  The key.
  path!  string  Path of the file in the volume.
  mode?  int32   Permission bits of the file.

SecretVolumeSource: A Secret as files.
  secretName    string       Name of the Secret.
  items         [KeyToPath]  Keys that become files; all keys by default.
  defaultMode?  int32        Permission bits of the files.
  optional?     boolean      Whether the Secret may be missing.

ConfigMapVolumeSource: A ConfigMap as files.
  name          string       Name of the ConfigMap.
  items         [KeyToPath]  Keys that become files; all keys by default.
  defaultMode?  int32        Permission bits of the files.
  optional?     boolean      Whether the ConfigMap may be missing.

SecretProjection: A Secret in a projected volume.
  name       string       Name of the Secret.
  items      [KeyToPath]  Keys that become files; all keys by default.
  optional?  boolean      Whether the Secret may be missing.

ConfigMapProjection: A ConfigMap in a projected volume.
  name       string       Name of the ConfigMap.
  items      [KeyToPath]  Keys that become files; all keys by default.
  optional?  boolean      Whether the ConfigMap may be missing.

ServiceAccountTokenProjection: A token of a service account in a projected volume.
  audience            string  Intended recipient of the token.
  expirationSeconds?  int64   Lifetime of the token, in seconds.
  path!               string  Path of the file in the volume.

DownwardAPIVolumeFile: A field of the Pod as a file.
  path!             string                 Path of the file in the volume.
  fieldRef          ObjectFieldSelector    A field of the Pod.
  resourceFieldRef  ResourceFieldSelector  A resource of a container.
  mode?             int32                  Permission bits of the file.

DownwardAPIProjection: Fields of the Pod in a projected volume.
  items  [DownwardAPIVolumeFile]  The files.

VolumeProjection: One source of a projected volume.
  secret               SecretProjection               A Secret.
  configMap            ConfigMapProjection            A ConfigMap.
  serviceAccountToken  ServiceAccountTokenProjection  A service account's token.
  downwardAPI          DownwardAPIProjection          Fields of the Pod.
  clusterTrustBundle   any                            Rejected in a revision.
  podCertificate       any                            Rejected in a revision.

ProjectedVolumeSource: Several sources in one folder.
  sources!      [VolumeProjection]  The sources.
  defaultMode?  int32               Permission bits of the files.

EmptyDirVolumeSource: An empty folder that is removed with the instance.
  medium      string    Empty for disk, or Memory.
  sizeLimit?  quantity  Maximum size.

PersistentVolumeClaimVolumeSource: Storage that outlives instances.
  claimName!  string   Name of the claim.
  readOnly    boolean  Whether the volume is read-only.

HostPathVolumeSource: A file or folder of the host.
  path!  string  Path on the host.
  type?  string  Required type of the path, e.g. Directory.

ImageVolumeSource: The content of an image.
  reference   string  Reference of the image.
  pullPolicy  string  Always, IfNotPresent or Never.

Volume: Files that containers can mount.
  name!                  string                             Name of the volume.
  secret                 SecretVolumeSource                 A Secret.
  configMap              ConfigMapVolumeSource              A ConfigMap.
  projected              ProjectedVolumeSource              Several sources in one folder.
  emptyDir               EmptyDirVolumeSource               An empty folder that is removed with the instance.
  persistentVolumeClaim  PersistentVolumeClaimVolumeSource  Storage that outlives instances (feature
    kubernetes.podspec-persistent-volume-claim).
  hostPath               HostPathVolumeSource               A path of the host (feature
    kubernetes.podspec-volumes-hostpath).
  csi                    any                                A storage driver's volume (feature
    kubernetes.podspec-volumes-csi).
  ephemeral              any                                Storage made for the instance (feature
    kubernetes.podspec-volumes-ephemeral).
  image                  ImageVolumeSource                  The content of an image (feature
    kubernetes.podspec-volumes-image).
  awsElasticBlockStore   any                                Rejected in a revision.
  azureDisk              any                                Rejected in a revision.
  azureFile              any                                Rejected in a revision.
  cephfs                 any                                Rejected in a revision.
  cinder                 any                                Rejected in a revision.
  downwardAPI            any                                Rejected in a revision; use projected.
  fc                     any                                Rejected in a revision.
  flexVolume             any                                Rejected in a revision.
  flocker                any                                Rejected in a revision.
  gcePersistentDisk      any                                Rejected in a revision.
  gitRepo                any                                Rejected in a revision.
  glusterfs              any                                Rejected in a revision.
  iscsi                  any                                Rejected in a revision.
  nfs                    any                                Rejected in a revision.
  photonPersistentDisk   any                                Rejected in a revision.
  portworxVolume         any                                Rejected in a revision.
  quobyte                any                                Rejected in a revision.
  rbd                    any                                Rejected in a revision.
  scaleIO                any                                Rejected in a revision.
  storageos              any                                Rejected in a revision.
  vsphereVolume          any                                Rejected in a revision.

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

Condition*: One aspect of an object's state.
  type!               string  Aspect that the condition is about, e.g. Ready.
  status!             string  True, False or Unknown.
  reason              string  Machine-readable reason.
  message             string  Human-readable reason.
  severity            string  Info if Ready does not depend on the condition.
  lastTransitionTime  time    Time of the last change of the status.
""")
