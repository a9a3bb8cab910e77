"""MLflow's server on PostgreSQL and an S3 store: buckets are made, tables brought up to date, then the server takes over."""

import os
import sys
import time
from pathlib import Path
from urllib.parse import quote

import boto3
import sqlalchemy
from botocore.exceptions import BotoCoreError, ClientError

PASSWORD = Path("/run/atalaia/postgres/password")
BUCKETS = os.environ.get("S3_BUCKETS", "mlflow,dvc").split(",")
SECONDS = 120


def make_buckets() -> None:
    """Those that are missing. The store may answer before it can keep anything, so this is tried for a while."""
    client = boto3.client("s3")
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
            for name in BUCKETS:
                if name not in there:
                    client.create_bucket(Bucket=name)
            # what is made must be usable, and not only be listed
            client.put_object(Bucket=BUCKETS[0], Key=".ready", Body=b"")
            return
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"the S3 store at {os.environ.get('AWS_ENDPOINT_URL')} cannot be used: {error}")
            time.sleep(1)


def upgrade(uri: str) -> None:
    """Bring the tables of an earlier MLflow up to date, which its server refuses to do by itself; an empty database it fills."""
    engine = sqlalchemy.create_engine(uri)
    there = sqlalchemy.inspect(engine).has_table("alembic_version")
    engine.dispose()
    if there:
        from mlflow.db import upgrade as command

        assert command.callback is not None
        command.callback(uri)


def main() -> None:
    """Replaces itself with ``mlflow server``."""
    if not PASSWORD.is_file():
        sys.exit(f"{PASSWORD} is missing: `docker compose up secrets` makes it")
    make_buckets()
    uri = f"postgresql+psycopg2://mlflow:{quote(PASSWORD.read_text(), safe='')}@postgres:5432/mlflow"
    upgrade(uri)
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri  # not among the arguments, which anyone may list
    arguments = ["--host", "0.0.0.0", "--port", "5000", "--workers", os.environ.get("MLFLOW_WORKERS", "2")]
    arguments += ["--artifacts-destination", f"s3://{BUCKETS[0]}", *sys.argv[1:]]
    os.execvp("mlflow", ["mlflow", "server", *arguments])


if __name__ == "__main__":
    main()
