"""AWS as boto3 is configured: its clients, and what its errors mean to a user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
from boto3.exceptions import Boto3Error
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from replay.errors import FourstepError, Unreachable, Unreadable

ERRORS = (BotoCoreError, ClientError, Boto3Error)
"""What requests raise."""
_ATTEMPTS = 5
_HINT = (
    "check the name; say who you are by a profile (AWS_PROFILE) or credentials (AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY), and where by a region (AWS_DEFAULT_REGION); "
    "`aws sts get-caller-identity` shows what is configured"
)
_REFUSED = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
"""Codes of S3 and CloudWatch that are about who asks, not about what is asked for."""
_EXPIRED = re.compile("Expired|TokenRefreshRequired")
_DENIED = re.compile("AccessDenied|Unauthorized|NotAuthorized")
_THROTTLED = re.compile("Throttl|TooManyRequests|RequestLimitExceeded|SlowDown")
_MISSING = re.compile("NotFound|NoSuch|^404$")
_NOT_LET_IN = (
    exceptions.CredentialRetrievalError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
_SILENT = (exceptions.ConnectionError, exceptions.HTTPClientError)


def client(service: str, *, region: str | None = None) -> Any:  # noqa: ANN401  made at run time
    """A client of an AWS service; profile, credentials, endpoint and region are boto3's own.

    Raises:
        BotoCoreError: the profile or the region is missing.
        Unreachable: the endpoint is no URL.
    """
    session = botocore.session.get_session()
    retries: dict[str, Any] = {"mode": "adaptive"}
    if session.get_config_variable("max_attempts") is None:
        retries["total_max_attempts"] = _ATTEMPTS
    config = Config(connect_timeout=10, read_timeout=60, retries=retries)
    try:
        return session.create_client(service, region_name=region, config=config)
    except ValueError as error:
        raise Unreachable(f"AWS's {service} has no usable endpoint", hint=_HINT) from error


@contextmanager
def reaching(subject: str) -> Iterator[None]:
    """Around the first look at a bucket or a log group, and around whole files.

    Raises:
        Unreachable: for whatever AWS answers but what it was asked for, with its usual cause.
    """
    try:
        yield
    except ERRORS as error:
        reason, hint = _cause(error, getattr(error, "operation_name", "that"))
        raise Unreachable(f"`{subject}` cannot be reached: {reason}", hint=hint) from error


def failure(subject: str, error: Exception, *, opens: bool = False) -> FourstepError:
    """What one of ERRORS means while one log is read.

    Unreachable where we are not let in at all, or where with `opens` AWS does not answer, for other
    logs will fare no better; Unreadable where this log is gone, forbidden or breaks off.
    """
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else None
    refused = isinstance(error, _NOT_LET_IN) or code in _REFUSED
    if refused or (opens and isinstance(error, _SILENT)):
        return Unreachable(f"`{subject}` cannot be reached", hint=_HINT)
    return Unreadable(f"`{subject}` cannot be read")


def ask(
    service: str,
    call: str,
    *,
    subject: str,
    region: str | None = None,
    **asked: Any,  # noqa: ANN401  the call's own
) -> dict[str, Any]:
    """The answer to one call of an API, named as boto3 names both.

    Raises:
        Unreachable: AWS does not do it; the message names which of the usual causes it is.
    """
    action = f"{service}:{call}"
    try:
        api = client(service, region=region)
        action = f"{service}:{api.meta.method_to_api_mapping[call]}"
        told: dict[str, Any] = getattr(api, call)(**asked)
        return told
    except ERRORS as error:
        reason, hint = _cause(error, action)
        raise Unreachable(f"{subject}: {reason}", hint=hint) from error


def default_region() -> str | None:
    """The region of AWS's own configuration."""
    region: str | None = botocore.session.get_session().get_config_variable("region")
    return region


def _cause(error: Exception, action: str) -> tuple[str, str]:
    """What a user must know of an error, and the remedy."""
    if isinstance(error, exceptions.NoRegionError):
        return (
            "no region is given",
            "set AWS_DEFAULT_REGION, or add ?region=REGION to a target's URL",
        )
    if isinstance(error, _NOT_LET_IN):
        return "no AWS credentials", _HINT
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    for codes, reason, hint in (
        (_EXPIRED, "the AWS credentials have expired", "renew them, for example: aws sso login"),
        (_DENIED, f"may not do {action}", f"allow {action}; docs/redshift.md has a policy"),
        (_THROTTLED, "AWS throttles the requests", "wait a minute; others use the same quota"),
        (_MISSING, "AWS does not know it", "check name, region and account (AWS_PROFILE)"),
    ):
        if codes.search(code):
            return reason, hint
    if code in _REFUSED:
        return "AWS refuses the credentials", _HINT
    return (f"AWS answers {code}" if code else "AWS does not answer"), _HINT
