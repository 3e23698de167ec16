# SPDX-License-Identifier: Apache-2.0
"""OCI images that are built on this host: from a Dockerfile, or from a bundle."""
