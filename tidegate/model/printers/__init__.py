# SPDX-License-Identifier: Apache-2.0
"""The computed columns of Kubernetes' own kinds (rule: k8s.io/kubernetes pkg/printers/internalversion).

The API does not check every value of a status when it is written. Cells therefore find values by JSONPath, which
returns None for a value of an unexpected type.
"""
