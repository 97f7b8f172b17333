"""Collections in Japanese and in many languages: small content in the form of each file."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from classifier_training.data.public.readers.asking import contrast, few, put
from classifier_training.data.public.readers.japanese import READERS
from classifier_training.data.public.readers.japanese_asks import PARAGRAPH, SENTENCE, Asks
from classifier_training.data.public.readers.japanese_doc_asks import SECTION
from classifier_training.data.public.readers.japanese_question_asks import COMMAND, QUESTION, SUM
from classifier_training.data.public.readers.japanese_talk_asks import HOTEL, TALK
from classifier_training.data.public.readers.other_languages_asks import PARAGRAPH as OTHER_LANGUAGES
from router_backend.contract import TASKS

LONG = "梅雨は、北海道と小笠原諸島を除く日本、朝鮮半島南部、中国の南部から長江流域にかけての沿海部、および台湾など、東アジアの広範囲で見られる特有の気象現象である。"


def read(source: str, content: Any, name: str = "file.json") -> list[tuple[str, str, str]]:
    return list(READERS[source](content, name))


def tasks(source: str, content: Any, name: str = "file.json") -> set[str]:
    return {task for _, task, _ in read(source, content, name)}


@pytest.mark.parametrize(
    "asks", [PARAGRAPH, SENTENCE, SECTION, TALK, HOTEL, QUESTION, SUM, COMMAND, *OTHER_LANGUAGES.values()]
)
def test_requests_stand_under_one_task_that_there_is(asks: Asks) -> None:
    under: dict[str, set[str]] = defaultdict(set)
    for task, requests in asks.items():
        assert task in TASKS
        for request in requests:
            under[request].add(task)
    assert {request for request, found in under.items() if len(found) > 1} == set()


def test_one_text_is_asked_for_several_tasks_and_always_the_same() -> None:
    found = list(contrast(LONG, PARAGRAPH, "ja", 4))
    assert len({task for _, task, _ in found}) == 4
    assert all(LONG in text and len(text) > len(LONG) for text, _, _ in found)
    assert not any("{" in text.replace('{"names"', "") for text, _, _ in found)
    assert found == list(contrast(LONG, PARAGRAPH, "ja", 4))


def test_a_request_points_to_the_side_on_which_the_text_is() -> None:
    for seed in map(str, range(50)):
        said = put("梅の花。", "{この}文を要約して。", seed)
        before = said.index("要約") < said.index("梅の花")
        assert any(
            word in said for word in (("以下の", "次の", "下の", "下記の") if before else ("この", "上の", "上記の"))
        )


def test_a_source_gives_no_more_rows_than_are_wanted() -> None:
    rows = [(str(number), "other", "ja") for number in range(10)]
    assert len(few(rows, 4)) == 4
    assert few(rows, 4) == few(list(reversed(rows)), 4)


def test_pairs_of_sentences_are_to_be_judged() -> None:
    pair = {"sentence1": "犬が走っています。", "sentence2": "犬がいます。", "label": "entailment"}
    for source in ("jglue-jnli", "jglue-jsts"):
        text, task, language = next(row for row in read(source, [pair]) if row[1] == "classification")
        assert "犬が走っています。" in text
        assert "犬がいます。" in text
        assert (task, language) == ("classification", "ja")


def test_questions_with_choices_are_open_questions() -> None:
    row = {"question": "次のうち花はどれ?", "label": 0} | {f"choice{n}": word for n, word in enumerate("桜犬猫馬鳥")}
    [(text, task, _)] = read("jglue-jcommonsenseqa", [row])
    assert task == "open_qa"
    assert all(word in text for word in "桜犬猫馬鳥")
    [(text, task, _)] = read("jmmlu", "花は?,桜,犬,猫,馬,A\n", "jmmlu_virology.csv")
    assert (task, "桜" in text) == ("open_qa", True)
    assert tasks("jmmlu", "1+1は?,1,2,3,4,B\n", "jmmlu_college_mathematics.csv") == {"math"}


def test_questions_alone() -> None:
    assert read("jemhopqa", [{"question": "どちらが先?"}]) == [("どちらが先?", "open_qa", "ja")]
    assert read("mgsm", "Was ist 2 + 3?\t5\n", "mgsm_de.tsv") == [("Was ist 2 + 3?", "math", "de")]


def test_a_question_may_be_quoted_for_another_task() -> None:
    head = "original_question\toriginal_answer\n"
    questions = [f"{number}番目の県は?" for number in range(60)]
    found = read("aio-quiz", head + "".join(f"{question}\t梅\n" for question in questions), "aio.tsv")
    assert len(found) == 60
    assert all((text in questions) == (task == "open_qa") for text, task, _ in found)
    assert {task for _, task, _ in found} > {"open_qa", "rewrite"}
    found = read("mgsm", "2と3の和は?\t5\n", "mgsm_ja.tsv")
    assert found[0] == ("2と3の和は?", "math", "ja")
    assert len({text for text, _, _ in found}) == 4


def test_paragraphs_are_asked_for_many_tasks() -> None:
    paragraphs = [
        {"context": f"梅雨 [SEP] {number}。{LONG}", "qas": [{"question": "梅雨とは?"}]} for number in range(30)
    ]
    found = read("jglue-paragraphs", {"data": [{"paragraphs": paragraphs}]})
    assert {task for _, task, _ in found} == {*PARAGRAPH, "closed_qa"}
    assert all("[SEP]" not in text for text, _, _ in found)


def test_paragraphs_of_other_languages() -> None:
    context = "Die Panthers gaben nur 308 Punkte ab."
    content = {"data": [{"paragraphs": [{"context": context, "qas": [{"question": "Wie viele Punkte?"}]}]}]}
    found = read("xquad", content, "xquad.de.json")
    assert len(found) == 3
    assert all(context in text and language == "de" for text, _, language in found)
    assert tasks("xquad", content, "xquad.th.json") == {"closed_qa"}


def test_sentences_are_judged_or_worked_on() -> None:
    moral = "\n".join([",sent,label", *(f"{n},友達に{n}円を貸した,0" for n in range(40))])
    assert "classification" in tasks("commonsense-morality-ja", moral, "file.csv")
    wrong = [{"sentence": f"{n}人が本が読む。", "label": 0} for n in range(60)]
    assert {"classification", "rewrite"} <= tasks("jcola", wrong)


def test_talks() -> None:
    hotel = {
        "utterances": [
            {"name": "operator_1", "text": "ご希望は?"},
            {"name": "customer_1", "text": "出雲で。"},
            {"name": "operator_1", "text": "・場所は出雲。"},
        ]
    }
    found = read("asdc", hotel, "asdc-001.json")
    assert len(found) == 6
    assert all("出雲で。" in text and "場所は出雲" not in text for text, _, _ in found)
    turns = [{"en_speaker": "A", "ja_sentence": f"{n}番です。"} for n in range(40)]
    assert len(tasks("ami-meetings-ja", [{"id": "IS1", "conversation": turns}])) == 4


def test_what_people_say_to_a_persona_is_talk() -> None:
    said = [("user", "こんばんは、お元気ですか?"), ("system", "はい。"), ("user", "はい")]
    content = [{"utterances": [{"interlocutor": who, "text": text} for who, text in said]}]
    [(text, task, _)] = read("real-persona-chat", content)
    assert "お元気ですか" in text
    assert task == "chatbot"


def test_sections_of_a_guide_lose_the_marks_of_its_site() -> None:
    section = f"## 例 {{#example}}\n\n<div class='x'>\n{LONG * 3}\n[試す](https://play.example.org/#abc)\n</div>\n"
    found = read("vue-guide-ja", f"# 題\n{section}", "vue.md")
    assert len(found) == 4
    for text, _, _ in found:
        assert LONG in text
        assert not any(mark in text for mark in ("{#", "<div", "play.example"))


def test_prompts_that_were_labelled_by_number() -> None:
    rows = [{"Question": f"問{number}"} for number in range(3)]
    assert read("elyza-tasks-100", rows) == [("問0", "brainstorming", "ja"), ("問1", "text_generation", "ja")]
    assert read("tengu-bench", rows) == []


def test_code_commands_and_roles() -> None:
    [(text, task, _)] = read("jhumaneval", [{"prompt": 'def f():\n    """足す。"""\n'}])
    assert (task, "足す" in text) == ("code_generation", True)
    found = read("xsid", "# id = 1\n# text = 今日 は 晴れ ？\n1\t今日\tx\tO\n", "xsid.ja.conll")
    assert found[0] == ("今日は晴れ？", "other", "ja")
    assert len(found) == 3
    assert read("xsid", "# text = wie wird das Wetter\n", "xsid.de.conll") == [("wie wird das Wetter", "other", "de")]
    roles = [{"act": "扮演魔术师", "prompt": "我要你扮演魔术师。"}, {"act": "充当英翻中", "prompt": "翻译。"}]
    assert read("awesome-chatgpt-prompts-zh", roles) == [("我要你扮演魔术师。", "chatbot", "zh")]


@pytest.mark.parametrize(
    ("source", "content", "name"),
    [
        ("jglue-jnli", [{"premise": "a"}], "x.jsonl"),
        ("jmmlu", "one,two\n", "jmmlu_virology.csv"),
        ("xsid", "no comments\n", "xsid.ja.conll"),
        ("asdc", {"turns": []}, "asdc-001.json"),
        ("aio-quiz", "a\tb\n1\t2\n", "aio.tsv"),
    ],
)
def test_another_form_is_an_error(source: str, content: Any, name: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        read(source, content, name)
