# SPDX-License-Identifier: Apache-2.0
"""What a Kubernetes API makes of a request about one object: metadata, patches, deletion, selectors. Pure.

Called by: the API server's verbs (`apiserver.registry`) and the cluster in memory (`client.memory`), so that both
answer alike.
"""
