"""The folders say what flows where: each topic of a service has its module, and each module its topic."""

from pathlib import Path

import pytest
from servicekit.topics import load_topics

ROOT = Path(__file__).parents[2]
TOPICS = load_topics()
NO_TOPIC = {"__init__", "http"}  # HTTP comes in too
SERVICES = {path.name: path for path in (ROOT / "services").iterdir() if (path / "src").is_dir()}


def modules(service: str, side: str) -> set[str]:
    """Topic names of the modules in a service's ``consumes`` or ``produces`` folder."""
    folder = SERVICES[service] / "src" / service.replace("-", "_") / side
    return {path.stem.replace("_", "-") for path in folder.glob("*.py") if path.stem not in NO_TOPIC}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_what_a_service_produces_is_what_its_folder_names(service: str) -> None:
    """A service's produces/ folder holds exactly the topics that name it as a producer."""
    assert modules(service, "produces") == {n for n, t in TOPICS.items() if service in t.producers}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_what_a_service_consumes_is_what_its_folder_names(service: str) -> None:
    """A service's consumes/ folder holds exactly the topics that name it as a consumer."""
    assert modules(service, "consumes") == {n for n, t in TOPICS.items() if service in t.consumers}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_domain_imports_no_framework(service: str) -> None:
    """No module under domain/ mentions a framework's import."""
    banned = ("fastapi", "starlette", "faust", "aiokafka", "mlflow", "servicekit")
    domain = SERVICES[service] / "src" / service.replace("-", "_") / "domain"
    for path in domain.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not line.lstrip().startswith(
                tuple(f"{w} {b}" for w in ("import", "from") for b in banned)
            ), path
