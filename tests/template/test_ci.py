"""The project's CI files: valid, twins of each other, and run for real as far as one machine can."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from template_projects import Make, commit, environment, git, run

GITLAB, GITHUB = ".gitlab-ci.yml", ".github/workflows/model.yml"
JOBS = ["train", "publish", "build", "deploy"]
HERE = Path(__file__).parent


@pytest.fixture
def project(make: Make) -> Path:
    """A LightGBM project."""
    return make("grapes", framework="lightgbm")


def gitlab(folder: Path) -> dict[str, list[str]]:
    """Each job's commands."""
    content = yaml.safe_load((folder / GITLAB).read_text())
    return {job: content[job]["script"] for job in JOBS}


def github(folder: Path) -> dict[str, list[str]]:
    """Each job's commands; the steps that only carry files and Python are the vendor's."""
    jobs = yaml.safe_load((folder / GITHUB).read_text())["jobs"]
    return {
        job: [line for step in jobs[job]["steps"] for line in step.get("run", "").splitlines() if line]
        for job in JOBS
    }


def test_both_files_are_valid(project: Path) -> None:
    """Against the vendors' own schemas, which would find a key that they do not know."""
    for kind, file in (("gitlab-ci", GITLAB), ("github-workflows", GITHUB)):
        check = ("check-jsonschema", "--builtin-schema", f"vendor.{kind}")
        run(project, *check, file)
        (project / "wrong.yml").write_text(
            (project / file).read_text().replace("deploy:\n", "deploy:\n  needz: x\n")
        )
        done = subprocess.run([*check, "wrong.yml"], cwd=project, env=environment(), capture_output=True)
        assert done.returncode == 1


def test_the_two_files_run_the_same_commands(project: Path) -> None:
    """Job by job and line by line; which jobs wait for a person and for the default branch is the same too."""
    assert gitlab(project) == github(project)
    theirs, ours = (yaml.safe_load((project / file).read_text()) for file in (GITLAB, GITHUB))
    assert theirs["stages"] == JOBS
    assert [ours["jobs"][job].get("needs") for job in JOBS] == [None, "train", "publish", "build"]
    assert theirs["deploy"]["rules"][0]["when"] == "manual"
    assert theirs["deploy"]["environment"] == ours["jobs"]["deploy"]["environment"] == "production"
    assert ours["jobs"]["publish"]["if"] == "github.ref == 'refs/heads/main'"
    for word in ("dvc pull", "dvc exp run", "dvc push", "ci/comment.sh"):
        assert any(line.startswith(word) for line in gitlab(project)["train"]), word
    file = project / GITHUB
    file.write_text(file.read_text().replace("dvc exp run", "dvc repro"))
    assert gitlab(project) != github(project)


class Comments(BaseHTTPRequestHandler):
    """A GitLab that takes comments."""

    got: list[tuple[str, str | None, str]]

    def do_POST(self) -> None:
        """As its notes API."""
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.got.append((self.path, self.headers["private-token"], parse_qs(body)["body"][0]))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""


@pytest.fixture
def comments() -> Iterator[HTTPServer]:
    """It, on a free port; what came is in ``Comments.got``."""
    Comments.got = []
    server = HTTPServer(("127.0.0.1", 0), Comments)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_report_becomes_a_comment(project: Path, comments: HTTPServer, tmp_path: Path) -> None:
    """On GitLab by its API with the token, on GitHub by gh and in the summary, else in the log."""
    text = "### grapes\n\n| a & b | 50 % |\n"
    (project / "report.md").write_text(text)
    assert run(project, "ci/comment.sh") == text
    merge_request = {
        "CI_API_V4_URL": f"http://127.0.0.1:{comments.server_port}/api/v4", "CI_PROJECT_ID": "7",
        "CI_MERGE_REQUEST_IID": "3", "REPORT_TOKEN": "t",
    }  # fmt: skip
    assert run(project, "ci/comment.sh", env=environment() | merge_request) == ""
    assert Comments.got == [("/api/v4/projects/7/merge_requests/3/notes", "t", text)]
    tools, told = tmp_path / "tools", tmp_path / "told"
    tools.mkdir()
    (tools / "gh").write_text(f'#!/bin/sh\necho "$@" >{told}\n')
    (tools / "gh").chmod(0o755)
    pull_request = {
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "PULL_REQUEST": "5",
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    run(project, "ci/comment.sh", env=environment() | pull_request)
    assert told.read_text() == "pr comment 5 --body-file report.md --edit-last --create-if-none\n"
    assert (tmp_path / "summary").read_text() == text


def test_a_bare_runner_gets_atalaia_at_the_template_s_revision(
    project: Path, template: Path, tmp_path: Path
) -> None:
    """Cloned and set up where no atalaia is on PATH, for this shell and for GitHub's later steps; else left alone.

    YAML quotes a revision that happens to be all digits.
    """
    (template / "Makefile").write_text(
        "setup:\n\tmkdir -p .venv/bin\n\tgit rev-parse --short HEAD >.venv/bin/atalaia\n\tchmod +x .venv/bin/atalaia\n"
    )
    commit(template, "a Makefile")
    revision = git(template, "rev-parse", "--short", "HEAD")
    commit_line = re.compile("^_commit: .*$", re.MULTILINE)
    answers = project / ".copier-answers.yml"
    answers.write_text(commit_line.sub(f"_commit: '{revision}'", answers.read_text()))
    (template / "later").write_text("")
    commit(template, "the template goes on")
    bare = {
        "PATH": "/usr/bin:/bin",
        "ATALAIA_REPOSITORY": str(template),
        "GITHUB_PATH": str(tmp_path / "paths"),
    }
    there = run(project, "bash", "-ec", ". ci/environment.sh; command -v atalaia", env=bare).splitlines()[-1]
    assert there == f"{project}/.atalaia-source/.venv/bin/atalaia"
    assert Path(there).read_text().strip() == revision
    assert (tmp_path / "paths").read_text().strip() == str(Path(there).parent)
    shutil.rmtree(project / ".atalaia-source")
    run(project, "bash", "-ec", ". ci/environment.sh")
    assert not (project / ".atalaia-source").exists()


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[str]:
    """A real MLflow server's address."""
    from atalaia.processes import Child, python, wait_until_ready
    from servicekit.broker import free_port

    port = free_port()
    server = Child(
        "MLflow",
        [
            *python("-m", "atalaia.guard", *python("-m", "mlflow", "server")), "--backend-store-uri",
            f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", str(tmp_path / "artifacts"), "--host",
            "127.0.0.1", "--port", str(port), "--workers", "1",
        ],
        tmp_path / "mlflow.log",
    )  # fmt: skip
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_until_ready({"mlflow": (f"{uri}/health", server)}, 180, lambda _: None, lambda: None)
        yield uri
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.timeout(900)
def test_the_pipeline_runs_for_real(project: Path, mlflow: str, tmp_path: Path) -> None:
    """gitlab-ci-local, real DVC, MLflow and Kafka: trained, published, deployed, and nothing trained again the next time.

    Only the image is left out, which needs a container engine.
    """
    from contracts.events import ModelChanged
    from mlflow import MlflowClient
    from servicekit.broker import EmbeddedKafka
    from servicekit.config import Settings
    from servicekit.topic_log import read_events
    from servicekit.topics import ensure_topics

    local = HERE / "node_modules" / ".bin" / "gitlab-ci-local"
    if not local.exists() or shutil.which("rsync") is None:
        pytest.skip("`make test-template` installs gitlab-ci-local; it needs rsync")
    git(tmp_path, "clone", "--quiet", "--bare", str(project), "origin.git")
    git(project, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(project, "fetch", "--quiet", "origin")
    git(project, "remote", "set-head", "origin", "main")
    remote = tmp_path / "dvc-remote"

    def ci(*jobs: str, **variables: str) -> str:
        given = {"ATALAIA_MLFLOW": mlflow, "ATALAIA_DVC_REMOTE": str(remote)} | variables
        said = [argument for name, value in given.items() for argument in ("--variable", f"{name}={value}")]
        command = [str(local), "--force-shell-executor", "--shell-isolation", *said, *jobs]
        done = subprocess.run(
            command, cwd=project, env=environment(), capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        return done.stdout

    told = ci("train", "publish")
    assert "Ran experiment(s)" in told
    assert "| reports/metrics.json   | accuracy" in told
    assert "xychart-beta" in told
    assert len([path for path in remote.rglob("*") if path.is_file()]) > 5
    client = MlflowClient(mlflow, mlflow)
    (version,) = client.search_model_versions("name='grapes'")
    assert str(version.version) == "1"
    assert version.tags["code_version"] == git(project, "rev-parse", "HEAD")
    lock, published = project / "dvc.lock", project / "published.json"
    assert lock.is_file()
    assert json.loads(published.read_text())["version"] == "1"

    with EmbeddedKafka(tmp_path / "kafka") as broker:
        asyncio.run(ensure_topics(Settings(kafka=broker.bootstrap, partitions=1)))
        told = ci("deploy", ATALAIA_KAFKA=broker.bootstrap)
        assert "Version 1 of grapes is to serve as the first" in " ".join(told.split()).replace(
            "deploy > ", ""
        )
        (event,) = asyncio.run(read_events(Settings(kafka=broker.bootstrap), "model-events", ModelChanged))
    assert (event.model, event.version, event.action) == ("grapes", "1", "installed")
    assert str(client.get_model_version_by_alias("grapes", "champion").version) == "1"

    commit(project, "what was trained")
    told = ci("train")
    assert "didn't change, skipping" in told
