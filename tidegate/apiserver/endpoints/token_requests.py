# SPDX-License-Identifier: Apache-2.0
"""The endpoints about tokens of service accounts.

    POST .../serviceaccounts/NAME/token                   a new token (TokenRequest)
    POST /apis/authentication.k8s.io/v1/tokenreviews      whether a token is valid, and whose it is (TokenReview)
    GET  /.well-known/openid-configuration                for programs that verify tokens themselves (OpenID Connect)
    GET  /openid/v1/jwks                                  the public key

Called by: `objects.py`, `http.py`.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tidegate.apiserver.access.signing_key import ALGORITHM
from tidegate.apiserver.access.tokens import ISSUER, ServiceAccountTokens
from tidegate.apiserver.endpoints import bodies, parameters, responses
from tidegate.apiserver.endpoints.paths import ResourcePath
from tidegate.model import errors
from tidegate.model.objects import Object, spec

REVIEW_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
CONFIGURATION_PATH, KEYS_PATH = "/.well-known/openid-configuration", "/openid/v1/jwks"


class TokenEndpoints:
    """Answers from one issuer of tokens."""

    def __init__(self, tokens: ServiceAccountTokens) -> None:
        self._tokens = tokens

    async def create(self, request: Request, path: ResourcePath) -> ASGIApp:
        """A token for the account that the path names."""
        body = await _object(request, "TokenRequest")
        named = body.get("metadata") or {}
        for field, found in (("name", path.name), ("namespace", path.namespace)):
            if named.get(field) not in (None, "", found):
                raise errors.BadRequest(f"the {field} of the TokenRequest does not match the request")
        if parameters.dry_run(request.query_params):
            raise errors.BadRequest("a token cannot be requested by a dry run")
        return responses.json(await self._tokens.requested(path.key, body), status=201)

    async def review(self, request: Request) -> Response:
        """Whose a token is. An invalid token is a result, not an error."""
        body = await _object(request, "TokenReview")
        audiences = spec(body).get("audiences") or [ISSUER]
        user = self._tokens.user(str(spec(body).get("token") or ""), audiences)
        if user is None:
            found: Object = {"user": {}, "error": "invalid bearer token"}
        else:
            found = {"authenticated": True, "user": {"username": user.name, "groups": list(user.groups)}}
            found["audiences"] = audiences
        return responses.json({**body, "status": found}, status=201)

    async def configuration(self, request: Request) -> Response:
        keys = str(request.base_url.replace(path=KEYS_PATH))
        return responses.json(
            {
                "issuer": ISSUER,
                "jwks_uri": keys,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
            }
        )

    async def keys(self, request: Request) -> Response:
        return responses.json(self._tokens.key_set, media_type="application/jwk-set+json")


async def _object(request: Request, kind: str) -> Object:
    """The body, which must be an object of that kind of the group authentication.k8s.io."""
    body = (await bodies.decoded(request)).value
    if not isinstance(body, dict) or body.get("kind", kind) != kind:
        raise errors.BadRequest(f"the body must be a {kind}")
    if body.get("apiVersion", "authentication.k8s.io/v1") != "authentication.k8s.io/v1":
        raise errors.BadRequest("the body must have the apiVersion authentication.k8s.io/v1")
    if not isinstance(body.get("spec") or {}, dict) or not isinstance(body.get("metadata") or {}, dict):
        raise errors.BadRequest("spec and metadata must be objects")
    return body
