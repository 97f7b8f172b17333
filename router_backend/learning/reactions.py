"""Whether a turn of the user thanks for the answer before it, or complains of it: by how it begins, in English and Japanese.

Patterns on the first words, no model: a gateway has no embedding, and what such a rule gets wrong is measured (docs/policies.md).
"""

from __future__ import annotations

import re

from router_backend.core.signals import COMPLAINED, THANKED

_HEAD = 160  # characters that are looked at
_SHORT = 80  # of a turn that may end in thanks

_PRAISE = (
    r"(?:great|perfect|awesome|amazing|excellent|wonderful|brilliant|lovely|nice|cool|wow|sweet|fantastic|super|good)"
)
_FILLER = (
    rf"(?:(?:oh|ok|okay|ah|aha|yes|yeah|yep|yay|right|alright|hey|hi|well|so|why|got it|i see|{_PRAISE}|that'?s {_PRAISE}|"
    r"that works?|that worked|that helps|it works?(?: now)?|it worked)[\s,.!:;-]+){0,4}"
)
_OF_IT = r"(?!\s*(?:-?\s*you)?[\s-]*(?:note|card|letter|e-?mail|message|speech|gift|giving|page|to\b|in\s+(?:french|spanish|german|japanese)))"
_THANKS = re.compile(
    rf"""{_FILLER}(?:
        (?:many|much|big|so\s+many|a\s+million)\s+thanks\b | thanks?\b{_OF_IT}(?!\s+(?:god|goodness)) | thank\s+(?:yo?u|ya)\b{_OF_IT} | thx\b | tysm\b | ty\b | cheers\b
      | (?:i|we)\s+(?:really\s+|truly\s+|do\s+)*appreciate\b | (?:much|very\s+much|greatly|your\s+help\s+is)\s+appreciated\b | appreciated\b
      | (?:i'?m|i\s+am|we'?re)\s+(?:so\s+|very\s+|really\s+)?(?:grateful|thankful)\b
      | (?:well\s+done|good\s+job|great\s+job|nice\s+(?:work|job|one)|great\s+(?:work|answer)|good\s+(?:answer|work))\b
      | (?:that|this|it)(?:'?s|\s+is|\s+was)?\s+(?:just\s+|exactly\s+|really\s+|very\s+|so\s+|super\s+)*(?:helpful|what\s+i\s+(?:needed|wanted|was\s+looking\s+for)|perfect)\b
      | exactly\s+what\s+i\s+(?:needed|wanted)\b | you(?:'?re|\s+are|'?ve\s+been|\s+were)\s+(?:so\s+|very\s+|really\s+|a\s+|the\s+)*(?:helpful|best|great\s+help|lifesaver|life\s+saver)\b
      | (?:it\s+works?(?:\s+now)?|that\s+works?|that\s+worked|it\s+worked|that\s+(?:really\s+)?helps?|that\s+(?:really\s+)?helped)\s*(?:[.!,]|$|perfectly|great|for\s+me)
      | {_PRAISE}\s*[.!]*\s*$
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_ENDS_IN_THANKS = re.compile(r"[,.!;]\s*(?:thanks|thank you)(?: (?:so|very) much| a lot)?[\s.!]*$", re.IGNORECASE)
_REQUEST = re.compile(r"[?？]|\bplease\b|\b(?:can|could|would|will) you\b", re.IGNORECASE)

_BEFORE_COMPLAINT = r"(?:(?:no|nope|nah|hm+|sorry|but|wait|um+|uh|ok|okay|thanks|thank you|well|actually|oh|hey|i'?m afraid|i think|i'?m sure|unfortunately|again)[\s,.!:;…-]+){0,4}"
_WRONG = (
    r"(?:not\s+(?:\w+\s+){0,2}(?:right|correct|true|what|it\b|working|helpful|an\s+answer|how|my\s+question|factual|accurate)|wrong|incorrect|false|useless|nonsense|garbage"
    r"|rubbish|a\s+mistake|the\s+wrong|an?\s+(?:terrible|bad|awful|useless)|terrible|awful|inaccurate|made\s+up|unhelpful|not\s+even)"
)
_COMPLAINT = re.compile(
    rf"""{_BEFORE_COMPLAINT}(?:
        (?:that|this|it|your\s+(?:answer|code|response|reply)|the\s+(?:answer|code|result|output))(?:['’]?s|\s+is|\s+was|\s+(?:is|was)n['’]?t|\s+are|\s+looks?)\s+
            (?:just\s+|still\s+|completely\s+|totally\s+|also\s+|actually\s+|simply\s+|all\s+|clearly\s+|really\s+)*(?:{_WRONG})
      | (?:that|this|it)\s*(?:is|was)n['’]?t\s+(?:\w+\s+){{0,2}}(?:right|correct|true|what|it\b|working|helpful|how|my|an\s+answer)
      | (?:that|this|it|your\s+code|the\s+code)\s+(?:still\s+|just\s+|also\s+)*(?:doesn['’]?t|does\s+not|didn['’]?t|did\s+not|won['’]?t)\s+(?:even\s+)?(?:work|help|compile|run|answer|make\s+(?:any\s+)?sense|match|do\s+what)
      | (?:that|this|it)\s+makes\s+no\s+sense
      | (?:it|that|this)\s+(?:still\s+)?(?:fails|crashes|gives\s+(?:me\s+)?(?:an?|the\s+same)\s+error|throws)
      | still\s+(?:not|wrong|doesn['’]?t|the\s+same|broken|failing)
      | you\s+(?:just\s+|still\s+|again\s+|completely\s+|clearly\s+)*(?:didn['’]?t|did\s+not|forgot|missed|misunderstood|ignored|misread|made\s+(?:a|an|that|the\s+same)|keep|are\s+(?:wrong|mistaken|not\s+listening)|haven['’]?t|have\s+not|left\s+out|repeated|got\s+(?:it|that)\s+wrong)
      | you['’]?re\s+(?:wrong|mistaken|not\s+(?:listening|answering))
      | (?:wrong|incorrect|false|useless|not\s+(?:correct|right|true|helpful|what\s+i))\b
      | i\s+(?:already\s+|just\s+|specifically\s+|clearly\s+)*(?:said|told\s+you|asked\s+(?:you\s+)?(?:for|to|about)|did(?:n['’]?t|\s+not)\s+(?:ask|mean|want|say)|meant)\b
      | (?:please\s+)?try\s+(?:it\s+)?again\b | (?:do|read)\s+(?:it|that|my\s+\w+)\s+again\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)

_JA_FILLER = r"(?:(?:おお|おー|ああ|あ|なるほど|はい|了解(?:です|しました)?|OK|オーケー|わかりました|分かりました|すごい(?:です)?(?:ね)?|完璧(?:です)?|いいですね|よかった|うまくいきました|できました|動きました|解決しました|本当に|ほんとに|どうも|大変|とても)[、。!！\s…ー〜]*){0,4}"
_NOT_QUOTED = r"(?!(?:ござい(?:ます|ました))?[」』\"”]?(?:を|と(?:言|い|伝)|という|って|の(?:手紙|メール|カード|意味|言い|英語)|は(?:何|英語)|に(?:つい|対)))"
_JA_THANKS = re.compile(
    rf"{_JA_FILLER}(?:(?:ありがと(?:う)?|有難う|有り難う|アリガトウ){_NOT_QUOTED}|感謝(?:します|しています|いたします|です)|助かり(?:ます|ました)|サンキュー|お疲れ様でした"
    r"|参考になりました|(?:完璧|素晴らしい|さすが|最高)(?:です)?(?:ね)?[。!！、\s]*(?:$|ありがと)|うまくいきました|解決しました|よくわかりました|バッチリ)",
    re.IGNORECASE,
)
_JA_BEFORE_COMPLAINT = r"(?:(?:いや|いえ|いいえ|うーん|ううん|でも|すみません(?:が)?|すいません(?:が)?|えっと|ちょっと|あの|残念ですが|ありがとう(?:ございます)?(?:。|、)?(?:でも|が、?)?|まだ|全然|やっぱり|それ(?:は|だと|では|じゃ)?|これ(?:は|だと|では|じゃ)?|その(?:答え|回答|コード)(?:は|が|だと|では)?|この(?:答え|回答|コード)(?:は|が|だと|では)?|答え(?:が|は)|回答(?:が|は)|コード(?:が|は)|完全に|明らかに|また|さっきと同じで)[、。!！\s…ー]*){0,4}"
_JA_COMPLAINT = re.compile(
    rf"{_JA_BEFORE_COMPLAINT}(?:違(?:います|う(?:よ|って|でしょ|と思|。|!|！|$)|うんじゃ|くない)|ちがい(?:ます)|ちがう|間違(?:って(?:い?(?:ます|る|ません)|ますよ)|えて(?:い?(?:ます|る))|い(?:です|だ|じゃ|だと))"
    r"|そう(?:じゃ|では)な|(?:正し|正確じゃ|正確では)(?:く)?(?:ない|ありません)|おかしい(?:です|よ|。|と思|$)|動きません|動かない|動いてい?(?:ません|ない)|うまくいか|うまく(?:動|でき)(?:き)?(?:ない|ません)|(?:同じ)?エラー(?:が出|になり|になる|のまま)|直って(?:い)?(?:ない|ません)"
    r"|(?:答え|回答)に(?:なって|なって)い?(?:ない|ません)|質問(?:に答え|と違|の意味)|聞いて(?:い)?(?:るのは|たのは|ない|ません)|聞きたいのは|そういう(?:意味|こと)(?:じゃ|では)|意味(?:が)?(?:わか|分か)(?:らない|りません)|嘘(?:です|だ|を|。|!|つ)|デタラメ|でたらめ"
    r"|使え(?:ない|ません)(?:。|です|!|！|$|ね|よ)|役に立(?:たない|ちません|って(?:い)?(?:ない|ません))|ひどい(?:です|。|回答|答え|!|！|$)|やり直し|やりなおし|もう(?:一度|一回)(?:やり|考え|ちゃんと|試し|確認し)|(?:頼|たの)んで(?:い)?(?:ない|ません)|求めて(?:い)?(?:ない|ません)|(?:は|じゃ|では)?ない(?:です)?(?:。|よ|!|！)"
    r"|不正解|(?:全然|まったく|全く)(?:違|だめ|ダメ|駄目|わか|役)|(?:だめ|ダメ|駄目)(?:です|だ|。|!|！|$))",
    re.IGNORECASE,
)
_JA = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def reaction(text: str) -> str:
    """`thanked`, `complained` or nothing, of a turn that follows an answer. A complaint behind thanks is a complaint."""
    whole = text.strip()
    head = whole[:_HEAD]
    thanks, complaint = (_JA_THANKS, _JA_COMPLAINT) if _JA.search(head) else (_THANKS, _COMPLAINT)
    if complaint.match(head):
        return COMPLAINED
    if thanks.match(head):
        return THANKED
    short = len(whole) <= _SHORT and not _REQUEST.search(whole)
    return THANKED if short and _ENDS_IN_THANKS.search(whole) else ""
