"""Postal addresses by their shapes: a street and a number in the ways of several countries, boxes, postal codes."""

import re

from policies.personal_data import EntityType
from policies.redaction.lexicon import LISTS
from policies.redaction.rules import Rule

_CAPITAL = r"[A-ZÀ-ÖØ-ÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮİĴĶĹĻĽĿŁŃŅŇŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽΑ-ΫА-Я]"
# Words that begin a sentence or a field of a form, at which an address has ended.
_NOT_NAME = (
    r"(?!(?:The|This|That|These|There|Then|Please|I|We|You|He|She|It|They|My|Our|Your|His|Her|And|But|Or|So|As|To|Is"
    r"|In|On|At|If|For|When|Where|What|How|Who"
    r"|Phone|Mobile|Desk|Fax|Tel|Email|E-mail|Call|Contact|Name|Date|Website|Note)\b)"
)
_NAME = rf"(?:(?:[dDlL]['\u2019])?{_NOT_NAME}{_CAPITAL}[\w'\u2019-]{{1,30}}|{_CAPITAL}\.|St\.)"
_PARTICLE = (
    r"(?:d[ea]|d[eo][sl]?|das|di|del|dell[aeo]|degli|dei|am|an|im|auf|bei|nad|pod|u|na|pri|sur|sous|aux?|ved|på|upon|af"
    r"|till|den|der|des|du|la|le|las|los|van|von|et|y|e|i)\b"
)
_ORDINAL = r"\d{1,3}(?:st\b|nd\b|rd\b|th\b|\.)"
_NAMES = rf"(?:(?:{_NAME}|{_PARTICLE}|{_ORDINAL})\s){{0,4}}{_NAME}"
_NUMBER = r"(?:(?i:no|nr|n)[.:°º]?\s?|č\.\s?)?\d{1,6}(?:[a-z]?[ /-]?\d{1,5})?(?: ?[A-Za-z])?\b"
_SUFFIXES = (
    "Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter|Way"
    "|Parkway|Pkwy|Circle|Cir"
    "|Highway|Hwy|Trail|Trl|Alley|Crescent|Cres|Close|Gardens|Grove|Mews|Row|Walk|Quay|Plaza|Loop|Turnpike|Tpke"
    "|Expressway|Causeway|Bypass"
    "|Esplanade|Heights|Hollow|Junction|Meadow|Meadows|Oval|Pike|Ridge"
    "|Shore|Shores"
    "|Throughway|Trafficway|Viaduct|Vista|Wharf"
    "|Bayou|Beach|Bend|Bluffs?|Bridge|Brooks?|Canyon|Cape|Cliffs?|Corners?|Coves?|Creek|Crest|Crossing|Crossroads?"
    "|Dale|Dam|Estates?|Falls|Ferry|Flats?|Fords?|Forest|Forges?|Forks|Fort|Freeway|Garden|Glens?|Harbou?rs?"
    "|Haven|Hills?|Inlet|Islands?|Isle|Knolls?|Lakes?|Landing|Lodge|Manors?|Mills?|Motorway|Mountains?|Neck|Orchard"
    "|Overpass|Parks?|Passage|Pines?|Plains?|Port|Prairie|Ranch|Rapids?|River|Route|Shoals?|Skyway|Springs?|Spurs?"
    "|Stravenue|Stream|Streets|Trace|Tunnel|Underpass|Valleys?|Villages?|Ville|Walks|Wells|Centreway"
)
# Those of them that tell a street where no number stands.
_CERTAIN_SUFFIXES = (
    "Street|Avenue|Road|Boulevard|Lane|Drive|Court|Place|Square|Terrace|Way|Crescent|Close|Gardens|Grove|Mews|Parkway"
)
_LOWER_SUFFIXES = "street|avenue|ave|road|rd|boulevard|blvd|lane|drive|square|terrace|parkway|highway|crescent"
_LAST_KINDS = (
    r"Straße|Strasse|Str\.|Weg|Platz|Allee|Ring|u\.|utca|út|útja|tér|körút|ulice|ulica|cesta|trg|vej|gade|straat|laan"
    r"|terrasse|Av|tee|mnt|tänav|maantee|iela|gatvė|g\.|nabrežje|nábřeží|náměstí|nábrežie|námestie|Caddesi|Sokak"
    r"|Cd\.|Sk\.|Mahallesi|tie|katu|allé|plads"
)
_STATES = (
    "A[AEKLPRZ]|C[AOT]|D[CE]|FL|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|P[AR]|RI|S[CD]|T[NX]|UT"
    "|V[AIT]|W[AIVY]"
    "|NSW|VIC|QLD|TAS|ACT|ON|QC|BC|AB|MB|SK|NS|NB"
)
_PREFIXES = (
    r"[Uu]l(?:\.|ica|ice)|[Aa]l(?:\.|eja|eje)|[Oo]s(?:\.|iedle)|[Nn]ám(?:\.|ěstí)|[Rr]ue|Avenue|Av\.?|Avda\.?|Avenida"
    r"|Boulevard|Bd\.?|Bulevar(?:dul)?|Place|[Cc]hemin"
    r"|[Aa]llée|[Ii]mpasse|[Qq]uai|Route|Via|Viale|Piazza|Piazzale|Corso|Largo|Vicolo|Strada|Str\.?|Calle|C/|Plaza"
    r"|Paseo|Camino|Carrera|Rua|Travessa"
    r"|Praça|Alameda|Estrada|Rodovia|Calea|Kneza|Trg|Πλατεία|Λεωφόρος|Οδός|улица|ул\.|проспект|пр-т|переулок|пер\."
    r"|площадь|наб\.|Jalan|Jln?\.|Gang|Nábřeží|Náměstí|Na|U|Pod|Před|Pri|Ke|Za|Nad|Đường|Phố|phố|[Vv]iela|[Ss]cesa"
    r"|Obala"
)
_LOWER_PREFIXES = r"rue|avenue|av\.?|bd\.?|boulevard|place|chemin|allée|impasse|quai|route|via|cours"
_COMPOUNDS = (
    r"stra(?:ß|ss)e|str\.|gasse|weg|platz|allee|damm|ufer|steig|chaussee|straat|laan|plein|gracht|kade|singel|dijk"
    r"|steeg"
    r"|gatan|gata|gaten|vägen|vegen|veien|vej|vejen|gade|stræde|stigen|gränd|torget|katu|kuja|polku|braut|vegur"
    r"|stígur|tér|utca|rinne|kaari|väylä|raitti|iela|moen|bakken|haugen|vangen|tunet|torv|plads|vænget|backen|parken"
    r"|-ring|-weg|-straße|-allee|-platz"
)
_UNIT = r"(?:(?i:apt|apartment)\b\.?|Suite|Ste\.?|Unit|Flat|Floor|Room|Bldg\.?|m\.)\s{0,2}#?\d{1,5}[A-Za-z]?\b(?!\s?%)"
_CITY = rf"{_NAME}(?:[ -]{_NAME}){{0,3}}"
_ZIP = r"\d{5}(?:-\d{4})?\b"
_UK_CODE = r"[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2}\b"
_CANADIAN_CODE = r"[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z]\s\d[ABCEGHJ-NPRSTV-Z]\d\b"
_PART = (
    rf"(?:{_UNIT}|#\s?\d{{1,5}}[A-Za-z]?\b|{_UK_CODE}|{_CANADIAN_CODE}"
    rf"|\(?(?:[A-Z]{{1,2}}-)?(?:\d{{3,6}}(?:[ -]\d{{2,4}})?|\d\d-\d{{3}})\b|\d{{4}}\s?[A-Z]{{2}}\b|[A-Z]{{1,3}}\b"
    rf"|(?:nan|NaN|null|N/A)\b|\(?{_NAME}(?:\s{_PARTICLE}){{0,2}}\)?(?!\s?:))"
)
# What follows a street: unit, town, code, country, in whatever order and lines they are written, quoted lines too. A
# field that was empty where the address was exported is part of it.
_REST = rf"(?:(?:\s{{0,3}},\s{{0,3}}|\s{{1,3}}|\s?\n[>?]{{1,3}}\s){_PART}){{0,12}}"
_SIDE = rf"(?:\d{{1,6}}\s)?(?:(?:{_PREFIXES})\s{{0,2}})?(?:{_NAMES})\.?(?:\s{_NUMBER})?"
_BEFORE = r"(?<![\w$€£.,/-])(?:\d{1,6}[A-Za-z]?,?\s)?"
_AT = (
    r"(?i:\b(?:address(?:\sis|:|\swith|\sto|\sas)?|(?:liv(?:es?|ed|ing)|resid(?:es?|ed|ing|ent)|located|stay(?:s|ed"
    r"|ing)?"
    r"|(?:office|restaurant|shop|house|flat|home|apartment|place|clinic|party|meeting|property)(?:\sis)?)\s(?:at|on|in"
    r"|of)"
    r"|(?:sen[dt]|ship(?:ped)?|deliver(?:ed)?|mail(?:ed)?|return(?:ed)?|taxi|cab|courier|ambulance|moved?|driv(?:e"
    r"|en))\s"
    r"(?:\w+\s){0,3}to|me(?:et|t)\s(?:\w+\s)?at|(?:dropp?(?:s|ed)?|pick(?:s|ed)?)\s(?:\w+\s)?(?:off|up)?\s?at|(?:front"
    r"|side)\sof"
    r"|(?:I|we|he|she|they)(?:['\u2019]m|['\u2019]re|\sam|\sare|\sis|\swas|\swere)\sat|came\sto|street:?"
    r"|it\sis))\s{1,3}"
)
_MONTHS = r"(?:Jan\w*|Feb\w*|Mar(?:ch)?|Apr\w*|May|June?|July?|Aug\w*|Sep\w*|Oct\w*|Nov\w*|Dec\w*)"
# What a number follows though it is no street.
_NOT_STREET = (
    r"(?!(?:Room|Building|Gate|Platform|Floor|Level|Table|Booth|Version|Phase|Step|Stage|Terminal|Section|Chapter|Page"
    r"|Part"
    r"|Figure|Appendix|Windows|Office|Week|Day|Year|Quarter|Sprint|Slide|Version|Article|Title|Act|Group|Team|Tier"
    rf"|{_MONTHS})\b)"
)
_COUNTRIES = "|".join(sorted((name.replace("_", r"\s") for name in LISTS["countries"]), key=len, reverse=True))
_TOWN_CODE = r"(?:[A-Z]{1,2}-)?(?!(?:19|20)\d\d\b)(?:\d{3}\s\d{2}|\d{4}\s?[A-Z]{2}|\d\d-\d{3}|\d{4,6})\b"


def _address(name: str, pattern: str, score: float, flags: int = 0) -> Rule:
    return Rule(name, EntityType.ADDRESS, re.compile(pattern, flags), score)


RULES = (
    _address(
        "street, number first",
        rf"{_BEFORE}\d{{1,6}}[A-Za-z]?(?:-\d{{1,5}})?,?\s{{1,2}}(?:[NSEW]{{1,2}}\.?\s)?(?:{_NAMES})\s(?<!Google\s)(?:{_SUFFIXES})\b\.?{_REST}",
        0.85,
    ),
    _address(
        "street, lower case",
        rf"{_BEFORE}\d{{1,6}}\s(?:[^\W\d_][\w'\u2019-]{{1,20}}\s){{1,3}}(?:{_LOWER_SUFFIXES})\b\.?",
        0.6,
    ),
    _address(
        "street, kind first",
        rf"{_BEFORE}(?<!\w)(?:{_PREFIXES})\s{{0,2}}(?:{_NAMES}),?\s(?:n[°ºr]?\.?\s?)?{_NUMBER}{_REST}",
        0.8,
    ),
    _address(
        "street, number and kind first",
        rf"{_BEFORE}\d{{1,5}}\s?(?:bis|ter)?,?\s(?:{_LOWER_PREFIXES}|{_PREFIXES})\s(?:{_NAMES}){_REST}",
        0.75,
    ),
    _address(
        "street, compound",
        rf"{_BEFORE}(?<!\w)(?:{_NAME}\s)?{_CAPITAL}[\w-]{{0,30}}(?i:{_COMPOUNDS})\s{{1,2}}{_NUMBER}{_REST}",
        0.8,
    ),
    _address(
        "street, kind last",
        rf"{_BEFORE}(?<!\w)(?:{_NAMES})(?:\s[^\W\d_]{{3,15}})?\s(?:{_LAST_KINDS})\s{{1,2}}{_NUMBER}{_REST}",
        0.8,
    ),
    _address("street and unit", rf"{_BEFORE}(?<!\w)(?:{_NAMES})(?:\s{_NUMBER})?,?\s{{1,3}}{_UNIT}{_REST}", 0.7),
    _address(
        "street, introduced",
        rf"{_AT}(?P<value>(?!\d{{1,2}}\.?\s{_MONTHS}){_NOT_STREET}(?:{_NUMBER},?\s{_NAMES}"
        rf"|(?:\d{{1,6}}\s)?{_NAMES},? {_NUMBER}|{_NAMES}\s(?i:street|avenue"
        rf"|road|lane|drive)\b){_REST})",
        0.6,
    ),
    _address(
        "street and town's code",
        rf"{_BEFORE}(?<!\w){_NOT_STREET}(?:{_NAMES})\s{_NUMBER}(?:\s{{0,2}},|\n)\s{{0,3}}{_TOWN_CODE}\s{_NAME}{_REST}",
        0.7,
    ),
    _address(
        "street between numbers",
        rf"(?<![\w$€£.,/:-])\d{{2,6}}\s{_NOT_STREET}(?:{_NAMES})\s(?!(?:19|20)\d\d\b)\d{{1,5}}[A-Za-z]?\b(?![.,:%]\d"
        rf"|%){_REST}",
        0.6,
    ),
    _address(
        "corner",
        rf"(?:\bthe\s)?\bcorner\sof\s{_SIDE}\sand\s{_SIDE}{_REST}",
        0.7,
    ),
    _address("flat", r"(?:\b(?:[Ii]n|[Ff]or|[Aa]t|[Tt]o|[Oo]f|:)\s)(?P<value>(?:Unit|Flat)\s\d{1,4}[A-Za-z]?)\b", 0.5),
    _address(
        "box",
        rf"{_BEFORE}(?<!\w)(?i:p\.?\s?o\.?\s?box|post(?:al)?\s?box|postfach|apartado(?: postal)?|casilla(?: postal)?"
        rf"|boîte postale)\s{{0,2}}#?\d{{1,6}}\b{_REST}",
        0.8,
    ),
    _address(
        "military address",
        r"(?<!\w)(?i:(?:(?:psc|cmr|unit|uss|usn[sv]"
        r"|uscgc)\s[\w ]{1,30}?,?\s(?:box\s\d{1,5},?\s)?)?[afd]po,?\sa[aep]\s\d{5}\b|(?:psc"
        r"|unit)\s\d{1,5},?\sbox\s\d{1,5}\b)",
        0.85,
    ),
    _address(
        "unit", rf"(?<![\w-])(?:(?i:apt)\b\.?|Apartment|Suite|Ste\.)\s{{0,2}}#?\d{{1,5}}[A-Za-z]?\b(?!\s?%){_REST}", 0.6
    ),
    _address(
        "country and code", rf"\b(?:{_COUNTRIES})\s(?P<value>\d{{5}})(?=[\s.,;)]|\Z)(?!\s[a-z])", 0.5, re.IGNORECASE
    ),
    _address("city, state and code", rf"(?<!\w){_CITY},?\s(?:{_STATES})\s{{1,2}}{_ZIP}", 0.8),
    _address("postal code of the UK or Canada", rf"(?<![\w-])(?:{_UK_CODE}|{_CANADIAN_CODE})", 0.6),
    _address(
        "postal code, named",
        r"(?i:\b(?:zip(?:\s?code)?|post(?:al)?\s?code|postleitzahl|plz|code postal"
        r"|codice postale)\b)\s{0,2}(?:(?i:is)\b"
        r"|[:=#])?\s{0,2}(?P<value>(?=[A-Z ]{0,4}\d)[A-Z\d]{2,8}(?:[ -][A-Z\d]{2,4})?)\b",
        0.7,
    ),
)
"""Rules for text that holds a digit."""

WITHOUT_DIGITS = (
    _address(
        "street without a number",
        rf"(?i:\b(?:on|off|along|down|lives?\sin"
        rf"|corner\sof)\s)(?P<value>(?!Google\s){_NOT_STREET}{_NAME}(?:\s{_NAME}){{0,2}}"
        rf"\s(?:{_CERTAIN_SUFFIXES})\b(?:\sand\s{_NAME}(?:\s{_NAME}){{0,2}}\s(?:{_CERTAIN_SUFFIXES})\b)?)",
        0.5,
    ),
)
"""Rules for any text that `HINTS` finds something in."""

HINTS = re.compile(rf"\b(?:{_CERTAIN_SUFFIXES})\b")
"""Words without which `WITHOUT_DIGITS` finds nothing."""
