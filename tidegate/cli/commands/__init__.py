# SPDX-License-Identifier: Apache-2.0
"""The commands of `tidegate`: one file for each, named after it."""
