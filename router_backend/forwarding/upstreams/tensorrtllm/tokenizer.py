"""A model's own tokenizer and chat template, from the files that Hugging Face models carry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


class TemplateRefusal(ValueError):
    """The model's chat template doesn't take this conversation; says why in the template's own words."""


class _Generation(Extension):
    """`{% generation %}` marks the assistant's text for training; here it is its contents."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTokenizer:
    """Renders conversations and counts tokens as the model's server does."""

    def __init__(self, folder: Path) -> None:
        """Reads the files.

        Raises:
            ValueError: a file is missing or unusable; says which.
        """
        config = _json(folder / "tokenizer_config.json")
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exception
            raise ValueError(f"{folder / 'tokenizer.json'} can't be read: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._special = {name: _token(config.get(name)) for name in ("bos_token", "eos_token", "pad_token")}
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
        )
        environment.filters["tojson"] = _tojson
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _strftime_now}
        source = _template(folder, config)
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ValueError(f"the chat template in {folder} can't be read: {error}") from error
        bos = self._special["bos_token"]
        added = self._tokenizer.encode("", add_special_tokens=True).tokens
        self._adds_bos = bool(bos) and added[:1] == [bos]

    @property
    def end_id(self) -> int | None:
        """Token id that ends an answer, if the configuration names one."""
        token = self._special["eos_token"]
        found: int | None = self._tokenizer.token_to_id(token) if token else None
        return found

    def render(self, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> str:
        """The prompt up to where the assistant begins. A leading BOS that the server adds by itself is left out.

        Raises:
            TemplateRefusal: the template refuses the messages.
        """
        try:
            text: str = self._template.render(
                messages=messages, add_generation_prompt=True, **{**options, **self._special}
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise TemplateRefusal(str(error)) from error
        return text.removeprefix(self._special["bos_token"]) if self._adds_bos else text

    def count(self, text: str, special: bool = True) -> int:
        """Tokens of `text`; `special`: with those that the tokenizer adds to a prompt."""
        return len(self._tokenizer.encode(text, add_special_tokens=special).ids)


def find_tokenizer(name: str) -> Path:
    """Folder of a tokenizer: a local folder, or a Hugging Face name that is in the local cache.

    Raises:
        ValueError: neither; says how to get it.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, allow_patterns=list(FILES), local_files_only=True))
    except (ImportError, OSError, ValueError) as error:
        raise ValueError(
            f"tokenizer {name!r} is no folder and is not in the Hugging Face cache; "
            f"run `hf download {name} {' '.join(FILES)}`, or name a folder with these files"
        ) from error


def _template(folder: Path, config: Mapping[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {str(entry.get("name")): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if not isinstance(template, str):
        raise ValueError(f"{folder} has no chat template: add chat_template.jinja beside tokenizer.json")
    return template


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} is not a JSON object")
    return data


def _token(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")


def _tojson(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)
