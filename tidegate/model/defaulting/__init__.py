# SPDX-License-Identifier: Apache-2.0
"""Defaults: the values that an object gets for fields that its author leaves out. One file an API group.

In: an `ObjectWrite` whose new object is decoded. Out: the same object, filled in place. Called by: admission, before
validation, through `Resource.defaults`.
"""
