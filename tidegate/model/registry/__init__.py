# SPDX-License-Identifier: Apache-2.0
"""The rules of a Kubernetes API for requests about one object: metadata, patches, deletion, selectors. Pure.

Called by: the API server's verbs (`apiserver.registry`) and the cluster in memory (`client.memory`), so that both give
the same answers.
"""
