# SPDX-License-Identifier: Apache-2.0
"""OCI images: pulled, resolved, loaded, found and collected. The tool that speaks to registries is skopeo."""
