# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' types of volumes and their sources."""

from tidegate.model.schemas import containers, language

TYPES = language.read(
    """
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

DownwardAPIVolumeSource: Fields of the Pod as files.
  items         [DownwardAPIVolumeFile]  The files.
  defaultMode?  int32                    Permission bits of the files.

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
  downwardAPI            DownwardAPIVolumeSource            Fields of the Pod. Rejected in a revision; use projected.
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
""",
    containers.TYPES,
)
