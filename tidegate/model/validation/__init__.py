# SPDX-License-Identifier: Apache-2.0
"""The rules of objects, one module for each noun.

In: parts of objects that are decoded and have their defaults. Out: errors with paths relative to the part. Called by:
`model.groups`, for admission. Rules: knative/serving pkg/apis for Knative's kinds, Kubernetes' for its own.
"""
