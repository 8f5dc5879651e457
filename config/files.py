"""Where uploaded files are: a folder of this machine's, or a bucket of anything that speaks S3. Knows no settings."""

from pathlib import Path
from typing import Any

MB = 1024 * 1024
# A bucket answers within milliseconds, or is away. Each call is tried twice more.
CONNECT_S = 5
READ_S = 30


def compose_storage(
    *,
    folder: Path,
    bucket: str | None,
    endpoint_url: str | None,
    region: str | None,
    key: str | None,
    secret: str | None,
) -> dict[str, Any]:
    """The entry of `STORAGES`. Without a key, boto3 looks where it always does: the environment, the machine's role."""
    if bucket is None:
        options: dict[str, Any] = {
            "location": str(folder),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        }
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    # Half a second, which only those pay who have a bucket.
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    options = {
        "bucket_name": bucket,
        "endpoint_url": endpoint_url,
        "region_name": region,
        "access_key": key,
        "secret_key": secret,
        "file_overwrite": True,  # an id is written once; looking for a free name would be a round trip
        "transfer_config": TransferConfig(use_threads=False),  # the service has threads of its own for this
        "max_memory_size": MB,  # of a file that is read; beyond it a temporary file has it
        "client_config": Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"total_max_attempts": 3, "mode": "standard"},
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint_url else "auto"},  # few servers beside AWS have a name a bucket
            request_checksum_calculation="when_required",  # many of them refuse the newer ones
            response_checksum_validation="when_required",
        ),
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


def list_failures(bucket: str | None) -> tuple[type[Exception], ...]:
    """What that storage raises when it is away."""
    if bucket is None:
        return (OSError,)
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (OSError, Boto3Error, BotoCoreError, ClientError)
