"""Passwords and keys of the composed platform: made at the first start, kept in volumes, never in a file of the repository.

What ``.env`` gives is taken at the first start. Later it has to be the same: changing a line of ``.env`` does not change the
password that a database already has, nor make one broker three. ``show`` prints what a person needs; ``forget NAME`` lets the
next start make, or take, another.
"""

import json
import os
import secrets
import sys
from pathlib import Path

ROOT = Path("/run/atalaia")
# variable of .env -> the file that holds it; each folder is a volume of those that need it
KEPT = {
    "POSTGRES_PASSWORD": ROOT / "postgres" / "password",
    "S3_SECRET_KEY": ROOT / "store" / "mlflow",
    "S3_DVC_SECRET_KEY": ROOT / "store" / "dvc",
    "GRAFANA_PASSWORD": ROOT / "grafana" / "password",
}
VOTERS = ROOT / "cluster" / "voters"
WEBHOOK = ROOT / "alerts" / "webhook-url"


def write(path: Path, content: str) -> None:
    """Whole or not at all: a start that is interrupted leaves no half password behind."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.chmod(0o444)  # read by other users' processes, each in a container that has this volume
    new.replace(path)


def keep(name: str, path: Path, made: str) -> str:
    """What ``path`` holds: at the first start what ``.env`` says, or ``made``; ends with one line where ``.env`` says another."""
    given = os.environ.get(name, "")
    if path.exists():
        kept = path.read_text()
        if given and given != kept:
            sys.exit(
                f"{name} in .env is another than at the first start, and what was made then still goes by that: "
                "give the old one, or leave the line out (docs/compose.md, Passwords)."
            )
        return kept
    write(path, given or made)
    return given or made


def store(mlflow: str, dvc: str) -> None:
    """Who may do what at the S3 store: MLflow's server makes the buckets, the trainer has one of them."""
    may = {
        "mlflow": (mlflow, ["Admin", "Read", "List", "Tagging", "Write"], ROOT / "s3"),
        "dvc": (dvc, [f"{action}:dvc" for action in ("Read", "List", "Tagging", "Write")], ROOT / "dvc"),
    }
    identities = []
    for name, (key, actions, folder) in may.items():
        identities.append(
            {"name": name, "credentials": [{"accessKey": name, "secretKey": key}], "actions": actions}
        )
        lines = f"[default]\naws_access_key_id = {name}\naws_secret_access_key = {key}\n"
        write(folder / "credentials", lines)
    write(ROOT / "store" / "seaweedfs.json", json.dumps({"identities": identities}))


def main(arguments: list[str]) -> None:
    """Make what is missing; print it where asked. Or forget one, and make nothing."""
    if arguments[:1] == ["forget"]:
        if len(arguments) != 2 or arguments[1] not in KEPT:
            sys.exit(f"forget one of {', '.join(KEPT)}")
        KEPT[arguments[1]].unlink(missing_ok=True)
        return
    keep("KAFKA_VOTERS", VOTERS, "")
    found = {name: keep(name, path, secrets.token_urlsafe(24)) for name, path in KEPT.items()}
    store(found["S3_SECRET_KEY"], found["S3_DVC_SECRET_KEY"])
    write(WEBHOOK, os.environ.get("ALERT_WEBHOOK_URL", ""))  # it is an address: another is another
    if arguments == ["show"]:
        print("\n".join(f"{name}={value}" for name, value in found.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
