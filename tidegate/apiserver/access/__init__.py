# SPDX-License-Identifier: Apache-2.0
"""Who calls the API, and what a caller may do."""
