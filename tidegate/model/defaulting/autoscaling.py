# SPDX-License-Identifier: Apache-2.0
"""The defaults of PodAutoscalers: their class and metric, as in Knative's webhook."""

from tidegate.model import names
from tidegate.model.object_write import ObjectWrite


def pod_autoscaler(write: ObjectWrite) -> None:
    annotations = write.new["metadata"].setdefault("annotations", {})
    scaler = annotations.setdefault(names.AUTOSCALING_CLASS, write.configs.autoscaler.pod_autoscaler_class)
    metric = {names.KPA: "concurrency", names.HPA: "cpu"}.get(scaler)
    if metric:
        annotations.setdefault(f"{names.AUTOSCALING}/metric", metric)
