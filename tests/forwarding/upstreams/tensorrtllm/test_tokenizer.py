"""Chat templates as Hugging Face's models carry them, and errors that say what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, processors

from router_backend.forwarding.upstreams.tensorrtllm.tokenizer import ChatTokenizer, TemplateRefusal, find_tokenizer

LLAMA = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'tool' %}"
    "{{ raise_exception('no tools here') }}{% endif %}"
    "<|{{ message['role'] }}|>{{ message['content'] | trim }}{% generation %}{% endgeneration %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}{{ {'é': 1} | tojson if thinking }}"
)


def folder(path: Path, template: Any = LLAMA, adds_bos: bool = True, file: str = "") -> Path:
    tokenizer = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "[UNK]": 2}, unk_token="[UNK]"))
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(path / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": template}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    if file:
        (path / "chat_template.jinja").write_text(file)
    return path


USER = [{"role": "user", "content": " Hi "}]


def test_renders_without_the_bos_that_the_server_adds(tmp_path: Path) -> None:
    tokenizer = ChatTokenizer(folder(tmp_path))
    assert tokenizer.render(USER, {}) == "<|user|>Hi<|assistant|>"
    assert tokenizer.end_id == 1


def test_keeps_the_bos_that_nobody_else_adds(tmp_path: Path) -> None:
    assert ChatTokenizer(folder(tmp_path, adds_bos=False)).render(USER, {}).startswith("<s><|user|>")


def test_options_reach_the_template(tmp_path: Path) -> None:
    assert ChatTokenizer(folder(tmp_path)).render(USER, {"thinking": True}).endswith('{"é": 1}')


def test_the_file_wins_and_named_templates_are_known(tmp_path: Path) -> None:
    assert ChatTokenizer(folder(tmp_path, file="file")).render(USER, {}) == "file"
    (tmp_path / "chat_template.jinja").unlink()
    named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "default"}]
    assert ChatTokenizer(folder(tmp_path, template=named)).render(USER, {}) == "default"


def test_a_refusal_is_in_the_templates_words(tmp_path: Path) -> None:
    with pytest.raises(TemplateRefusal, match="no tools here"):
        ChatTokenizer(folder(tmp_path)).render([{"role": "tool", "content": "x"}], {})


def test_a_template_cannot_leave_its_sandbox(tmp_path: Path) -> None:
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(TemplateRefusal):
        ChatTokenizer(folder(tmp_path, template=escape)).render(USER, {})


@pytest.mark.parametrize("missing", ["tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    (folder(tmp_path) / missing).unlink()
    with pytest.raises(ValueError, match=missing):
        ChatTokenizer(tmp_path)


def test_no_template_and_no_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"chat_template\.jinja"):
        ChatTokenizer(folder(tmp_path, template=None))
    with pytest.raises(ValueError, match="hf download no/such-model"):
        find_tokenizer("no/such-model")
