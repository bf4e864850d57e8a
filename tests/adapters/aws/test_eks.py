"""EKS tokens against a vector whose signature was computed by hand (SigV4)."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pytest

from kovra.adapters.aws.eks import EksTokens

TOKEN = (
    "k8s-aws-v1.aHR0cHM6Ly9zdHMudXMtZWFzdC0xLmFtYXpvbmF3cy5jb20vP0FjdGlvbj1HZXRDYWxsZXJJZGVudGl0eSZWZXJza"
    "W9uPTIwMTEtMDYtMTUmWC1BbXotQWxnb3JpdGhtPUFXUzQtSE1BQy1TSEEyNTYmWC1BbXotQ3JlZGVudGlhbD1BS0lERVhBTVBMR"
    "SUyRjIwMjMxMTE0JTJGdXMtZWFzdC0xJTJGc3RzJTJGYXdzNF9yZXF1ZXN0JlgtQW16LURhdGU9MjAyMzExMTRUMjIxMzIwWiZYL"
    "UFtei1FeHBpcmVzPTYwJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCUzQngtazhzLWF3cy1pZCZYLUFtei1TaWduYXR1cmU9OGZiN"
    "ThhODA3ZmEwZGE3MzBiMzcwYTdmZTNmNTNkZDU5YTJlMTZlMGEwNWZmMzUxMWE2OTkxYzRjMzM0NzkxYw"
)


def test_the_token_is_the_one_of_the_vector_and_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: frozen.replace(tzinfo=None))
    session = boto3.Session(
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        region_name="us-east-1",
    )
    tokens = EksTokens("kovra-test", "us-east-1", session=session)
    assert tokens.token() == TOKEN
    assert tokens.token() is tokens.token()
