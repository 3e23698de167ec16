# SPDX-License-Identifier: Apache-2.0
"""The columns of Events: when, about which object, and the message. Pure."""

from datetime import datetime

from tidegate.model.columns import NAME, Column, since
from tidegate.model.objects import Object
from tidegate.model.text.jsonpath import compiled

_SOURCE, _SOURCE_HOST = compiled(".source.component"), compiled(".source.host")
_KIND, _NAME = compiled(".involvedObject.kind"), compiled(".involvedObject.name")
_FIELD = compiled(".involvedObject.fieldPath")
_LAST_OBSERVED = compiled(".series.lastObservedTime")


def _source(event: Object) -> str:
    component = _SOURCE(event) or event.get("reportingComponent") or ""
    instance = _SOURCE_HOST(event) or event.get("reportingInstance") or ""
    return f"{component}, {instance}" if instance else str(component)


def _involved_object(event: Object) -> str:
    return f"{str(_KIND(event) or '').lower()}/{_NAME(event) or ''}"


def _last_seen(event: Object, now: datetime) -> str:
    last = _LAST_OBSERVED(event) or event.get("lastTimestamp") or event.get("eventTime")
    return since(last or event["metadata"].get("creationTimestamp"), now)


def _first_seen(event: Object, now: datetime) -> str:
    return since(event.get("firstTimestamp") or event.get("eventTime"), now)


COLUMNS = (
    Column("Last Seen", "string", _last_seen),
    Column("Type", "string", lambda event, now: event.get("type", "")),
    Column("Reason", "string", lambda event, now: event.get("reason", "")),
    Column("Object", "string", lambda event, now: _involved_object(event)),
    Column("Subobject", "string", lambda event, now: _FIELD(event) or "", 1),
    Column("Source", "string", lambda event, now: _source(event), 1),
    Column("Message", "string", lambda event, now: str(event.get("message") or "").strip()),
    Column("First Seen", "string", _first_seen, 1),
    Column("Count", "string", lambda event, now: str(event.get("count") or 1), 1),
    NAME._replace(priority=1),
)
