"""Passwords and keys of the composed platform: made at the first start, kept in volumes, never in a file of the repository.

What ``.env`` gives is taken at the first start. Later it has to be the same: changing a line of ``.env`` does not change the
password that a database already has. ``make_secrets.py show`` prints what a person needs.
"""

import json
import os
import secrets
import sys
from pathlib import Path

ROOT = Path("/run/atalaia")
ACCESS_KEY = "atalaia"
# variable of .env -> the file that holds it; each folder is a volume of those that need it
KEPT = {
    "POSTGRES_PASSWORD": ROOT / "postgres" / "password",
    "S3_SECRET_KEY": ROOT / "s3" / "secret-key",
    "GRAFANA_PASSWORD": ROOT / "grafana" / "password",
}


def write(path: Path, content: str) -> None:
    """Whole or not at all: a start that is interrupted leaves no half password behind."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.chmod(0o444)  # read by other users' processes, each in a container that has this volume
    new.replace(path)


def keep(name: str, path: Path) -> str:
    """The secret ``name``, made where there is none; ends with one line where ``.env`` says another."""
    given = os.environ.get(name, "")
    if path.exists():
        kept = path.read_text()
        if given and given != kept:
            sys.exit(
                f"{name} in .env is another than at the first start. Change it where it is used too, or leave the line empty: "
                "docker compose run --rm secrets show"
            )
        return kept
    made = given or secrets.token_urlsafe(24)
    write(path, made)
    return made


def main(arguments: list[str]) -> None:
    """Make what is missing; print it where asked."""
    found = {name: keep(name, path) for name, path in KEPT.items()}
    keys = {"accessKey": ACCESS_KEY, "secretKey": found["S3_SECRET_KEY"]}
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    identities = [{"name": ACCESS_KEY, "credentials": [keys], "actions": actions}]
    write(ROOT / "s3" / "seaweedfs.json", json.dumps({"identities": identities}))
    lines = f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {found['S3_SECRET_KEY']}\n"
    write(ROOT / "s3" / "credentials", lines)
    if arguments == ["show"]:
        print("\n".join(f"{name}={value}" for name, value in found.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
