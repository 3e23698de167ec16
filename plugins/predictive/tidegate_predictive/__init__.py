# SPDX-License-Identifier: Apache-2.0
"""The autoscaling class `predictive.tidegate.dev`: it learns a load's daily and weekly pattern and scales ahead of it.

In reading order: Tidegate calls `policy.py`; `options.py` reads the annotations; `learner.py` collects the load of all
revisions; `history.py` keeps the past load in memory and on disk; `fitting.py` makes a model of it in a process of its
own; `model.py` computes forecasts from the model.
"""
