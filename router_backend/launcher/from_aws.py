"""`python -m router_backend.launcher.from_aws -- COMMAND …`: fetches configuration and keys from AWS, then becomes the command.

For containers that are given no files: Lambda and Fargate. The environment says what to fetch:

- `LLM_ROUTER_CONFIG_PARAMETER`: name of a parameter of SSM; its value becomes the file that `LLM_ROUTER_CONFIG` names
  (`/tmp/router.yaml` without).
- `LLM_ROUTER_SECRETS`: `NAME=ARN,…`; each secret of Secrets Manager becomes the environment variable NAME, for `api_key_env`.

Credentials and region come from the container's role.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PARAMETER, SECRETS, CONFIG = "LLM_ROUTER_CONFIG_PARAMETER", "LLM_ROUTER_SECRETS", "LLM_ROUTER_CONFIG"
_DEFAULT = "/tmp/router.yaml"


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """`given` with what was fetched; the configuration is written to its file, readable by its owner.

    Raises:
        OSError: nothing was fetched: it isn't there, or the role may not read it.
        ValueError: `LLM_ROUTER_SECRETS` is malformed.
    """
    made = dict(given)
    if parameter := given.get(PARAMETER):
        answer = _call("ssm", "get_parameter", parameter, Name=parameter, WithDecryption=True)
        file = Path(made.setdefault(CONFIG, _DEFAULT))
        file.unlink(missing_ok=True)
        with open(file, "w", encoding="utf-8", opener=_private) as opened:
            opened.write(answer["Parameter"]["Value"])
    for pair in filter(None, given.get(SECRETS, "").split(",")):
        name, equals, secret = pair.partition("=")
        if not (name.isidentifier() and equals and secret):
            raise ValueError(f"{SECRETS}: {name!r} is not NAME=ARN")
        made[name] = _call("secretsmanager", "get_secret_value", secret, SecretId=secret)["SecretString"]
    return made


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _call(service: str, operation: str, what: str, **parameters: Any) -> dict[str, Any]:
    import botocore.exceptions
    import botocore.session

    try:
        client = botocore.session.get_session().create_client(service)
        answer: dict[str, Any] = getattr(client, operation)(**parameters)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise OSError(f"{what} can't be read ({error}); is it there, and may the role read it?") from None
    return answer


def main(words: Sequence[str]) -> None:
    """Become the command; exit code 2 where that can't be."""
    if not words or words[0] != "--" or not words[1:]:
        sys.exit("from_aws: say what to become: from_aws -- COMMAND …")
    command = list(words[1:])
    try:
        made = environment(os.environ)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"from_aws: {error}\n")
        sys.exit(2)
    os.execvpe(command[0], command, made)


if __name__ == "__main__":
    main(sys.argv[1:])
