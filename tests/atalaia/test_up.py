"""Processes, ports and projects: what goes wrong is one clear line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from atalaia.cli import main
from atalaia.first_model import settings_from
from atalaia.ports import require_free
from atalaia.processes import Child, python, wait_until_ready
from atalaia.project import find_project, read_env, repository_of
from atalaia.scrape_targets import write_targets
from servicekit.broker import free_port
from servicekit.errors import UserError


def _until(condition: object, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def _project(folder: Path, params: str = "package: pipe\n") -> Path:
    folder.mkdir()
    (folder / "params.yaml").write_text(params)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    return folder


def test_occupied_port_names_port_and_setting() -> None:
    """A port somebody listens on is one line that says which, and how to choose another."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} .*ATALAIA_TRAINER_PORT"):
            require_free("127.0.0.1", port, "ATALAIA_TRAINER_PORT")
    require_free("127.0.0.1", free_port(), "ATALAIA_TRAINER_PORT")


def test_child_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    """The error names the process and shows the end of its log."""
    child = Child(
        "trainer", python("-c", "print('no project here'); raise SystemExit(3)"), tmp_path / "t.log"
    )
    with pytest.raises(UserError, match=r"(?s)trainer ended early with code 3.*no project here"):
        wait_until_ready(
            {"trainer": (f"http://127.0.0.1:{free_port()}/", child)}, 20, lambda _: None, lambda: None
        )


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    """After ``kill -9`` of the parent neither a child nor a guarded grandchild is left."""
    code = f"""
import sys, time
from pathlib import Path
from atalaia.processes import Child, python
inner = "import subprocess,sys;p=subprocess.Popen([sys.executable,'-c','import time;time.sleep(100)']);print(p.pid,flush=True);p.wait()"
a = Child("plain", python("-c", "import time;time.sleep(100)"), Path({str(tmp_path)!r}) / "a.log")
b = Child("guarded", python("-m", "atalaia.guard", *python("-c", inner)), Path({str(tmp_path)!r}) / "b.log")
print(a.process.pid, b.process.pid, flush=True)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(p) for p in parent.stdout.readline().split()]
        log = tmp_path / "b.log"
        assert _until(lambda: log.exists() and log.read_text().strip())
        pids.append(int(log.read_text().split()[0]))
        parent.send_signal(signal.SIGKILL)
    assert _until(lambda: all(_gone(p) for p in pids))


def test_service_env_is_read_without_its_comments(tmp_path: Path) -> None:
    """Comments and blank lines are nothing; a line without = is an error that names it."""
    path = tmp_path / "service.env"
    path.write_text("# how long\nATALAIA_WINDOW_MS=60000\n\nATALAIA_MODEL='m' # the name\n")
    assert read_env(path) == {"ATALAIA_WINDOW_MS": "60000", "ATALAIA_MODEL": "m"}
    path.write_text("ATALAIA_MODEL\n")
    with pytest.raises(UserError, match="line 1"):
        read_env(path)


def test_settings_are_those_the_services_will_see() -> None:
    """A wrong value is one line that names the setting."""
    assert settings_from({"ATALAIA_WINDOW_MS": "60000", "HOME": "/x"}).window_ms == 60000
    with pytest.raises(UserError, match="ATALAIA_WINDOW_MS"):
        settings_from({"ATALAIA_WINDOW_MS": "-1"})


def test_project_needs_its_files(tmp_path: Path) -> None:
    """A folder that is no project, and one that does not name its package, are said so."""
    with pytest.raises(UserError, match="no ML project at"):
        find_project(tmp_path / "nothing")
    with pytest.raises(UserError, match="package"):
        find_project(_project(tmp_path / "p", "seed: 1\n"))
    assert find_project(_project(tmp_path / "q")).package == "pipe"


def test_repository_of_leaves_the_users_folder_alone(tmp_path: Path) -> None:
    """The trainer clones a repository of its own; nothing is written beside the user's files."""
    folder = _project(tmp_path / "p")
    before = sorted(p.name for p in folder.rglob("*"))
    copy = repository_of(find_project(folder), tmp_path / "data")
    assert (copy / ".git").is_dir()
    assert (copy / ".dvc").is_dir()
    assert sorted(p.name for p in folder.rglob("*")) == before
    assert repository_of(find_project(folder), tmp_path / "data") == copy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "wine-quality", "--data", "/nowhere.csv"], "no such file"),
        (["demo", "flights", "--data", "/nowhere.csv"], "--data is for wine-quality"),
        (["demo", "nothing"], "no ML project"),
        (["up", "--project", "/nowhere"], "no ML project"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the user can mend is one line on standard error, no stack trace."""
    monkeypatch.setattr(sys, "argv", ["atalaia", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def test_broken_data_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not UCI's ends the demonstration before anything is started."""
    broken = tmp_path / "winequality-red.csv"
    broken.write_text("not;this\n")
    monkeypatch.setattr(
        sys, "argv", ["atalaia", "demo", "wine-quality", "--data", str(broken), "--out", str(tmp_path / "o")]
    )
    monkeypatch.setenv("ATALAIA_WINE_CSV", "")
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert "sha256" in error
    assert len(error.strip().splitlines()) == 1


def test_absent_broker_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ATALAIA_KAFKA naming a port where nothing listens, the platform says so and leaves nothing running."""
    from atalaia import up

    monkeypatch.setattr(up.Platform, "_start_mlflow", lambda self: None)
    monkeypatch.setattr(up, "repository_of", lambda project, data: _project(tmp_path / "copy"))
    monkeypatch.setattr(
        up, "wait_for_kafka", lambda bootstrap, timeout, wait=up.wait_for_kafka: wait(bootstrap, 0.5)
    )
    monkeypatch.setenv("ATALAIA_KAFKA", f"127.0.0.1:{free_port()}")
    for service in up.SERVICES.values():
        monkeypatch.setenv(f"ATALAIA_{service.upper()}_PORT", str(free_port()))
    folder = _project(tmp_path / "p")
    monkeypatch.setattr(
        sys, "argv", ["atalaia", "up", "--project", str(folder), "--data", str(tmp_path / "d")]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert "No Kafka broker answers" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("command", [["up", "--project", "p"], ["demo", "digits"]])
def test_a_broker_of_its_own_asks_for_no_login(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings for a cluster that asks for one, and no cluster: one line, before anything is started."""
    monkeypatch.chdir(tmp_path)
    _project(tmp_path / "p")
    monkeypatch.delenv("ATALAIA_KAFKA", raising=False)
    monkeypatch.setenv("ATALAIA_KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setattr(sys, "argv", ["atalaia", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    [error] = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2
    assert "ATALAIA_KAFKA_SECURITY_PROTOCOL" in error
    assert "unset" in error


def test_repository_of_a_project_that_holds_the_data_folder(tmp_path: Path) -> None:
    """``atalaia up --project .`` keeps everything in ``./.atalaia``: neither that nor an environment is copied into it."""
    folder = _project(tmp_path / "p")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "large").write_text("")
    data = folder / ".atalaia" / "p"
    data.mkdir(parents=True)
    for _ in range(2):
        copy = repository_of(find_project(folder), data)
        assert {path.name for path in copy.iterdir()} == {
            ".git",
            ".dvc",
            ".dvcignore",
            "params.yaml",
            "dvc.yaml",
        }


def test_prometheus_is_told_each_service_under_its_name(tmp_path: Path) -> None:
    """The file is what file_sd_configs reads, made with its folder and replaced whole."""
    path = tmp_path / "new" / "targets.json"
    write_targets(path, {"predictor": "http://127.0.0.1:1"})
    write_targets(path, {"predictor": "http://127.0.0.1:8000", "drift-monitor": "http://127.0.0.1:8002"})
    assert json.loads(path.read_text()) == [
        {"targets": ["127.0.0.1:8000"], "labels": {"job": "predictor"}},
        {"targets": ["127.0.0.1:8002"], "labels": {"job": "drift-monitor"}},
    ]
    assert [each.name for each in path.parent.iterdir()] == ["targets.json"]


def test_a_file_for_prometheus_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """The error names the option and the path."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--prometheus-targets .*file/targets.json: "):
        write_targets(tmp_path / "file" / "targets.json", {})
