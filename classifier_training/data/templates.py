"""Prompts from this project's own templates: one text under many tasks, so that length and topic say nothing about the task.

    python -m classifier_training.data.templates

writes `corpus/templates.csv`, which training reads like the rest of the own corpus. All texts were written for this project.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

import numpy as np

from classifier_training.data import everyday
from classifier_training.data.files import CORPUS

Row = tuple[str, str, str, str, str]

_TEXTS = {
    "en": (
        "Notes from Tuesday. Priya said the invoice export fails for customers with more than 200 orders; Tom thinks it is the paging. "
        "We agreed to ship the small fix on Friday 14 March and to write to the three customers who complained. Budget for the new "
        "printer was moved to next quarter. Anna will ask legal whether the old contracts have to be kept for ten years.",
        "I bought this kettle in January. The first two months it was great, quick and quiet, and I told my sister to get one as well. "
        "Then the lid stopped closing and it never switches off by itself any more. Customer service answered after nine days and sent "
        "me a form. I would not buy it again, although the colour is still the nicest I have seen.",
        "Dear team, owing to the works on the east staircase the canteen will open only from 11:30 to 13:00 until the end of the month. "
        "Cold food can be ordered by phone before ten and will be brought to the second floor. The car park behind building C is closed "
        "on Thursdays. Please tell your visitors. Regards, Facility Management",
        "The river rose by forty centimetres overnight. At the lock in Hesselby the keeper, Mr Lindqvist, opened two of the five gates at "
        "four in the morning, and the meadows below filled within the hour. Nobody was hurt, but eleven sheep were brought to the church "
        "yard, where the children fed them with what was left of the harvest bread.",
        "2026-03-02 08:14:11 WARN pool exhausted, waiting (active=50, idle=0)\n2026-03-02 08:14:16 ERROR request 8f2c timed out after 5000 ms\n"
        "2026-03-02 08:14:16 INFO retry 1/3 for 8f2c\n2026-03-02 08:14:21 ERROR request 8f2c timed out after 5000 ms\n"
        "2026-03-02 08:14:40 INFO pool recovered (active=12, idle=38)",
        "Tenant may end this agreement with three months' written notice to the end of a quarter. The deposit of two monthly rents is paid "
        "back within six weeks after the keys were handed over, less any cost of repairs beyond ordinary wear. Pets other than fish need "
        "the landlord's consent, which may not be refused without a reason.",
        "Grandma's letter, 1961: The train was late again and I sat with a soldier who had lost his dog in Trieste. He showed me a picture. "
        "When we came to the border they took his oranges, all six, and he laughed so loudly that the officer gave one back. I have kept "
        "the peel in this envelope so you can smell where I have been.",
        "Photosynthesis happens in two stages. In the light reactions, chlorophyll takes up light and water is split; oxygen is released "
        "and ATP and NADPH are made. In the Calvin cycle, which needs no light, carbon dioxide is bound by the enzyme RuBisCO and turned "
        "into sugar with the ATP and NADPH from the first stage. Hot, dry days make plants close their pores, and RuBisCO then binds oxygen instead.",
    ),
    "ja": (
        "火曜日の打ち合わせメモ。請求書の出力が、注文が200件を超えるお客様だけ失敗すると佐藤さんから報告。原因はページ分割ではないかと田中さん。"
        "応急の修正を3月14日金曜に出し、苦情のあった3社には個別に連絡する。新しいプリンターの予算は来期へ。古い契約書を10年保管すべきかは法務に確認。",
        "1月に買った電気ケトルです。最初の二か月はお湯が早く沸いて静かで、妹にも勧めました。ところがその後ふたが閉まらなくなり、自動で切れなくなりました。"
        "サポートの返事は9日後で、用紙が届いただけ。色は今でも一番好きですが、もう一度は買いません。",
        "社員各位 東階段の工事のため、今月末まで食堂の営業は11時30分から13時までとします。冷たいお弁当は10時までに内線でご注文いただければ2階へお届けします。"
        "C棟裏の駐車場は木曜日は使えません。来客の方にもお知らせください。総務部",
        "夜のうちに川は40センチ増水した。午前4時、水門番の小林さんは五つある門のうち二つを開け、下流の草地は一時間もたたずに水につかった。"
        "けが人はなかったが、羊11頭が神社の境内に避難し、子どもたちが残り物のパンを食べさせた。",
        "祖母の手紙、昭和36年。汽車はまた遅れ、私は犬をなくしたという兵隊さんの隣に座りました。写真を見せてくれました。国境でみかんを六つとも取り上げられ、"
        "あまり大きな声で笑うので、役人が一つ返してくれたのです。その皮をこの封筒に入れておきます。",
        "光合成は二つの段階で進む。まず光を使う反応で水が分解され、酸素が放出されてATPとNADPHができる。次のカルビン回路では光を必要とせず、"
        "RuBisCOという酵素が二酸化炭素を取り込み、糖が作られる。暑く乾いた日は気孔が閉じ、酵素が酸素と結びついてしまう。",
    ),
}

_ASKS = {
    "en": {
        "summarization": (
            "Summarize this in two sentences.",
            "tl;dr please",
            "Give me the gist of the following.",
            "Shorten this to one line for a slide.",
            "What are the key points here? Three bullets at most.",
            "I have no time to read all of this, what does it say in short?",
        ),
        "rewrite": (
            "Rewrite this so that a ten-year-old understands it.",
            "Fix grammar and spelling, change nothing else.",
            "Make this sound more formal.",
            "Rephrase it in a friendlier tone, same content.",
            "Put this into the passive voice.",
            "Turn the following into plain English, keep every fact.",
        ),
        "extraction": (
            "List all names and dates in this text.",
            "Pull out every number with its unit.",
            "Give me the places mentioned, as JSON.",
            "Which deadlines appear here? Only the dates, one a line.",
            "Extract the things that someone has to do.",
            "Copy out all nouns that name an object.",
        ),
        "classification": (
            "Is the mood of this text positive, negative or mixed? One word.",
            "Label it: complaint, notice, story or report.",
            "Formal or informal?",
            "Decide whether this is urgent (yes/no).",
            "Which of these departments should get it: IT, legal, facilities, none?",
            "Spam or not spam?",
        ),
        "closed_qa": (
            "According to the text, what happens first?",
            "Based only on the passage below, who or what caused the problem?",
            "What number is mentioned, and what does it count?",
            "Does the text say why? Quote the reason.",
            "Answer from the text: when does it take place?",
            "From the text, what changed in the end?",
        ),
        "other": (
            "Translate into Spanish.",
            "Translate the following to Japanese, please.",
            "Put this into French for our colleagues in Lyon.",
            "Read it aloud at seven tomorrow and set a reminder.",
            "Count the words in this.",
            "Convert this to German.",
        ),
        "text_generation": (
            "Write a reply to this.",
            "Write a short story that begins where this ends.",
            "Write a poem from this material.",
            "Draft a press release that uses these facts and adds a headline.",
            "Write the next chapter.",
            "Compose a speech for somebody who was there.",
        ),
        "brainstorming": (
            "Give me ten ideas for what to do next.",
            "What titles could this have? Suggest eight.",
            "List possible reasons behind it that nobody mentions.",
            "Suggest ways to keep this from happening again.",
            "Come up with five funny captions.",
            "What questions could one ask about it? As many as you can.",
        ),
        "chatbot": (
            "Pretend you wrote this and let's talk about it. I start: hello, are you well?",
            "This made me a bit sad today. Just wanted to share it with you.",
            "You are the person in this text. Stay in character and greet me.",
            "lol look at this. how's your day?",
        ),
        "code_generation": (
            "Write a Python script that finds all dates in a text like this one.",
            "Give me a regex that matches the times in it.",
            "Write a function that parses lines such as these into a list of dicts.",
            "Make an HTML page that shows this text in two columns.",
        ),
    },
    "ja": {
        "summarization": (
            "二文で要約してください。",
            "要点だけ教えて。",
            "次の文章を一行にまとめてください。",
            "長いので短くして。",
        ),
        "rewrite": (
            "小学生にも分かるように書き直してください。",
            "敬語に直してください。",
            "誤字だけ直して、内容は変えないで。",
            "もっとやわらかい言い方に変えてください。",
        ),
        "extraction": (
            "人名と日付をすべて抜き出してください。",
            "数字を単位つきで全部書き出して。",
            "出てくる場所をJSONで。",
            "やるべきことだけを抜き出してください。",
        ),
        "classification": (
            "この文章の印象は肯定、否定、中立のどれですか。",
            "苦情・お知らせ・物語・報告のどれかに分類してください。",
            "急ぎかどうか、はい・いいえで。",
            "担当部署は総務、法務、ITのどれですか。",
        ),
        "closed_qa": (
            "本文によると、最初に何が起きましたか。",
            "次の文章だけを根拠に、原因を答えてください。",
            "文中の数字は何を表していますか。",
            "文章から、いつのことか答えてください。",
        ),
        "other": (
            "英語に訳してください。",
            "中国語に翻訳して。",
            "フランス語にしてください。",
            "文字数を数えてください。",
        ),
        "text_generation": (
            "これに返事を書いてください。",
            "この続きの物語を書いて。",
            "これをもとに詩を書いてください。",
            "この内容でスピーチ原稿を作ってください。",
        ),
        "brainstorming": (
            "次にできることのアイデアを10個ください。",
            "タイトル案を8つ考えて。",
            "再発を防ぐ方法を思いつくだけ挙げてください。",
            "面白い見出しを5つ出して。",
        ),
        "chatbot": (
            "これを読んで少し寂しくなりました。聞いてほしかっただけです。",
            "この人になりきって、私に挨拶してください。",
        ),
        "code_generation": (
            "このような文章から日付を見つけるPythonを書いて。",
            "この形式の行を読み込む関数を作ってください。",
        ),
    },
}

_ROLES = {
    "en": (
        "a retired sea captain who mistrusts phones",
        "my strict piano teacher",
        "a barista on Mars",
        "the last dragon",
        "a detective in 1930s Paris",
        "an interviewer for a junior developer job",
        "my grandmother in heaven",
        "a grumpy wizard",
        "a patient travel agent",
        "Cleopatra's cook",
        "a customer who wants a refund",
        "the AI of a lost spaceship",
    ),
    "ja": (
        "引退した船長",
        "厳しいピアノの先生",
        "江戸時代の商人",
        "最後のドラゴン",
        "就職面接の面接官",
        "のんびりした猫",
        "未来から来た旅行会社の人",
        "昭和の探偵",
    ),
}
_ROLE_ASKS = {
    "en": (
        "Act as {}. I speak first: good evening!",
        "I want you to be {}. Answer only as that person would. My first words: who are you?",
        "You are {}. We have just met. Stay in character.",
        "Let's role-play: you are {} and I am lost.",
    ),
    "ja": (
        "あなたは{}です。なりきって会話してください。こんにちは!",
        "{}のふりをして話し相手になって。",
        "ロールプレイをしましょう。あなたは{}、私は道に迷った客です。",
    ),
}

_SUBJECTS = {
    "en": (
        "two leftover potatoes and an egg",
        "a birthday for a six-year-old who loves sharks",
        "learning to swim at forty",
        "a cat that wakes me at four",
        "my first marathon",
        "a landlord who doesn't answer",
        "moving to Lisbon with a dog",
        "a small balcony that faces north",
        "saving for a house on one salary",
        "a colleague who takes credit for my work",
        "red lentils and coconut milk",
        "a podcast about old bridges",
    ),
    "ja": (
        "余ったじゃがいも二つと卵",
        "サメが好きな6歳の誕生日",
        "40歳からの水泳",
        "朝4時に起こす猫",
        "初めてのフルマラソン",
        "返事をくれない大家さん",
        "犬を連れた引っ越し",
        "北向きの小さなベランダ",
    ),
}
_SUBJECT_ASKS = {
    "en": {
        "text_generation": (
            "can you make me a recipe or plan for this: {}",
            "Write a blog post about {}.",
            "write me something nice about {}, half a page",
            "Compose a letter to a friend about {}.",
        ),
        "brainstorming": (
            "ideas for {}?",
            "Give me 12 titles for a video about {}.",
            "what could i do about {}? just throw suggestions at me",
            "Think of names for a club around {}.",
        ),
        "open_qa": (
            "What should I know about {}?",
            "I need advice: {}. What do experts recommend, and why?",
            "is it normal to worry about {}",
            "How does one usually deal with {}?",
        ),
        "chatbot": (
            "honestly {} is all I think about lately. how are you?",
            "hey, had a long day. {} again, you know how it is",
            "You're my friend. Cheer me up, it's about {}.",
        ),
    },
    "ja": {
        "text_generation": (
            "{}についてブログ記事を書いて。",
            "{}のことを友達に伝える手紙を書いてください。",
            "{}でレシピか計画を作ってもらえますか。",
        ),
        "brainstorming": ("{}のアイデアをたくさんください。", "{}の動画のタイトルを12個考えて。"),
        "open_qa": ("{}について知っておくべきことは何ですか。", "{}で困っています。専門家は何を勧めますか。"),
        "chatbot": ("最近{}のことばかり考えちゃって。元気にしてる?", "聞いてよ、また{}の話なんだけど。"),
    },
}

_CODE = (
    (
        "def total(items):\n    s = 0\n    for i in items:\n        s =+ i.price\n    return s",
        "AttributeError: 'dict' object has no attribute 'price'",
    ),
    ("const res = fetch('/api/users');\nconsole.log(res.json());", "TypeError: res.json is not a function"),
    ("SELECT name, COUNT(*) FROM orders WHERE COUNT(*) > 3;", "ERROR: aggregate functions are not allowed in WHERE"),
    (
        "fn longest(a: &str, b: &str) -> &str { if a.len() > b.len() { a } else { b } }",
        "error[E0106]: missing lifetime specifier",
    ),
    ("for i in range(10)\n    print(i)", "SyntaxError: expected ':'"),
    ("docker run -p 80:80 web", "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use"),
    ("public int size() { return list.size; }", "error: size has private access in ArrayList"),
    ("df.groupby('day').mean()['price']", "TypeError: agg function failed [how->mean,dtype->object]"),
)
_CODE_ASKS = {
    "code_generation": (
        "{code}\n\n{error}\n\nfix it",
        "why do I get this?\n\n{error}\n\n```\n{code}\n```\nPlease correct the code.",
        "{code}\n\nThis gives `{error}`. Make it work.",
        "tool result: exit code 1\n{error}\n\nContinue, and change the file so that the tests pass.",
        "add a test for this:\n{code}",
        "```\n{code}\n```\n次のエラーが出ます。直してください。\n{error}",
    ),
    "open_qa": (
        "What does the message '{error}' mean in general?",
        "Explain what this code does, line by line:\n{code}",
    ),
    "rewrite": ("Reword this error message for people who don't program: {error}",),
    "classification": (
        "Which language is this written in, Python, Rust, SQL, JavaScript or another? Name only.\n{code}",
    ),
}

_SUMS = (
    ("en", "If {a} workers paint a wall in {b} hours, how long do {b} workers need?"),
    ("en", "what's {a}% of {b}0, roughly, no need to show the steps"),
    ("en", "Prove that the sum of {a} consecutive odd numbers is divisible by {a}."),
    ("en", "A train leaves at {a}:15 at {b}0 km/h. When has it covered {a}0 km?"),
    ("en", "solve for x: {a}x^2 - {b}x + 1 = 0"),
    ("en", "My rent went from {b}00 to {b}50. By how many percent?"),
    ("ja", "{a}人で{b}時間かかる仕事を{b}人ですると何時間かかりますか。"),
    ("ja", "{b}00円の{a}割引はいくら?"),
    ("ja", "x^2 - {b}x + {a} = 0 を解いてください。"),
    ("ja", "連続する{a}個の奇数の和が{a}の倍数になることを証明してください。"),
)
_JOINTS = ("{ask}\n\n{text}", "{text}\n\n{ask}", '{ask}\n"{text}"', "{text}\n---\n{ask}", "{ask} {text}")


def rows(seed: int = 0) -> Iterator[Row]:
    """`text`, `task`, `source`, `language`, `difficulty` (empty) of each prompt."""
    rng = np.random.default_rng(seed)
    for language, texts in _TEXTS.items():
        for text in texts:
            for task, asks in _ASKS[language].items():
                for ask in rng.choice(asks, size=min(3, len(asks)), replace=False):
                    yield _row(str(rng.choice(_JOINTS)).format(ask=ask, text=text), task, language)
        for role in _ROLES[language]:
            for ask in rng.choice(_ROLE_ASKS[language], size=2, replace=False):
                yield _row(str(ask).format(role), "chatbot", language)
        for subject in _SUBJECTS[language]:
            for task, asks in _SUBJECT_ASKS[language].items():
                for ask in rng.choice(asks, size=2, replace=False):
                    yield _row(str(ask).format(subject), task, language)
    for code, error in _CODE:
        for task, asks in _CODE_ASKS.items():
            for ask in asks:
                yield _row(ask.format(code=code, error=error), task, "ja" if "直して" in ask else "en")
    for language, ask in _SUMS:
        for _ in range(4):
            yield _row(ask.format(a=int(rng.integers(2, 9)), b=int(rng.integers(2, 9))), "math", language)
    for text, task, language in everyday.rows(rng):
        yield _row(text, task, language)


def _row(text: str, task: str, language: str) -> Row:
    return text, task, f"own-templates-{language}", language, ""


def main() -> None:
    with (CORPUS / "templates.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "task", "source", "language", "difficulty"])
        writer.writerows(dict.fromkeys(rows()))


if __name__ == "__main__":
    main()
