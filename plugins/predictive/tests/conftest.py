# SPDX-License-Identifier: Apache-2.0
from hypothesis import settings

settings.register_profile("predictive", deadline=None)  # a busy machine must not fail a test
settings.load_profile("predictive")
