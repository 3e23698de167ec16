# SPDX-License-Identifier: Apache-2.0
"""The Knative Serving API on one machine."""

__version__ = "0.1.0"
