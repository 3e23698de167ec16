# SPDX-License-Identifier: Apache-2.0
"""An extension of Tidegate: the kind Greeting, its controller, and the command `tidegate greet`."""

from tidegate.extension import Extension
from tidegate_greetings.command import greet
from tidegate_greetings.controller import controllers
from tidegate_greetings.kind import RESOURCE

EXTENSION = Extension(resources=(RESOURCE,), controllers=controllers, commands=(greet,))
