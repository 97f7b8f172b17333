"""Requests signed as AWS wants them (Signature Version 4), with the credentials that all of AWS's tools find."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from router_backend import distribution
from router_backend.core.errors import UPSTREAM_AUTH, OpenAIError
from router_backend.forwarding.failure import Failure

_SERVICE = "bedrock"  # in signatures, of the endpoint bedrock-runtime
_SESSION = "llm-router"  # the session's name in the account's logs
_SILENCE_SECONDS = 120.0
_THREADS = 4  # credentials that have to be fetched hold up one each


class _Given:
    """In the place of botocore's chain: credentials that are found already."""

    def __init__(self, found: Callable[[], Any]) -> None:
        self._found = found

    def load_credentials(self) -> Any:
        return self._found()


class Signer:
    """Environment, shared files, single sign-on, containers, instances: botocore's chain, which renews what expires.

    It is asked on threads: where credentials come from a service they take a call of their own.
    """

    def __init__(
        self,
        arm: str,
        region: str | None,
        profile: str | None,
        role_arn: str | None = None,
        external_id: str | None = None,
    ) -> None:
        """`role_arn`: assumed with what is found. Raises ValueError: botocore is missing, there is no such profile, or no region."""
        try:
            from botocore.exceptions import BotoCoreError
            from botocore.session import Session
        except ImportError:
            raise ValueError(f"model {arm!r}: kind bedrock needs the extra `aws`: {distribution.add('aws')}") from None
        self._arm, self._profile, self._session = arm, profile, Session(profile=profile)
        self._role_arn, self._external_id = role_arn, external_id
        try:
            # botocore itself knows AWS_DEFAULT_REGION alone.
            named = region or os.environ.get("AWS_REGION") or self._session.get_config_variable("region")
        except BotoCoreError as error:
            raise ValueError(f"model {arm!r}: {error}") from None
        self.region: str = named or ""
        if not self.region:
            raise ValueError(f"model {arm!r}: no region; set upstream.region or AWS_REGION")
        self._credentials: Any = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="aws-credentials")

    async def signed(self, url: str, data: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a POST, signed.

        Raises:
            Failure: there are no credentials, or they can't be had now.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._sign, url, data, headers)
        except (BotoCoreError, ClientError) as error:  # the second: STS doesn't let the role be assumed
            raise self.refused(str(error)) from error

    def client(self, service: str, connect: float) -> Any:
        """botocore's own client of another service of the region, with the same credentials; its calls block.

        `connect`: seconds that a connection may take. Raises BotoCoreError.
        """
        from botocore.config import Config
        from botocore.session import Session

        session = Session(profile=self._profile)
        session.register_component("credential_provider", _Given(self._found))
        config = Config(connect_timeout=connect, read_timeout=_SILENCE_SECONDS, retries={"total_max_attempts": 1})
        return session.create_client(service, region_name=self.region, config=config)

    def look(self) -> str:
        """How credentials were found; a role is assumed now. Raises BotoCoreError, ClientError: there are none."""
        found = self._found()
        if self._role_arn:
            found.get_frozen_credentials()
        return str(found.method)

    def refused(self, why: str) -> Failure:
        """The router's own credentials are at fault: a client would take the status for its own key's."""
        message = f"{self._arm}: AWS refused the router's credentials ({why}); check them, and bedrock:InvokeModel"
        return Failure(UPSTREAM_AUTH, OpenAIError(message))

    def _sign(self, url: str, data: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest("POST", url, headers=dict(headers), data=data)
        SigV4Auth(self._found().get_frozen_credentials(), _SERVICE, self.region).add_auth(request)
        return dict(request.headers.items())

    def _found(self) -> Any:
        from botocore.exceptions import NoCredentialsError

        if self._credentials is None:  # two threads may look at once, and find the same
            found = self._session.get_credentials()
            self._credentials = self._assumed(found) if found and self._role_arn else found
        if self._credentials is None:
            raise NoCredentialsError
        return self._credentials

    def _assumed(self, source: Any) -> Any:
        """Credentials of the role, which are fetched when they are needed and again before they end."""
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

        extra = {"RoleSessionName": _SESSION, **({"ExternalId": self._external_id} if self._external_id else {})}
        fetcher = AssumeRoleCredentialFetcher(
            partial(self._session.create_client, region_name=self.region), source, self._role_arn, extra
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
