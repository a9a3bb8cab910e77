"""Writes what is derived from the Python types and the topic files; ``--check`` only compares.

JSON Schemas (2020-12), an AsyncAPI 3 document and the README's flow. ``--baseline`` takes today's schemas as
the published ones, which later ones must not break; it refuses a breaking change, which is a new ``ce_type``.
``python -m contracts.generate [--check | --baseline]``, in a checkout of the repository.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml

from contracts.codec import event_type
from contracts.compatibility import breaking_changes
from contracts.flow import Topic, load_topics

PACKAGE = Path(__file__).parents[2]
README = PACKAGE.parents[1] / "README.md"
SCHEMAS = PACKAGE / "schemas"
BASELINE = SCHEMAS / "baseline"
EXAMPLES = PACKAGE / "examples"
BEGIN, END = "<!-- flow:begin -->", "<!-- flow:end -->"
HEADERS = ("ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion", "content-type")
PARTITIONS = 12


def schema(topic: Topic) -> dict[str, Any]:
    """The JSON Schema of a topic's messages."""
    _, components = msgspec.json.schema_components([topic.kind], ref_template="#/$defs/{name}")
    body = components.pop(topic.event)
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:atalaia:{topic.name}:v1",
        **body,
    }
    return {**found, "$defs": components} if components else found


def example(topic: Topic) -> Any:
    """The topic's example message."""
    return json.loads((EXAMPLES / f"{topic.name}.json").read_text(encoding="utf-8"))


def _configuration(config: dict[str, str]) -> dict[str, Any]:
    """Kafka's topic configuration as AsyncAPI's Kafka binding types it."""
    return {
        name: value.split(",")
        if name == "cleanup.policy"
        else int(value)
        if value.lstrip("-").isdigit()
        else value
        for name, value in config.items()
    }


def _message(topic: Topic) -> dict[str, Any]:
    constant = {
        "ce_type": event_type(topic.kind),
        "ce_specversion": "1.0",
        "content-type": "application/json",
    }
    properties = {h: {"type": "string", **({"const": constant[h]} if h in constant else {})} for h in HEADERS}
    return {
        "name": event_type(topic.kind),
        "title": topic.event,
        "contentType": "application/json",
        "headers": {"type": "object", "required": list(HEADERS), "properties": properties},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{topic.name}.json"},
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
        "examples": [{"payload": example(topic)}],
    }


def asyncapi(topics: list[Topic]) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of all topics, dead letters included."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in topics:
        channels[topic.name] = {
            "address": topic.name,
            "description": topic.description,
            "messages": {topic.event: {"$ref": f"#/components/messages/{topic.name}"}},
            # Outside of the platform: they are no operations of it.
            **({"x-readers": topic.readers} if topic.readers else {}),
            "bindings": {
                "kafka": {
                    "partitions": PARTITIONS if topic.partitioned else 1,
                    "topicConfiguration": _configuration(topic.config),
                }
            },
        }
        channels[topic.dlq] = {
            "address": topic.dlq,
            "description": f"Records of {topic.name} that could not be read, as they came.",
            "messages": {"Unreadable": {"$ref": "#/components/messages/Unreadable"}},
        }
        for action, services in (("send", topic.producers), ("receive", topic.consumers)):
            for service in services:
                operations[f"{service}.{action}.{topic.name}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic.name}"},
                    "tags": [{"name": service}],
                }
    text = {"type": "string"}
    unreadable = {
        "name": "unreadable",
        "headers": {
            "type": "object",
            "required": ["dlq_reason", "dlq_origin"],
            "properties": {
                "dlq_reason": {**text, "description": "why it could not be read"},
                "dlq_origin": {**text, "description": "topic/partition/offset"},
            },
        },
        "payload": {"description": "whatever came"},
    }
    # by topic: two may carry the same event, each with its own key, schema file and example
    messages = {topic.name: _message(topic) for topic in topics}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Atalaia", "version": "1.0.0", "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": {**messages, "Unreadable": unreadable}},
    }


def diagram(topics: list[Topic]) -> str:
    """The flow as a Mermaid flowchart, services boxed and topics rounded, and the topics as a table."""
    chart = [
        "```mermaid",
        "flowchart LR",
        "    caller{{HTTP predict}} --> predictor",
        "    truth{{HTTP feedback}} --> feedback",
        "    accept{{atalaia drift accept}} --> references",
        "    shadow{{atalaia model shadow}} --> challengers",
        "    train{{atalaia train}} --> training_requests",
        "    approve{{atalaia approve, refuse}} --> approvals",
        "    rollback{{atalaia model rollback}} --> model_events",
        "    install{{atalaia model install}} --> model_events",
        # No topic, but nothing is served or watched without it: models and profiles by version.
        "    registry[(MLflow registry)]",
        "    trainer -.-> registry",
        *(f"    registry -.-> {service}" for service in ("predictor", "drift-monitor", "feedback")),
    ]
    table = ["| topic | holds | written by | read by | kept |", "|---|---|---|---|---|"]
    for topic in topics:
        node = topic.name.replace("-", "_")
        chart.append(f"    {node}([{topic.name}])")
        # Of the command line its commands are shown; the first model's event is no part of the loop.
        chart += [f"    {service} --> {node}" for service in topic.producers if service != "atalaia"]
        chart += [f"    {node} --> {service}" for service in topic.consumers]
        kept = {"compact": "last per key"}.get(topic.config.get("cleanup.policy", ""), "for ever")
        if topic.config.get("retention.ms", "-1") != "-1":
            kept = f"{int(topic.config['retention.ms']) // 86_400_000} days"
        readers = ", ".join([*topic.consumers, *(f"_{reader}_" for reader in topic.readers)])
        table.append(
            f"| `{topic.name}` | {topic.description} | {', '.join(topic.producers)} | {readers} | {kept} |"
        )
    return "\n".join([*chart, "```", "", *table, "", "Readers in italics are outside of the platform."])


def outputs() -> dict[Path, str]:
    """Every derived file and what should be in it."""
    topics = list(load_topics().values())
    found = {SCHEMAS / f"{topic.name}.json": json.dumps(schema(topic), indent=2) + "\n" for topic in topics}
    found[SCHEMAS / "asyncapi.yaml"] = yaml.safe_dump(asyncapi(topics), sort_keys=False, width=110)
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    found[README] = f"{before}{BEGIN}\n{diagram(topics)}\n{END}{rest.split(END)[1]}"
    return found


def stale() -> list[Path]:
    """Derived files that are not what they should be, and schemas whose topic is gone."""
    wanted = outputs()
    changed = [p for p, text in wanted.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    return changed + [p for p in sorted(SCHEMAS.glob("*.json")) if p not in wanted]


def broken() -> list[str]:
    """What would break readers of the published schemas."""
    topics = load_topics()
    found = []
    for path in sorted(BASELINE.glob("*.json")):
        if path.stem not in topics:
            found.append(f"{path.stem}: the topic is gone")
            continue
        old = json.loads(path.read_text(encoding="utf-8"))
        found += [f"{path.stem}: {change}" for change in breaking_changes(old, schema(topics[path.stem]))]
    return found


def main(arguments: list[str]) -> None:
    """Write the files, or exit 1 and say what is not current or breaks."""
    if not README.exists():
        sys.exit(
            "contracts.generate works in a checkout of the repository, with the packages installed editable"
        )
    changes = broken()
    if "--check" in arguments:
        old = stale()
        if old:
            sys.exit(f"not current, run `make contracts`: {', '.join(p.name for p in old)}")
        if changes:
            sys.exit("\n".join(["a published schema breaks:", *changes]))
        return
    for path, text in outputs().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in stale():
        path.unlink()
    if "--baseline" in arguments:
        if changes:
            sys.exit("\n".join(["refused, a published schema breaks:", *changes]))
        BASELINE.mkdir(exist_ok=True)
        for topic in load_topics().values():
            (BASELINE / f"{topic.name}.json").write_text(
                json.dumps(schema(topic), indent=2) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
