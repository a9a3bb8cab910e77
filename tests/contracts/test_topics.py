"""Topics, schemas and examples agree with the types they come from."""

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from contracts import events, generate
from contracts.codec import decode, encode
from contracts.compatibility import breaking_changes, is_breaking
from contracts.events import Event
from contracts.flow import load_topics
from contracts.generate import BASELINE, asyncapi, example, schema

TOPICS = load_topics()


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_is_written_and_read(name: str) -> None:
    """Every topic has a producer, and a consumer or a stated reader outside."""
    assert TOPICS[name].producers
    assert TOPICS[name].consumers or TOPICS[name].readers


def test_every_event_names_its_topics() -> None:
    """A type of event begins its docstring with the topics that carry it: all of them, and no others."""
    stated = {}
    for kind in Event.__subclasses__():
        head = (kind.__doc__ or "").split("\n")[0].split(":")[0]
        if head.startswith("Topic"):
            stated[kind.__name__] = set(re.findall("``([a-z-]+)``", head))
    assert {kind.__module__ for kind in Event.__subclasses__()} == {events.__name__}
    carried = {
        event: {name for name, topic in TOPICS.items() if topic.event == event}
        for event in {topic.event for topic in TOPICS.values()}
    }
    assert stated == carried


@pytest.mark.parametrize("name", TOPICS)
def test_a_log_is_kept_or_compacted(name: str) -> None:
    """No topic falls back to the broker's retention of a week: state is rebuilt from the log."""
    config = TOPICS[name].config
    assert ("retention.ms" in config) != (config.get("cleanup.policy") == "compact")


@pytest.mark.parametrize("name", TOPICS)
def test_an_example_validates_and_decodes(name: str) -> None:
    """Every topic has an example that its schema accepts and its type reads and writes back unchanged."""
    content = example(TOPICS[name])
    jsonschema_rs.validate(schema(TOPICS[name]), content)
    event = decode(TOPICS[name].kind, json.dumps(content).encode())
    assert json.loads(encode(event, source="test")[0]) == content


@pytest.mark.parametrize("name", TOPICS)
def test_an_example_without_a_required_field_is_refused(name: str) -> None:
    """The schema can fail: an example with any required field taken away is refused."""
    for field in schema(TOPICS[name])["required"]:
        content = example(TOPICS[name])
        del content[field]
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(schema(TOPICS[name]), content)


def test_generated_files_are_current() -> None:
    """Schemas, AsyncAPI and the README's flow are what the types and topic files give."""
    assert generate.stale() == []


def test_a_changed_generated_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate can fail: an edited, a missing and a left-over schema are named, and --check exits 1."""
    schemas = tmp_path / "schemas"
    shutil.copytree(generate.SCHEMAS, schemas)
    monkeypatch.setattr(generate, "SCHEMAS", schemas)
    assert generate.stale() == []
    (schemas / "panes.json").write_text("{}")
    (schemas / "outcomes.json").unlink()
    (schemas / "forgotten.json").write_text("{}")
    assert {path.name for path in generate.stale()} == {"panes.json", "outcomes.json", "forgotten.json"}
    with pytest.raises(SystemExit, match=r"not current, run `make contracts`"):
        generate.main(["--check"])


def test_asyncapi_names_every_edge() -> None:
    """The document has each topic with its message, its dead letters and its readers outside, and one operation for each
    producer and consumer."""
    document = asyncapi(list(TOPICS.values()))
    assert set(document["channels"]) == set(TOPICS) | {f"{name}.dlq" for name in TOPICS}
    edges = {f"{s}.send.{t.name}" for t in TOPICS.values() for s in t.producers}
    edges |= {f"{s}.receive.{t.name}" for t in TOPICS.values() for s in t.consumers}
    assert set(document["operations"]) == edges
    for (
        name,
        topic,
    ) in TOPICS.items():  # two topics may carry one event: each message is its own topic's all the same
        (reference,) = document["channels"][name]["messages"].values()
        message = document["components"]["messages"][reference["$ref"].removeprefix("#/components/messages/")]
        assert document["channels"][name].get("x-readers", []) == topic.readers
        assert message["payload"]["schema"] == {"$ref": f"./{name}.json"}
        assert message["bindings"]["kafka"]["key"]["description"] == topic.key
        assert message["examples"] == [{"payload": example(topic)}]
    assert yaml.safe_load((generate.SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8")) == document


def test_no_schema_breaks_its_baseline() -> None:
    """Readers and messages of the published schemas get on with today's, and every topic has a baseline."""
    assert {path.stem for path in BASELINE.glob("*.json")} == set(TOPICS)
    assert generate.broken() == []


def test_a_broken_baseline_fails_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate can fail: where the published schemas had a field or a topic more, --check refuses."""
    published = schema(TOPICS["model-events"])
    published["properties"]["signed_by"] = {"type": "string"}
    published["required"].append("signed_by")
    (tmp_path / "model-events.json").write_text(json.dumps(published))
    (tmp_path / "gone.json").write_text("{}")
    monkeypatch.setattr(generate, "BASELINE", tmp_path)
    assert generate.broken() == [
        "gone: the topic is gone",
        "model-events: message.signed_by: is no longer always there",
    ]
    with pytest.raises(SystemExit, match="signed_by"):
        generate.main(["--check"])


def _without(field: str) -> Any:
    def change(s: dict[str, Any]) -> None:
        del s["properties"][field]

    return change


def _retyped(s: dict[str, Any]) -> None:
    s["properties"]["rows"] = {"type": "string"}


def _optional(s: dict[str, Any]) -> None:
    s["required"].remove("rows")


def _wider(s: dict[str, Any]) -> None:
    s["properties"]["status"]["enum"].append("unheard of")


def _nested(s: dict[str, Any]) -> None:
    del s["$defs"]["FeatureDrift"]["properties"]["p_value"]


def _required(s: dict[str, Any]) -> None:
    s["properties"]["note"] = {"type": "string"}
    s["required"].append("note")


def _narrower(s: dict[str, Any]) -> None:
    s["properties"]["status"]["enum"].pop()


def _no_longer_null(s: dict[str, Any]) -> None:
    s["properties"]["alert_id"] = {"type": "string"}


def _of_other_items(s: dict[str, Any]) -> None:
    s["properties"]["features"]["additionalProperties"] = {"type": "number"}


@pytest.mark.parametrize(
    "change",
    [
        _without("window_end"),
        _retyped,
        _optional,
        _wider,
        _nested,
        _required,
        _narrower,
        _no_longer_null,
        _of_other_items,
    ],
)
def test_a_breaking_change_is_found(change: Any) -> None:
    """A field removed, retyped, made optional or required, an enumeration or union changed: all are named."""
    old = schema(TOPICS["drift-reports"])
    new = copy.deepcopy(old)
    change(new)
    assert is_breaking(old, new)
    assert all(line.startswith("message.") for line in breaking_changes(old, new))


def test_a_change_breaks_in_both_directions() -> None:
    """Old readers meet new messages and new readers old ones, so breaking is symmetric."""
    old = schema(TOPICS["drift-reports"])
    for change in (
        _without("window_end"),
        _retyped,
        _optional,
        _wider,
        _nested,
        _required,
        _narrower,
        _no_longer_null,
    ):
        new = copy.deepcopy(old)
        change(new)
        assert is_breaking(new, old)


def test_an_optional_field_more_or_other_words_break_nothing() -> None:
    """Readers ignore what they do not know, so a field may come; explanations and order may change."""
    old = schema(TOPICS["drift-reports"])
    new = copy.deepcopy(old)
    new["properties"]["note"] = {"type": "string", "default": ""}
    new["description"] = "said better"
    new["required"].reverse()
    new["properties"]["status"]["enum"].reverse()
    assert breaking_changes(old, new) == []
    assert breaking_changes(new, old) == []


def test_a_wrong_topic_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt word in a topic file is an error that names file and word."""
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "x.yaml").write_text("name: x\nretentoin: 3\n")
    monkeypatch.setattr("contracts.flow.resources.files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=r"x\.yaml: .*retentoin"):
        load_topics()
