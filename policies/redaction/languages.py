"""Which languages a text is in, as far as it matters: names of people are looked for in English and Russian only.

By script, and among languages in Latin letters by the words that every text of a language is full of. Crude and
certain: a segment too short to tell is taken to be supported, since a page of it has others that are not.
"""

import re
import unicodedata
from collections import Counter

from policies.redaction.segments import segments

_WORD = re.compile(r"[^\W\d_]+")
_FEWEST_HITS = 3
"""Words of a language that a segment must have, and more than it has of English."""
_FEWEST_LETTERS = 4
_FEWEST_OF_A_QUESTION = 2
_WORDS = {
    "English": "the of and to in is that for it with as was on be at by this are or from have not an which you will",
    "Czech": "je že na se by si do jsem jako pro ale jak tak nebo byl jsou není také podle které aby ze od při být",
    "Danish": "og det er på en til af ikke der den med som har de et kan jeg vi blev ved efter skal vil",
    "Dutch": "de het een van en dat niet zijn met voor op er aan ook bij naar wordt heeft maar door deze worden",
    "Finnish": "ja on ei että se mutta tai kun ovat oli myös sekä joka hän tämä ole mukaan",
    "French": "le la les des une est pour dans que qui sur pas avec sont par au du ce cette nous vous être ont",
    "German": "der die das und ist nicht ein eine zu den mit für auf im dem von sich des auch wird werden sind oder",
    "Hungarian": "a az és hogy nem egy is meg van csak már vagy mint szerint volt kell ez lehet",
    "Italian": "il di che la per una sono con non gli della nel alla questo come anche più dei delle si è",
    "Norwegian": "og det er på en til av ikke som med har de et kan jeg vi ble etter skal vil også",
    "Polish": "nie się na jest do że jak od po przez oraz dla które może być tego lub są przy tym",
    "Portuguese": "que não uma para com os as dos das por mais como foi ao pela pelo são você está também",
    "Romanian": "și în nu este pe cu care la sunt pentru din mai fi sau prin această acest fost",
    "Spanish": "el los las que una para por con del se es lo como más pero este esta son también está su al",
    "Swedish": "och att det är som på en av för med till inte den har om ett var kan vi ska enligt",
    "Turkish": "ve bir bu için ile olarak çok daha olan gibi kadar var değil olduğu veya sonra ise",
}
_OF_WORD: dict[str, tuple[str, ...]] = {}
for _language, _listed in _WORDS.items():
    for _word in _listed.split():
        _OF_WORD[_word] = (*_OF_WORD.get(_word, ()), _language)
_ASKING = {
    "English": "what when where who which how why does do did can i my we our there many much long must may",
    "Dutch": "wat wanneer waar wie welke hoe waarom hoeveel ik mijn wij moet mag kan",
    "French": "quel quelle quels quand où qui comment pourquoi combien je mon ma mes nous dois puis peut ai",
    "German": "was wann wo wer wen wem welche welcher welches wie warum viele viel ich mein habe wir muss darf kann",
    "Italian": "quale quali quando dove chi come perché quanto quanti quante posso devo mio ho abbiamo è",
    "Polish": "co kiedy gdzie kto jak dlaczego ile czy mogę muszę mam jest",
    "Portuguese": "qual quais quando onde quem como quanto quantos posso devo meu tenho temos é",
    "Spanish": "qué cuál cuáles cuándo dónde quién cómo cuánto cuántos cuántas puedo debo mi tengo tenemos hay",
}
"""Words of questions, which are short and have few of the others."""
_NOT_RUSSIAN = re.compile(r"[іїєґўјљњћђџѓќ]", re.IGNORECASE)
"""Letters of Ukrainian, Belarusian and South Slavic languages that Russian has not."""
_SUPPORTED_SCRIPTS = frozenset({"LATIN", "CYRILLIC"})


def unsupported(text: str) -> frozenset[str]:
    """The languages or scripts in which a text has whole sentences and in which names are not looked for."""
    return frozenset(name for start, end in segments(text) if (name := _unsupported(text[start:end])))


def _unsupported(segment: str) -> str | None:
    words = [word.casefold() for word in _WORD.findall(segment)]
    scripts = Counter(_script(character) for word in words for character in word if not character.isascii())
    latin = sum(character.isascii() for word in words for character in word) + scripts["LATIN"]
    script, letters = max(scripts.items(), key=lambda item: item[1], default=("LATIN", 0))
    if script not in _SUPPORTED_SCRIPTS and letters > max(latin, _FEWEST_LETTERS):
        return script.capitalize()
    if script == "CYRILLIC" and letters > latin:
        foreign = len(_NOT_RUSSIAN.findall(segment))
        return "Cyrillic, not Russian" if foreign >= _FEWEST_HITS else None
    hits = Counter(language for word in set(words) for language in _OF_WORD.get(word, ()))
    language, count = max(sorted(hits.items()), key=lambda item: item[1], default=("English", 0))
    return language if language != "English" and count >= _FEWEST_HITS and count > hits["English"] else None


def likely_language(text: str) -> str | None:
    """The language of a text, also of a single question; none where it cannot be told."""
    words = [word.casefold() for word in _WORD.findall(text)]
    cyrillic = sum(_script(word[0]) == "CYRILLIC" for word in words)
    if cyrillic > len(words) / 2:
        return None if len(_NOT_RUSSIAN.findall(text)) >= _FEWEST_HITS else "Russian"
    hits = Counter(language for word in set(words) for language in _of_question(word))
    [(language, count), (_, next_count)] = [*hits.most_common(2), ("", 0), ("", 0)][:2]
    return language if count >= _FEWEST_OF_A_QUESTION and count > next_count else None


def _of_question(word: str) -> set[str]:
    asking = {language for language, words in _ASKING.items() if word in words.split()}
    return asking.union(_OF_WORD.get(word, ()))


def _script(character: str) -> str:
    """The first word of a character's name, which is its script for all letters that matter here."""
    return unicodedata.name(character, "UNKNOWN").split()[0]
