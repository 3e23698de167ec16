# SPDX-License-Identifier: Apache-2.0
"""For all tests."""

from hypothesis import settings

# How long an example takes is the machine's affair: a test must not fail for being run beside others.
settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")
