# SPDX-License-Identifier: Apache-2.0
"""The bounds that Tidegate promises, measured. `python -m bench` prints them all; each module runs by itself too."""
