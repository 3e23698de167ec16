# SPDX-License-Identifier: Apache-2.0
"""The autoscaling class `predictive.tidegate.dev`, for Tidegate: it learns a load's days and weeks and scales ahead.

In file order: `policy.py` is what Tidegate calls; `options.py` its annotations; `history.py` what was, in memory and on
disk; `fitting.py` makes a model of it, in a process of its own; `model.py` says what that foresees.
"""
