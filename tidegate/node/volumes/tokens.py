# SPDX-License-Identifier: Apache-2.0
"""The tokens of service accounts in the volumes of this node's Pods, issued again before they expire.

In: a Pod, and the options of a token. Out: the token's text, and when its Pod needs a turn for the next one. Called by:
`volumes.py`. Rule: k8s.io/kubernetes pkg/kubelet/token: a token is renewed after 80 % of its lifetime or after a day.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.objects import Key, Object, key, spec, uid
from tidegate.model.tokens import DEFAULT_ACCOUNT, IssueToken, TokenOptions
from tidegate.node.volumes.payload import VolumeProblem

_SPENT, _LONGEST = 0.8, timedelta(days=1)
_RETRY = timedelta(seconds=60)  # after a token could not be issued


class _Token(NamedTuple):
    text: str
    renewed_at: datetime


class PodTokens:
    """The present tokens, by Pod and options."""

    def __init__(self, issue: IssueToken, clock: Clock) -> None:
        self._issue = issue
        self._clock = clock
        self._tokens: dict[str, dict[TokenOptions, _Token]] = {}

    async def get(self, pod: Object, options: TokenOptions) -> str:
        """A token that is far from its end. Raises `VolumeProblem`."""
        known = self._tokens.setdefault(uid(pod), {})
        now = self._clock.wall()
        if options not in known or known[options].renewed_at <= now:
            try:
                issued = await self._issue(Key(key(pod).namespace, account_name(pod)), options, pod)
            except errors.ApiError as error:
                if options in known:
                    known[options] = known[options]._replace(renewed_at=now + _RETRY)
                raise VolumeProblem(f"failed to fetch token: {error.message}") from error
            known[options] = _Token(issued.text, now + min((issued.expires - now) * _SPENT, _LONGEST))
        return known[options].text

    def renewal(self, pod_uid: str) -> float | None:
        """Seconds until the first token of the Pod is renewed; None for a Pod without tokens."""
        times = [token.renewed_at for token in self._tokens.get(pod_uid, {}).values()]
        return max(0.0, (min(times) - self._clock.wall()).total_seconds()) if times else None

    def forget(self, pod_uid: str) -> None:
        self._tokens.pop(pod_uid, None)


def account_name(pod: Object) -> str:
    """The service account of a Pod."""
    return str(spec(pod).get("serviceAccountName") or spec(pod).get("serviceAccount") or DEFAULT_ACCOUNT)
