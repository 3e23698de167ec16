# SPDX-License-Identifier: Apache-2.0
"""The kind Greeting: its names, schema, defaults, rules and columns."""

from collections.abc import Iterator

from tidegate import extension
from tidegate.extension import NAME, READY, Cause, Kind, ObjectWrite, Resource

GREETING = Kind("greetings.example.com", "v1", "Greeting", "greetings", short_names=("greet",))
WORDS = {"en": "Hello", "de": "Hallo", "fr": "Bonjour"}

SCHEMA = extension.schema(
    "Greeting",
    "A text that greets somebody.",
    """
GreetingSpec: Desired state of the greeting.
  whom      string  The name to greet.
  language  string  The language: en (default), de or fr.

GreetingStatus*: Observed state of the greeting.
  observedGeneration  int64        The generation of the spec that this status describes.
  conditions          [Condition]  Ready and Written.
  text                string       The greeting.
""",
)


def set_defaults(write: ObjectWrite) -> None:
    write.new["spec"].setdefault("language", "en")


def rules(write: ObjectWrite) -> Iterator[Cause]:
    spec = write.new["spec"]
    if not spec.get("whom"):
        yield extension.required("spec.whom")
    if spec["language"] not in WORDS:
        yield extension.invalid(spec["language"], "spec.language", f"must be one of {', '.join(WORDS)}")


RESOURCE = Resource(
    GREETING,
    SCHEMA,
    defaults=set_defaults,
    validate=extension.kubernetes_rules(rules),
    columns=(NAME, extension.printed("Text", "string", ".status.text"), *READY),
)
