# SPDX-License-Identifier: Apache-2.0
"""The autoscaler: the part of Tidegate that decides how many instances each revision has.

In: the load of revisions (`report`), what instances use (`usage`) and what they report themselves (the scraper asks
them). Out: the scale of each PodAutoscaler, in its status. Called by: `embedded.py`, which builds and starts it.
"""

from collections.abc import Callable, Sequence

from tidegate.autoscaler import classes
from tidegate.autoscaler.controller import PodAutoscalerController
from tidegate.autoscaler.policies import PolicyContext
from tidegate.autoscaler.scraper import Scraper
from tidegate.client.context import Context
from tidegate.kit.background import Background
from tidegate.kit.supervision import Health, Supervisor
from tidegate.model.kinds import Kind
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object
from tidegate.model.usage import Usage
from tidegate.settings import Settings


class Autoscaler:
    """Builds and runs the parts.

    `usage` returns what the running instances of a revision use. `announce` is called with a scale that grows, before
    its write.
    """

    def __init__(
        self,
        context: Context,
        settings: Settings,
        *,
        usage: Callable[[Key], Sequence[Usage]],
        announce: Callable[[Key, int], None],
    ) -> None:
        self._configs = context.configs
        self._scraper = Scraper(pods=context.informers.pods, clock=context.clock)
        given = PolicyContext(context.clock, Background("autoscalers"), settings.autoscalers)
        self._failures: dict[str, BaseException] = {}
        self._policies = classes.installed(usage, self._scraper.scraped, given, self._failures.__setitem__)
        self._controller = PodAutoscalerController(context, self._policies, announce)

    def start(self, supervisor: Supervisor) -> None:
        """Run the parts until `supervisor` stops them."""
        supervisor.start(scraper=self._scraper.run, autoscaler=self._controller.run)
        for name, error in self._failures.items():
            supervisor.watch(Health(f"autoscaling class {name}")).failed(error)

    def report(self, report: LoadReport) -> None:
        """Count a gate's report on one revision."""
        self._controller.report(report)

    def check(self, kind: Kind, obj: Object) -> None:
        """Raise `BadRequest` if the object's revision has annotations that its class does not accept."""
        classes.check(kind, obj, self._policies, self._configs.current)
