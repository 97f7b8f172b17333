"""Short everyday material, and what people ask of it: above all to get something out of it, in words that a benchmark doesn't use.

Every text stands under other tasks as well, so that pasted material alone says nothing about the task. Written for this project.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_TEXTS = {
    "en": (
        "Hi Marta, the plumber (Kowalski & Sons, 0161 555 0142) comes on Thursday at 8:30. Please leave the key with Mrs Osei in flat 4. Cheers, Ben",
        "FOR SALE: oak bookcase, 180 x 90 x 30 cm, small scratch on the left side, 75 pounds, collection only from Leeds LS6. Call Dana after six.",
        "Banana bread: 3 ripe bananas, 200 g flour, 80 g butter, 2 eggs, a pinch of salt. Bake 50 minutes at 175 degrees. Keeps four days in a tin.",
        "Order 48213 - 2 x desk lamp (black) 39.90, 1 x extension lead 12.50, delivery 4.95, total 97.25. Paid by card ending 7731 on 3 June.",
        "omg the concert!! Luis lost his phone, Aiko cried during the second song and we ate churros at 2 am on the pier. best night of the year",
        "Jonas Weber, 34, mechanical engineer. 2014-2019 Liebherr, crane design; since 2019 team lead at Voith in Heidenheim. Speaks German, English, some Turkish.",
        "The museum closes at five on weekdays and at eight on Saturdays. Tickets are 9 euros, students pay half, and on the first Sunday entry is free.",
        "Day 3: rain again, so we stayed in the hut at Lago Nero and played cards with two sisters from Gdansk. Tomorrow the pass at 2,780 m, if the snow allows.",
        "Symptoms since Monday: fever up to 38.9, dry cough, no rash. Took paracetamol twice a day. Allergic to penicillin. Works in a nursery.",
        "We, the undersigned residents of Elm Street, ask the council to mend the footpath between numbers 12 and 40 before the school term begins on 5 September.",
    ),
    "ja": (
        "真理さんへ 水道屋さん(山本設備、03-5550-0142)が木曜の8時半に来ます。鍵は4号室の大野さんに預けてください。健太",
        "譲ります:木の本棚、高さ180センチ、左側に小さな傷あり。5000円、引き取りに来られる方のみ。さいたま市。連絡は夜6時以降に岡田まで。",
        "バナナケーキ:熟したバナナ3本、小麦粉200グラム、バター80グラム、卵2個、塩少々。175度で50分焼く。缶に入れて4日もつ。",
        "注文番号48213 デスクライト(黒)2点 7,980円、延長コード1点 1,250円、送料550円、合計9,780円。6月3日にカードでお支払い済み。",
        "昨日のライブ最高だった!!ルイスがスマホをなくすし、あいこは二曲目で泣くし、夜中の2時に桟橋でチュロス食べた。今年一番の夜",
        "三日目。また雨で、黒池の山小屋に残り、札幌から来た姉妹とトランプをした。明日は雪がなければ標高2780メートルの峠へ。",
        "月曜から熱が38.9度まで上がり、乾いた咳、発疹なし。解熱剤を一日二回。ペニシリンにアレルギーあり。保育園で働いている。",
        "博物館は平日5時、土曜は8時に閉まります。入場料は900円、学生は半額、毎月第一日曜は無料です。",
    ),
}

_ASKS = {
    "en": {
        "extraction": (
            "who is mentioned here?",
            "Get me the phone numbers and times out of this message:",
            "which amounts of money or quantities are in there? as a list",
            "Find every person and say in brackets what they do.",
            "I need this as JSON with the keys who, what, when, where; null if missing.",
            "Fill the table | item | amount | with what the text gives.",
            "Keywords only, separated by commas.",
            "Point out all adjectives.",
            "Identify the subject and the verb of the first sentence.",
            "copy the part where a place is named, nothing else",
            "Parse this into fields.",
            "Tell me only the dates and times you see.",
            "Pick out the words that start with a capital letter.",
            "What are the entities (people, places, organisations) in the text below?",
            "Input: a message. Output: the names of things in it. Message:",
            "put all numbers in one column for excel",
        ),
        "classification": (
            "personal or business?",
            "Tag this with one of: health, travel, food, shopping, housing, work, fun.",
            "Is the writer happy, angry or neutral?",
            "does this belong in the inbox or the bin",
        ),
        "rewrite": (
            "make it sound less stiff",
            "Same content, third person please.",
            "Correct my English:",
            "Change all times to 24-hour form and leave the rest.",
        ),
        "summarization": ("in five words:", "boil it down for me", "One-sentence version, please."),
        "closed_qa": (
            "when exactly? see text",
            "Does it say how much? Answer from this:",
            "Who should I call according to this note?",
        ),
        "other": (
            "in Portuguese please",
            "How many words and characters is that?",
            "Put this on my calendar and tell Sam.",
        ),
        "text_generation": (
            "write back that I can't make it",
            "Make a funny diary entry out of it.",
            "Turn this into an advert with a slogan.",
        ),
        "brainstorming": (
            "what could go wrong here? list everything",
            "ten subject lines for it",
            "what else might I ask them? ideas",
        ),
        "chatbot": ("just got this, isn't that sweet? how was your morning?", "haha read this. so what are you up to"),
    },
    "ja": {
        "extraction": (
            "誰の名前が出てきますか。",
            "電話番号と時刻だけ取り出して。",
            "金額や数量を一覧にしてください。",
            "who、what、when、whereをキーにしたJSONにしてください。",
            "キーワードをカンマ区切りで。",
            "場所が書いてある部分だけ写して。",
            "形容詞をすべて挙げてください。",
            "品名と数を表に埋めてください。",
            "人名・地名・組織名を見つけてください。",
            "数字を縦一列に並べて。",
            "日付と時間だけ教えて。",
        ),
        "classification": (
            "私用ですか仕事ですか。",
            "健康・旅行・料理・買い物・住まいのどれ?",
            "書いた人の気持ちは喜び・怒り・中立のどれですか。",
        ),
        "rewrite": (
            "もう少しくだけた感じに直して。",
            "三人称で書き直してください。",
            "日本語の間違いを直してください。",
        ),
        "summarization": ("ひと言でまとめると?", "短くまとめて。"),
        "closed_qa": ("正確にはいつですか。文中から答えて。", "この内容だと、いくらかかりますか。"),
        "other": ("ポルトガル語にして。", "何文字ありますか。", "予定表に入れておいて。"),
        "text_generation": ("行けないと返信を書いて。", "これを元に面白い日記を書いてください。"),
        "brainstorming": ("件名の案を10個。", "何がうまくいかない可能性がある?全部挙げて。"),
        "chatbot": ("これ見て、笑っちゃった。そっちはどう?", "こんなの届いたよ。今日は何してた?"),
    },
}
_JOINTS = ("{ask} {text}", "{ask}\n{text}", "{text}\n{ask}", "{text}\n\n{ask}", '"{text}" {ask}', "{ask}\n\n> {text}")
_OF_EACH_TEXT = {"extraction": 6}


def rows(rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """Text, task and language of each prompt."""
    for language, texts in _TEXTS.items():
        for text in texts:
            for task, asks in _ASKS[language].items():
                for ask in rng.choice(asks, size=min(_OF_EACH_TEXT.get(task, 2), len(asks)), replace=False):
                    yield str(rng.choice(_JOINTS)).format(ask=ask, text=text), task, language
