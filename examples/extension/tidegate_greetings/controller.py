# SPDX-License-Identifier: Apache-2.0
"""The controller of Greetings: writes the text into the status."""

from collections.abc import Sequence

from tidegate.extension import Conditions, Context, Controller, Key, Object, ObjectWriter
from tidegate_greetings.kind import GREETING, WORDS


def controllers(context: Context) -> Sequence[Controller]:
    greetings = context.informers.of(GREETING)
    writer = ObjectWriter(context.cluster, context.recorder)

    async def reconcile(key: Key) -> None:
        greeting = greetings.get(key)
        if greeting is not None:
            await writer.update_status(greetings, greeting, desired_status(greeting, context))

    return [Controller("greetings", context, GREETING, reconcile)]


def desired_status(greeting: Object, context: Context) -> Object:
    spec = greeting["spec"]
    conditions = Conditions(greeting, ("Written",), context.clock.wall())
    conditions.mark_true("Written")
    return {"text": f"{WORDS[spec['language']]}, {spec['whom']}!", "conditions": conditions.conditions()}
