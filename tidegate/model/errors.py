# SPDX-License-Identifier: Apache-2.0
"""The failures of a Kubernetes API, as exceptions: each is a `Status` with a code and a reason.

    ApiError                  any failure, with HTTP code and reason
      BadRequest    400       malformed, or with an unknown parameter or field selector
      Unauthorized  401
      Forbidden     403
      NotFound      404
      MethodNotAllowed 405
      NotAcceptable 406       the client accepts none of the formats
      Conflict      409       the object has changed since it was read
      AlreadyExists 409
      Expired       410       the resourceVersion is older than the stored history
      TooLarge      413
      UnsupportedMediaType 415
      Invalid       422       fields are wrong; `causes` says which and why
      TooManyRequests 429
      ServiceUnavailable 503  the server cannot be reached, or is not ready
      Timeout       504       the wait took too long, e.g. for a resourceVersion in the future
      InsufficientStorage 507 the disk of the state database is full

Raised by the store, the API server and every `Cluster`. `status` and `from_status` convert them to and from JSON.
Reasons and codes follow k8s.io/apimachinery `metav1.StatusReason`.
"""

from typing import Any, ClassVar, NamedTuple


class Cause(NamedTuple):
    """One wrong field: `reason` as in metav1.CauseType, `field` as a JSON path ("spec.traffic[0].percent")."""

    reason: str
    message: str
    field: str


class ApiError(Exception):
    """A failure Status. `details` has the kind, group and name of the object, if known."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, causes: tuple[Cause, ...] = (), details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes
        self.details = details or {}

    def status(self) -> dict[str, Any]:
        """The `v1 Status` object that clients receive."""
        details = dict(self.details)
        if self.causes:
            details["causes"] = [cause._asdict() for cause in self.causes]
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": details} if details else {}),
            "code": self.code,
        }


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Expired(ApiError):
    code, reason = 410, "Expired"


class TooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    code, reason = 422, "Invalid"


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


class InsufficientStorage(ApiError):
    code, reason = 507, "InsufficientStorage"


_BY_REASON: dict[str, type[ApiError]] = {error.reason: error for error in ApiError.__subclasses__()}


def from_status(status: dict[str, Any]) -> ApiError:
    """The exception for a failure Status received from a server; an unknown reason becomes a plain `ApiError`."""
    details = dict(status.get("details") or {})
    causes = tuple(
        Cause(cause.get("reason", ""), cause.get("message", ""), cause.get("field", ""))
        for cause in details.pop("causes", ())
    )
    error = _BY_REASON.get(status.get("reason", ""), ApiError)
    return error(status.get("message") or "the server gave no message", causes=causes, details=details)
