# SPDX-License-Identifier: Apache-2.0
"""The schemas of storage: PersistentVolumeClaim, PersistentVolume, StorageClass."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
VolumeResources: Amounts of storage.
  requests  {quantity}  The requested amounts: storage.
  limits    {quantity}  Accepted, and not enforced.

PersistentVolumeClaimSpec: Desired storage.
  accessModes                [string]         ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod.
  resources                  VolumeResources  The requested size. It is noted, and not enforced.
  storageClassName?          string           The StorageClass; by default the default class.
  volumeMode                 string           Filesystem.
  volumeName                 string           The volume that the claim is bound to.
  selector                   any              Rejected: each claim gets a volume of its own.
  dataSource                 any              Rejected: a volume begins empty.
  dataSourceRef              any              Rejected: a volume begins empty.
  volumeAttributesClassName  string           Rejected.

PersistentVolumeClaimStatus*: Observed state of the claim.
  phase        string       Pending, Bound or Lost.
  accessModes  [string]     The access modes of the volume.
  capacity     {quantity}   The noted size of the volume.
  conditions   [Condition]  Not used.

PersistentVolumeSpec*: A folder of this machine for one claim.
  capacity                       {quantity}            The noted size.
  accessModes                    [string]              The access modes.
  claimRef                       any                   The claim that has the volume.
  hostPath                       HostPathVolumeSource  The folder.
  persistentVolumeReclaimPolicy  string                Delete or Retain: the end of the folder without its claim.
  storageClassName               string                The StorageClass.
  volumeMode                     string                Filesystem.

PersistentVolumeStatus*: Observed state of the volume.
  phase    string  Bound or Released.
  message  string  Human-readable reason for the phase.
  reason   string  Machine-readable reason for the phase.

PersistentVolumeClaim: Storage that outlives instances.
  apiVersion  string                       The group and version of this kind.
  kind        string                       The name of this kind.
  metadata    ObjectMeta                   Standard object metadata.
  spec        PersistentVolumeClaimSpec    Desired storage.
  status      PersistentVolumeClaimStatus  Observed state of the claim.

PersistentVolume: A folder of this machine. Tidegate makes one for each claim.
  apiVersion  string                  The group and version of this kind.
  kind        string                  The name of this kind.
  metadata    ObjectMeta              Standard object metadata.
  spec        PersistentVolumeSpec    The folder.
  status      PersistentVolumeStatus  Observed state of the volume.

StorageClass: A way to make volumes for claims.
  apiVersion             string      The group and version of this kind.
  kind                   string      The name of this kind.
  metadata               ObjectMeta  Standard object metadata.
  provisioner            string      tidegate.dev/folder; claims of other provisioners stay Pending.
  reclaimPolicy?         string      Delete or Retain.
  volumeBindingMode?     string      Accepted: volumes are made at once.
  allowVolumeExpansion?  boolean     Accepted: the noted size may always grow.
  parameters             {string}    Accepted, and not used.
  mountOptions           [string]    Accepted, and not used.
  allowedTopologies      [any]       Accepted, and not used.
""",
    kubernetes.TYPES,
)

PERSISTENT_VOLUME_CLAIM = _TYPES["PersistentVolumeClaim"]
PERSISTENT_VOLUME = _TYPES["PersistentVolume"]
STORAGE_CLASS = _TYPES["StorageClass"]
