# SPDX-License-Identifier: Apache-2.0
"""The commands of `tidegate`: a file each, or a file for those that belong together."""
