# SPDX-License-Identifier: Apache-2.0
"""The volumes of Pods, as folders and files of this host."""
