# SPDX-License-Identifier: Apache-2.0
"""What may be in an object, noun by noun.

In: parts of objects that were decoded and defaulted. Out: problems, with paths relative to the part. Called by
`model.admission`. Rules: knative/serving pkg/apis, and Kubernetes' own for its kinds.
"""
