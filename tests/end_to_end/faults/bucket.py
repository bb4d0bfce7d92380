"""The object store of the stack as DVC remote: stocked with what `main` names, and brought back to that."""

from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.session import Session

from flows.services.store import BUCKET, REMOTE
from tests.end_to_end.faults.template import Template
from tests.flows.services.stack import Stack

PREFIX = REMOTE.removeprefix(f"s3://{BUCKET}/")


class Bucket:
    """Objects of the team's remote, asked past any proxy."""

    def __init__(self, stack: Stack, template: Template) -> None:
        self.variables = {n: v for n, v in stack.variables().items() if n.startswith(("AWS_", "EARTHLOOM_REMOTE"))}
        self.port = int(self.variables["EARTHLOOM_REMOTE_ENDPOINT"].rpartition(":")[2])
        self._client = Session().create_client(
            "s3",
            endpoint_url=self.variables["EARTHLOOM_REMOTE_ENDPOINT"],
            region_name="us-east-1",
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )
        for path in template.store.rglob("*"):
            if path.is_file():
                key = f"{PREFIX}/{path.relative_to(template.store)}"
                self._client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
        self._stock = self.keys()

    def keys(self) -> set[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
        return {one["Key"] for page in pages for one in page.get("Contents", [])}

    def reset(self) -> None:
        """Remove what runs have pushed."""
        for key in self.keys() - self._stock:
            self._client.delete_object(Bucket=BUCKET, Key=key)

    def bring(self, folder: Path) -> None:
        """All objects as files, to be looked at."""
        for key in self.keys():
            path = folder / key.removeprefix(f"{PREFIX}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            body: Any = self._client.get_object(Bucket=BUCKET, Key=key)["Body"]
            path.unlink(missing_ok=True)  # a link into the store of all drills
            path.write_bytes(body.read())
