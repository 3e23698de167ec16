# SPDX-License-Identifier: Apache-2.0
"""Tokens of service accounts: JSON Web Tokens that expire, and that are bound to an object.

In: a TokenRequest; or a token that a client shows. Out: a signed token; or the user that it stands for, None for a
token that is not valid (any more). Nothing is stored: a token is valid as long as the key, its account and the object
that it is bound to exist. Called by: `endpoints/token_requests.py` and `endpoints/auth.py`; the node, for the tokens of
Pods (`issue`). Rules: k8s.io/kubernetes pkg/serviceaccount/claims.go and pkg/registry/core/serviceaccount/storage.
"""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.apiserver.access.signing_key import SigningKey
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.causes import invalid
from tidegate.model.conditions import timestamp
from tidegate.model.kinds import POD, SECRET, SERVICE_ACCOUNT, Kind
from tidegate.model.objects import Key, Object, is_deleting, spec, uid
from tidegate.model.tokens import DEFAULT_ACCOUNT, DEFAULT_SECONDS, IssuedToken, TokenOptions
from tidegate.model.user import User, service_account

ISSUER = "https://kubernetes.default.svc.cluster.local"
"""The issuer of all tokens, and the audience of the API itself; Kubernetes' default."""

_LEAST_SECONDS, _MOST_SECONDS = 600, 2**32
_LEEWAY = timedelta(seconds=60)  # between the end of an object's grace and the end of its tokens
_BOUND: Mapping[str, Kind] = {"Pod": POD, "Secret": SECRET}
_MOST_AUDIENCES = 32
_SYSTEM = User("system:apiserver")


class ServiceAccountTokens:
    """Issues and verifies the tokens of one API. `folder`: has the key."""

    def __init__(self, api: Api, folder: Path, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._key = SigningKey(folder)

    @property
    def key_set(self) -> Object:
        """The public key, as a JSON Web Key Set."""
        return self._key.key_set

    async def requested(self, account: Key, request: Object) -> Object:
        """The TokenRequest with its token. Raises `ApiError`."""
        asked = spec(request)
        options = _options(asked)
        bound = self._bound(account, asked.get("boundObjectRef"))
        issued = await self.issue(account, options, bound)
        filled = {**asked, "audiences": list(options.audiences or (ISSUER,)), "expirationSeconds": options.seconds}
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": account.name, "namespace": account.namespace, "creationTimestamp": self._now_text()},
            "spec": filled,
            "status": {"token": issued.text, "expirationTimestamp": timestamp(issued.expires)},
        }

    async def issue(self, account: Key, options: TokenOptions, bound: Object | None = None) -> IssuedToken:
        """A token of an account, bound to an object, e.g. a Pod, which may still be on its way into the store. Raises
        `errors.NotFound` if there is no such account."""
        found = await self._account(account)
        now = self._clock.wall()
        expires = now + timedelta(seconds=options.seconds)
        private: Object = {
            "namespace": account.namespace,
            "serviceaccount": {"name": account.name, "uid": uid(found)},
        }
        if bound is not None:
            private[bound["kind"].lower()] = {"name": bound["metadata"]["name"], "uid": uid(bound)}
        claims = {
            "iss": ISSUER,
            "sub": service_account(*account).name,
            "aud": list(options.audiences or (ISSUER,)),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
            "kubernetes.io": private,
        }
        return IssuedToken(self._key.sign(claims), expires)

    def user(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> User | None:
        """The user of a valid token for one of the audiences."""
        claims = self._key.claims(token) if token.count(".") == 2 else None
        if claims is None or claims.get("iss") != ISSUER or not set(audiences) & set(claims.get("aud") or ()):
            return None
        now = self._clock.wall().timestamp()
        if not claims.get("nbf", now + 1) <= now < claims.get("exp", 0):
            return None
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        objects = [(SERVICE_ACCOUNT, account)]
        objects += [(kind, private[name.lower()]) for name, kind in _BOUND.items() if name.lower() in private]
        if not all(self._exists(kind, namespace, reference) for kind, reference in objects):
            return None
        return service_account(namespace, account["name"])

    def _exists(self, kind: Kind, namespace: str, reference: Mapping[str, Any]) -> bool:
        """Whether that very object exists, and is not past the end of its deletion."""
        found = self._api.store.get(kind.resource, Key(namespace, reference["name"]))
        if found is None or uid(found) != reference["uid"]:
            return False
        if not is_deleting(found):
            return True
        return self._clock.wall() <= datetime.fromisoformat(found["metadata"]["deletionTimestamp"]) + _LEEWAY

    async def _account(self, account: Key) -> Object:
        """An account. The one named default is made if it is missing: its namespace may be a moment old."""
        if account.name == DEFAULT_ACCOUNT and self._api.store.get(SERVICE_ACCOUNT.resource, account) is None:
            await create_default(self._api, account.namespace)
        return self._api.get(SERVICE_ACCOUNT, account)

    def _bound(self, account: Key, reference: Object | None) -> Object | None:
        """The object that a request wants to bind its token to."""
        if reference is None:
            return None
        if not isinstance(reference, dict):
            raise errors.BadRequest("spec.boundObjectRef must be an object")
        name, wanted = str(reference.get("name") or ""), str(reference.get("uid") or "")
        kind = _BOUND.get(str(reference.get("kind") or ""))
        if kind is None or str(reference.get("apiVersion") or "") not in ("", "v1"):
            raise errors.BadRequest(
                f"cannot bind token for serviceaccount {account.name!r} to {reference.get('kind')!r}"
            )
        found = self._api.get(kind, Key(account.namespace, name))
        if wanted and wanted != uid(found):
            message = f"the UID in the bound object reference ({wanted}) does not match the UID in record"
            raise errors.Conflict(f"{message}. The object might have been deleted and then recreated")
        if kind is POD and (spec(found).get("serviceAccountName") or DEFAULT_ACCOUNT) != account.name:
            message = (
                f"cannot bind token for serviceaccount {account.name!r} to pod running with different serviceaccount"
            )
            raise errors.BadRequest(f"{message} name.")
        return found

    def _now_text(self) -> str:
        return timestamp(self._clock.wall())


async def create_default(api: Api, namespace: str) -> None:
    """Create the account named default, unless it exists already."""
    body: Object = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": DEFAULT_ACCOUNT}}
    with suppress(errors.AlreadyExists):
        await api.create(SERVICE_ACCOUNT, namespace, body, user=_SYSTEM)


def _options(asked: Object) -> TokenOptions:
    seconds, audiences = asked.get("expirationSeconds"), asked.get("audiences") or ()
    problem = None
    if seconds is None:
        seconds = DEFAULT_SECONDS
    elif isinstance(seconds, bool) or not isinstance(seconds, int):
        problem = "must be an integer"
    elif seconds < _LEAST_SECONDS:
        problem = "may not specify a duration less than 10 minutes"
    elif seconds > _MOST_SECONDS:
        problem = "may not specify a duration larger than 2^32 seconds"
    if problem is not None:
        cause = invalid(seconds, "spec.expirationSeconds", problem)
        message = f'TokenRequest.authentication.k8s.io "" is invalid: {cause.field}: {cause.message}'
        raise errors.Invalid(
            message, causes=(cause,), details={"group": "authentication.k8s.io", "kind": "TokenRequest"}
        )
    is_list = isinstance(audiences, list | tuple) and len(audiences) <= _MOST_AUDIENCES
    if not is_list or not all(isinstance(each, str) for each in audiences):
        raise errors.BadRequest(f"spec.audiences must be a list of at most {_MOST_AUDIENCES} strings")
    return TokenOptions(tuple(audiences), seconds)
