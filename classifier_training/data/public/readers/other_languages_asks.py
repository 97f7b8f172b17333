"""Requests in German, Spanish, Chinese and Russian, written by hand, for paragraphs of an encyclopaedia."""

from __future__ import annotations

from collections.abc import Mapping

from classifier_training.data.public.readers.japanese_asks import Asks

PARAGRAPH: Mapping[str, Asks] = {
    "de": {
        "summarization": (
            "Fasse den Text in zwei Sätzen zusammen.",
            "Bitte eine kurze Zusammenfassung, höchstens 40 Wörter.",
            "Worum geht es hier? Nur das Wichtigste, bitte.",
            "Kannst du mir die Kernaussagen in drei Stichpunkten geben?",
        ),
        "rewrite": (
            "Formuliere den Text um, ohne die Bedeutung zu ändern.",
            "Schreib das bitte in einfacher Sprache, ohne etwas wegzulassen.",
            "Könnten Sie den Absatz stilistisch verbessern? Der Inhalt soll gleich bleiben.",
            "Setze alles ins Präsens.",
        ),
        "extraction": (
            "Liste alle Eigennamen aus dem Text auf.",
            "Welche Zahlen und Jahreszahlen kommen vor? Nur aufzählen.",
            "Zieh bitte alle Orte heraus, als JSON-Liste.",
            "Nenne fünf Schlüsselwörter, wörtlich aus dem Absatz.",
        ),
        "classification": (
            "Zu welchem Thema gehört der Text: Sport, Geschichte, Naturwissenschaft, Politik, Sonstiges?",
            "Ist der Ton sachlich oder wertend? Antworte mit einem Wort.",
            "Ordne den Absatz einer Schwierigkeit zu: leicht, mittel, schwer.",
        ),
        "text_generation": (
            "Schreib eine kurze Geschichte, die von diesem Text angeregt ist.",
            "Verfasse einen Leserbrief zu diesem Thema.",
            "Mach daraus ein Gedicht mit vier Zeilen.",
        ),
        "brainstorming": (
            "Schlag mir zehn Überschriften für den Text vor.",
            "Welche Diskussionsfragen könnte man einer Schulklasse dazu stellen? Bitte mehrere Ideen.",
            "Ideen für ein Referat zu diesem Thema?",
        ),
        "other": (
            "Übersetze den Text ins Englische.",
            "Bitte auf Französisch übersetzen.",
            "Wie lautet das auf Englisch?",
        ),
    },
    "es": {
        "summarization": (
            "Resume el texto en dos frases.",
            "Hazme un resumen breve, por favor.",
            "¿Cuál es la idea principal? Solo lo esencial.",
            "Necesito las ideas clave en tres puntos.",
        ),
        "rewrite": (
            "Reescribe el párrafo con otras palabras y el mismo significado.",
            "Pásalo a un lenguaje sencillo sin quitar información.",
            "¿Puedes corregir el estilo del texto? No cambies el contenido.",
            "Ponlo en un tono más informal.",
        ),
        "extraction": (
            "Extrae todos los nombres propios.",
            "Haz una lista de las fechas y cifras que aparecen.",
            "Saca los lugares mencionados, separados por comas.",
            "Dame cinco palabras clave tal como salen en el texto.",
        ),
        "classification": (
            "¿De qué tema es el texto: deporte, historia, ciencia, política u otro?",
            "Di si el tono es neutral, positivo o negativo. Una sola palabra.",
            "Clasifica la dificultad: fácil, media o difícil.",
        ),
        "text_generation": (
            "Escribe un cuento corto inspirado en este texto.",
            "Redacta una carta al director sobre este tema.",
            "Inventa un diálogo entre dos personas a partir de esto.",
        ),
        "brainstorming": (
            "Propón diez títulos para el texto.",
            "Dame ideas de actividades para una clase sobre este tema.",
            "¿Qué preguntas de debate se podrían plantear? Varias, por favor.",
        ),
        "other": (
            "Traduce el texto al inglés.",
            "Por favor, tradúcelo al francés.",
            "¿Cómo se dice todo esto en inglés?",
        ),
    },
    "zh": {
        "summarization": (
            "请用两句话概括这段文字。",
            "帮我总结一下。",
            "这段话主要讲了什么?简短点。",
            "把内容压缩到五十字以内。",
        ),
        "rewrite": (
            "请换一种说法改写这段文字,意思不变。",
            "用小学生能看懂的话重写一遍,不要删减内容。",
            "帮我润色一下这段话。",
            "改成口语化的表达。",
        ),
        "extraction": (
            "提取文中所有的人名和地名。",
            "把出现的数字和年份都列出来。",
            "从原文中摘出五个关键词。",
            "找出文中提到的机构,用JSON数组返回。",
        ),
        "classification": (
            "这段文字属于哪一类:体育、历史、科学、政治、其他?",
            "判断语气是中立、正面还是负面,只回答一个词。",
            "难度分级:简单/中等/困难,选一个。",
        ),
        "text_generation": (
            "根据这段文字写一个小故事。",
            "以此为主题写一篇演讲稿。",
            "写一首关于这个话题的诗。",
        ),
        "brainstorming": (
            "给这段文字想十个标题。",
            "围绕这个主题可以办哪些活动?多给几个点子。",
            "列出可以让学生讨论的问题。",
        ),
        "other": (
            "翻译成英文。",
            "请把这段话译成日语。",
            "麻烦翻译成英语,只要译文。",
        ),
    },
    "ru": {
        "summarization": (
            "Перескажи текст в двух предложениях.",
            "Сделай краткое резюме, пожалуйста.",
            "О чём здесь речь? Только главное.",
        ),
        "rewrite": (
            "Перефразируй текст, не меняя смысла.",
            "Перепиши простыми словами, ничего не пропуская.",
            "Исправьте, пожалуйста, стиль этого абзаца.",
        ),
        "extraction": (
            "Выпиши все имена собственные.",
            "Какие даты и числа встречаются в тексте? Списком.",
            "Найди все упомянутые места, через запятую.",
        ),
        "classification": (
            "К какой теме относится текст: спорт, история, наука, политика, другое?",
            "Тон нейтральный, положительный или отрицательный? Одним словом.",
        ),
        "text_generation": (
            "Напиши короткий рассказ по мотивам этого текста.",
            "Сочини стихотворение на эту тему.",
        ),
        "brainstorming": (
            "Предложи десять заголовков для текста.",
            "Какие вопросы можно обсудить с классом на эту тему? Накидай идей.",
        ),
        "other": (
            "Переведи на английский.",
            "Переведите, пожалуйста, этот текст на немецкий язык.",
        ),
    },
}
