# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' own records, as far as they are part of what Tidegate serves. The pod spec has all of Kubernetes' fields:
what Knative does not take is refused by admission, with the field's name, rather than forgotten."""

from tidegate.model.schemas import language

TYPES = language.read("""
OwnerReference*: An object that this one belongs to; when the owner goes, this one goes.
  apiVersion!          string   The owner's API version.
  kind!                string   The owner's kind.
  name!                string   The owner's name.
  uid!                 string   The owner's uid.
  controller?          boolean  Whether the owner manages this object.
  blockOwnerDeletion?  boolean  Whether the owner waits for this object when it is deleted in the foreground.

ObjectMeta: Who an object is.
  name                         string            The name, unique within kind and namespace.
  generateName                 string            The beginning of a name that the server completes.
  namespace                    string            The namespace the object lives in.
  labels                       {string}          Short words to select objects by.
  annotations                  {string}          Settings and notes that are not selected by.
  uid                          string            Unique over space and time. Set by the server.
  resourceVersion              string            The version of this state of the object. Set by the server.
  generation                   int64             Counts the changes of what is wanted. Set by the server.
  creationTimestamp            time              When the object was made. Set by the server.
  deletionTimestamp            time              When deletion began, or the grace period ends. Set by the server.
  deletionGracePeriodSeconds?  int64             How long the object may take to go. Set by the server.
  finalizers                   [string]          What must be done before the object may go.
  ownerReferences              [OwnerReference]  The objects that this one belongs to.
  managedFields                [any]             Who set which fields, where server-side apply is used.
  selfLink                     string            Not used any more.

LocalObjectReference: An object of the same namespace.
  name  string  Its name.

SecretKeySelector: One key of a Secret.
  name       string   The Secret's name.
  key!       string   The key.
  optional?  boolean  Whether the Secret or the key may be missing.

ConfigMapKeySelector: One key of a ConfigMap.
  name       string   The ConfigMap's name.
  key!       string   The key.
  optional?  boolean  Whether the ConfigMap or the key may be missing.

ObjectFieldSelector: A field of the Pod itself.
  apiVersion  string  The version the path is written for.
  fieldPath!  string  The field, such as metadata.name.

ResourceFieldSelector: A resource of a container.
  containerName  string    The container.
  resource!      string    The resource, such as limits.cpu.
  divisor!       quantity  The unit to count it in.

EnvVarSource: Where an environment variable's value comes from.
  secretKeyRef      SecretKeySelector      A key of a Secret.
  configMapKeyRef   ConfigMapKeySelector   A key of a ConfigMap.
  fieldRef          ObjectFieldSelector    A field of the Pod (feature kubernetes.podspec-fieldref).
  resourceFieldRef  ResourceFieldSelector  A resource of the container (feature kubernetes.podspec-fieldref).
  fileKeyRef        any                    A key of a file. Refused in a revision.

EnvVar: One environment variable.
  name!      string        The variable's name. PORT, K_SERVICE, K_CONFIGURATION and K_REVISION are set for you.
  value      string        Its value.
  valueFrom  EnvVarSource  Where the value comes from, instead of value.

SecretEnvSource: A Secret whose keys become environment variables.
  name       string   The Secret's name.
  optional?  boolean  Whether it may be missing.

ConfigMapEnvSource: A ConfigMap whose keys become environment variables.
  name       string   The ConfigMap's name.
  optional?  boolean  Whether it may be missing.

EnvFromSource: Many environment variables at once.
  prefix        string              Put before each name.
  secretRef     SecretEnvSource     A Secret.
  configMapRef  ConfigMapEnvSource  A ConfigMap.

ContainerPort: The port a container listens on.
  containerPort!  int32   The port. 8080 if none is named.
  name            string  The protocol: http1 (or nothing), or h2c for HTTP/2 and gRPC.
  protocol        string  TCP.
  hostPort        int32   Refused in a revision.
  hostIP          string  Refused in a revision.

ResourceRequirements: What a container needs and may use.
  requests  {quantity}  What it needs, by resource: cpu, memory, ephemeral-storage.
  limits    {quantity}  What it may use at most, by resource.
  claims    [any]       Refused in a revision.

ExecAction: A program to run in the container; it is well when that ends with 0.
  command  [string]  The program and its arguments.

HTTPHeader: A header of a request.
  name!   string  The header's name.
  value!  string  The header's value.

HTTPGetAction: A request; the container is well when it answers with 200 to 399.
  path         string        The path.
  port!        port          The port; that of the container if not named.
  host         string        The host to connect to.
  scheme       string        HTTP or HTTPS.
  httpHeaders  [HTTPHeader]  Headers of the request.

TCPSocketAction: A connection; the container is well when it is accepted.
  port!  port    The port; that of the container if not named.
  host   string  The host to connect to.

GRPCAction: A call of the gRPC health service.
  port!     int32   The port; that of the container if not named.
  service?  string  The service to ask for.

Probe: How to see whether a container is well.
  exec                            ExecAction       Run a program.
  httpGet                         HTTPGetAction    Send a request.
  tcpSocket                       TCPSocketAction  Open a connection.
  grpc                            GRPCAction       Call the gRPC health service.
  initialDelaySeconds             int32            How long to wait before the first try.
  timeoutSeconds                  int32            How long a try may take.
  periodSeconds                   int32            The time between tries; 0 for readiness is as often as useful.
  successThreshold                int32            Successes in a row that make it well.
  failureThreshold                int32            Failures in a row that make it unwell.
  terminationGracePeriodSeconds?  int64            How long the container may take to end when the probe failed.

SeccompProfile: Which system calls a container may make.
  type              string  RuntimeDefault, Unconfined or Localhost.
  localhostProfile  string  The profile's file, for Localhost.

Capabilities: Parts of root's power.
  add   [string]  Those to add (feature kubernetes.containerspec-addcapabilities).
  drop  [string]  Those to take away; ALL for all.

SecurityContext: What a container's processes may do.
  runAsUser?                 int64           The user to run as.
  runAsGroup?                int64           The group to run as.
  runAsNonRoot?              boolean         Whether to refuse to run as root.
  readOnlyRootFilesystem?    boolean         Whether the root file system is read-only.
  allowPrivilegeEscalation?  boolean         Whether a process may gain more power than its parent.
  privileged?                boolean         May only be false.
  capabilities               Capabilities    Parts of root's power.
  seccompProfile             SeccompProfile  Which system calls may be made.
  seLinuxOptions             any             Refused in a revision.
  windowsOptions             any             Refused in a revision.
  procMount                  any             Refused in a revision.
  appArmorProfile            any             Refused in a revision.

VolumeMount: Where a volume shows in a container.
  name!              string   The volume.
  mountPath!         string   The folder in the container.
  subPath            string   The part of the volume to show.
  readOnly           boolean  Whether it may only be read. True for all but emptyDir and claims.
  mountPropagation?  string   None or HostToContainer (feature kubernetes.podspec-volumes-mount-propagation).
  recursiveReadOnly  any      Refused in a revision.
  subPathExpr        string   Refused in a revision.

Container: One program of an instance.
  name!                     string                The container's name.
  image                     string                The image to run. tidegate.dev/host runs the command on this host;
    tidegate.dev/bundle/NAME@sha256:... runs what tidegate build made.
  command                   [string]              The program, instead of the image's.
  args                      [string]              Its arguments.
  workingDir                string                The folder to start in.
  ports                     [ContainerPort]       The port to listen on; at most one in all containers.
  env                       [EnvVar]              Environment variables.
  envFrom                   [EnvFromSource]       Environment variables from Secrets and ConfigMaps.
  resources-                ResourceRequirements  What it needs and may use.
  volumeMounts              [VolumeMount]         Where volumes show.
  readinessProbe            Probe                 When it may get requests.
  livenessProbe             Probe                 When to restart it.
  startupProbe              Probe                 When it has started.
  securityContext           SecurityContext       What it may do.
  imagePullPolicy           string                Always, IfNotPresent or Never.
  terminationMessagePath    string                The file with its last words.
  terminationMessagePolicy  string                File or FallbackToLogsOnError.
  lifecycle                 any                   Refused in a revision.
  resizePolicy              [any]                 Refused in a revision.
  restartPolicy?            string                Refused in a revision.
  restartPolicyRules        [any]                 Refused in a revision.
  stdin                     boolean               Refused in a revision.
  stdinOnce                 boolean               Refused in a revision.
  tty                       boolean               Refused in a revision.
  volumeDevices             [any]                 Refused in a revision.

KeyToPath: One key, as one file.
  key!   string  The key.
  path!  string  The file's path in the volume.
  mode?  int32   The file's permission bits.

SecretVolumeSource: A Secret as files.
  secretName    string       The Secret's name.
  items         [KeyToPath]  Which keys; all if none are named.
  defaultMode?  int32        The files' permission bits.
  optional?     boolean      Whether the Secret may be missing.

ConfigMapVolumeSource: A ConfigMap as files.
  name          string       The ConfigMap's name.
  items         [KeyToPath]  Which keys; all if none are named.
  defaultMode?  int32        The files' permission bits.
  optional?     boolean      Whether the ConfigMap may be missing.

SecretProjection: A Secret in a projected volume.
  name       string       The Secret's name.
  items      [KeyToPath]  Which keys; all if none are named.
  optional?  boolean      Whether the Secret may be missing.

ConfigMapProjection: A ConfigMap in a projected volume.
  name       string       The ConfigMap's name.
  items      [KeyToPath]  Which keys; all if none are named.
  optional?  boolean      Whether the ConfigMap may be missing.

ServiceAccountTokenProjection: A service account's token in a projected volume.
  audience            string  Whom the token is for.
  expirationSeconds?  int64   How long it is valid.
  path!               string  The file's path in the volume.

DownwardAPIVolumeFile: A field of the Pod, as one file.
  path!             string                 The file's path in the volume.
  fieldRef          ObjectFieldSelector    A field of the Pod.
  resourceFieldRef  ResourceFieldSelector  A resource of a container.
  mode?             int32                  The file's permission bits.

DownwardAPIProjection: Fields of the Pod in a projected volume.
  items  [DownwardAPIVolumeFile]  The files.

VolumeProjection: One part of a projected volume.
  secret               SecretProjection               A Secret.
  configMap            ConfigMapProjection            A ConfigMap.
  serviceAccountToken  ServiceAccountTokenProjection  A service account's token.
  downwardAPI          DownwardAPIProjection          Fields of the Pod.
  clusterTrustBundle   any                            Refused in a revision.
  podCertificate       any                            Refused in a revision.

ProjectedVolumeSource: Several sources in one folder.
  sources!      [VolumeProjection]  The sources.
  defaultMode?  int32               The files' permission bits.

EmptyDirVolumeSource: A folder that lives as long as the instance.
  medium      string    Nothing, or Memory.
  sizeLimit?  quantity  How much it may hold.

PersistentVolumeClaimVolumeSource: Storage that outlives instances.
  claimName!  string   The claim's name.
  readOnly    boolean  Whether it may only be read.

HostPathVolumeSource: A file or folder of the host.
  path!  string  The path on the host.
  type?  string  What must be there.

ImageVolumeSource: The content of an image.
  reference   string  The image.
  pullPolicy  string  Always, IfNotPresent or Never.

Volume: Files that containers can mount.
  name!                  string                             The volume's name.
  secret                 SecretVolumeSource                 A Secret.
  configMap              ConfigMapVolumeSource              A ConfigMap.
  projected              ProjectedVolumeSource              Several sources in one folder.
  emptyDir               EmptyDirVolumeSource               A folder that lives as long as the instance.
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
  awsElasticBlockStore   any                                Refused in a revision.
  azureDisk              any                                Refused in a revision.
  azureFile              any                                Refused in a revision.
  cephfs                 any                                Refused in a revision.
  cinder                 any                                Refused in a revision.
  downwardAPI            any                                Refused in a revision; use projected.
  fc                     any                                Refused in a revision.
  flexVolume             any                                Refused in a revision.
  flocker                any                                Refused in a revision.
  gcePersistentDisk      any                                Refused in a revision.
  gitRepo                any                                Refused in a revision.
  glusterfs              any                                Refused in a revision.
  iscsi                  any                                Refused in a revision.
  nfs                    any                                Refused in a revision.
  photonPersistentDisk   any                                Refused in a revision.
  portworxVolume         any                                Refused in a revision.
  quobyte                any                                Refused in a revision.
  rbd                    any                                Refused in a revision.
  scaleIO                any                                Refused in a revision.
  storageos              any                                Refused in a revision.
  vsphereVolume          any                                Refused in a revision.

PodSecurityContext: What all containers' processes may do.
  runAsUser?                int64           The user to run as.
  runAsGroup?               int64           The group to run as.
  runAsNonRoot?             boolean         Whether to refuse to run as root.
  fsGroup?                  int64           The group of the volumes' files.
  supplementalGroups        [int64]         More groups of the processes.
  seccompProfile            SeccompProfile  Which system calls may be made.
  seLinuxOptions            any             Refused in a revision.
  seLinuxChangePolicy       any             Refused in a revision.
  windowsOptions            any             Refused in a revision.
  sysctls                   [any]           Refused in a revision.
  fsGroupChangePolicy       any             Refused in a revision.
  supplementalGroupsPolicy  any             Refused in a revision.
  appArmorProfile           any             Refused in a revision.

PodSpec: What an instance is made of.
  containers!                    [Container]             The programs that run together. One with a port gets the
    requests.
  initContainers                 [Container]             Programs that run to their end first (feature
    kubernetes.podspec-init-containers).
  volumes                        [Volume]                Files that containers can mount.
  serviceAccountName             string                  The identity to run under.
  imagePullSecrets               [LocalObjectReference]  Secrets for the images' registries.
  enableServiceLinks?            boolean                 Whether other services' addresses become environment variables.
  automountServiceAccountToken?  boolean                 May only be false.
  securityContext                PodSecurityContext      What the processes may do (feature
    kubernetes.podspec-securitycontext).
  affinity                       any                     Which nodes to prefer (feature kubernetes.podspec-affinity).
  nodeSelector                   {string}                Labels a node must have (feature
    kubernetes.podspec-nodeselector).
  tolerations                    [any]                   Which taints do not matter (feature
    kubernetes.podspec-tolerations).
  topologySpreadConstraints      [any]                   How to spread over nodes (feature
    kubernetes.podspec-topologyspreadconstraints).
  runtimeClassName?              string                  The container runtime (feature
    kubernetes.podspec-runtimeclassname).
  schedulerName                  string                  The scheduler (feature kubernetes.podspec-schedulername).
  priorityClassName              string                  How important it is (feature
    kubernetes.podspec-priorityclassname).
  hostAliases                    [any]                   Lines of /etc/hosts (feature kubernetes.podspec-hostaliases).
  dnsPolicy                      string                  How names are resolved (feature kubernetes.podspec-dnspolicy).
  dnsConfig                      any                     How names are resolved (feature kubernetes.podspec-dnsconfig).
  hostNetwork                    boolean                 Use the host's network (feature
    kubernetes.podspec-hostnetwork).
  hostPID                        boolean                 See the host's processes (feature kubernetes.podspec-hostpid).
  hostIPC                        boolean                 Use the host's IPC (feature kubernetes.podspec-hostipc).
  shareProcessNamespace?         boolean                 See each other's processes (feature
    kubernetes.podspec-shareprocessnamespace).
  ephemeralContainers            [any]                   Refused in a revision.
  restartPolicy                  string                  Refused in a revision.
  terminationGracePeriodSeconds?  int64                  Refused in a revision; timeoutSeconds says it.
  activeDeadlineSeconds?         int64                   Refused in a revision.
  serviceAccount                 string                  Refused in a revision; use serviceAccountName.
  nodeName                       string                  Refused in a revision.
  hostname                       string                  Refused in a revision.
  hostnameOverride?              string                  Refused in a revision.
  subdomain                      string                  Refused in a revision.
  priority?                      int32                   Refused in a revision.
  preemptionPolicy?              string                  Refused in a revision.
  readinessGates                 [any]                   Refused in a revision.
  overhead                       {quantity}              Refused in a revision.
  setHostnameAsFQDN?             boolean                 Refused in a revision.
  os                             any                     Refused in a revision.
  hostUsers?                     boolean                 Refused in a revision.
  schedulingGates                [any]                   Refused in a revision.
  resourceClaims                 [any]                   Refused in a revision.
  resources                      any                     Refused in a revision.
  workloadRef                    any                     Refused in a revision.

Condition*: One answer about an object's state.
  type!               string  What the condition is about.
  status!             string  True, False or Unknown.
  reason              string  Why, in one word.
  message             string  Why, in a sentence.
  severity            string  Info where Ready does not depend on it.
  lastTransitionTime  time    When it last changed.
""")
