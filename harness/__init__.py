# SPDX-License-Identifier: Apache-2.0
"""What tests and benchmarks share: parts of Tidegate over real stores, Envoys and processes, and clients for them."""
