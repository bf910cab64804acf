"""Postal addresses by their shapes: a street and a number in the ways of several countries, boxes, postal codes."""

import re

from policies.personal_data import EntityType
from policies.redaction.rules import Rule

_CAPITAL = r"[A-ZÀ-ÖØ-ÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮİĴĶĹĻĽĿŁŃŅŇŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽΑ-ΫА-Я]"
# Words that begin a sentence or a field of a form, at which an address has ended.
_NOT_NAME = (
    r"(?!(?:The|This|That|These|There|Then|Please|I|We|You|He|She|It|They|My|Our|Your|His|Her|And|But|Or|So|As|To|Is"
    r"|In|On|At|If|For|When|Where|What|How|Who"
    r"|Phone|Mobile|Desk|Fax|Tel|Email|E-mail|Call|Contact|Name|Date|Website|Note)\b)"
)
_NAME = rf"(?:{_NOT_NAME}{_CAPITAL}[\w'\u2019-]{{1,30}}|{_CAPITAL}\.|St\.)"
_PARTICLE = r"(?:d[ea]|d[eo][sl]?|das|di|del|della|dei|den|der|des|du|la|le|las|los|van|von|et|y|e|i)\b"
_ORDINAL = r"\d{1,3}(?:st\b|nd\b|rd\b|th\b|\.)"
_NAMES = rf"(?:(?:{_NAME}|{_PARTICLE}|{_ORDINAL})\s){{0,4}}{_NAME}"
_NUMBER = r"\d{1,6}(?:[ /-]?\d{1,5})?(?: ?[A-Za-z])?\b"
_SUFFIXES = (
    "Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter|Way"
    "|Parkway|Pkwy|Circle|Cir"
    "|Highway|Hwy|Trail|Trl|Alley|Crescent|Cres|Close|Gardens|Grove|Mews|Row|Walk|Quay|Plaza|Loop|Turnpike|Tpke"
    "|Expressway|Causeway|Bypass"
    "|Esplanade|Heights|Hollow|Junction|Meadow|Meadows|Oval|Pike|Ridge"
    "|Shore|Shores"
    "|Throughway|Trafficway|Viaduct|Vista|Wharf"
)
_LOWER_SUFFIXES = "street|avenue|ave|road|rd|boulevard|blvd|lane|drive|square|terrace|parkway|highway|crescent"
_LAST_KINDS = (
    r"Straße|Strasse|Str\.|Weg|Platz|Allee|u\.|utca|út|útja|tér|körút|ulice|ulica|cesta|trg|vej|gade|straat|laan"
    r"|terrasse|Av"
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
    r"|площадь|наб\."
)
_LOWER_PREFIXES = r"rue|avenue|av\.?|bd\.?|boulevard|place|chemin|allée|impasse|quai|route|via|cours"
_COMPOUNDS = (
    r"stra(?:ß|ss)e|str\.|gasse|weg|platz|allee|damm|ufer|steig|chaussee|straat|laan|plein|gracht|kade|singel|dijk"
    r"|steeg"
    r"|gatan|gata|gaten|vägen|vegen|veien|vej|vejen|gade|stræde|stigen|gränd|torget|katu|kuja|polku|braut|vegur"
    r"|stígur|tér|utca"
)
_UNIT = r"(?:(?i:apt|apartment)\b\.?|Suite|Ste\.?|Unit|Flat|Floor|Room|Bldg\.?|m\.)\s{0,2}#?\d{1,5}[A-Za-z]?\b(?!\s?%)"
_CITY = rf"{_NAME}(?:[ -]{_NAME}){{0,3}}"
_ZIP = r"\d{5}(?:-\d{4})?\b"
_UK_CODE = r"[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2}\b"
_CANADIAN_CODE = r"[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z]\s\d[ABCEGHJ-NPRSTV-Z]\d\b"
_PART = (
    rf"(?:{_UNIT}|#\s?\d{{1,5}}[A-Za-z]?\b|{_UK_CODE}|{_CANADIAN_CODE}"
    rf"|\(?(?:[A-Z]{{1,2}}-)?(?:\d{{3,6}}(?:[ -]\d{{2,4}})?|\d\d-\d{{3}})\b|[A-Z]{{2}}\b"
    rf"|\(?{_NAME}(?:\s{_PARTICLE})?\)?(?!\s?:))"
)
# What follows a street: unit, town, code, country, in whatever order and lines they are written.
_REST = rf"(?:(?:\s{{0,3}},\s{{0,3}}|\s{{1,3}}){_PART}){{0,12}}"
_BEFORE = r"(?<![\w$€£.,/-])(?:\d{1,6}[A-Za-z]?,?\s)?"
_AT = (
    r"(?i:\b(?:address(?:\sis|:)|(?:lives?|living|resid(?:es?|ing)|located|office\sis)\s(?:at|on)|(?:sen[dt]"
    r"|ship(?:ped)?|deliver(?:ed)?|mail(?:ed)?)\s(?:\w+\s){0,3}to))\s{1,3}"
)


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
    _address("street, kind last", rf"{_BEFORE}(?<!\w)(?:{_NAMES})\s(?:{_LAST_KINDS})\s{{1,2}}{_NUMBER}{_REST}", 0.8),
    _address("street and unit", rf"{_BEFORE}(?<!\w)(?:{_NAMES})(?:\s{_NUMBER})?,?\s{{1,3}}{_UNIT}{_REST}", 0.7),
    _address(
        "street, introduced",
        rf"{_AT}(?P<value>(?:{_NUMBER},?\s{_NAMES}|(?:\d{{1,6}}\s)?{_NAMES},?\s{_NUMBER}|{_NAMES}\s(?i:street|avenue"
        rf"|road|lane|drive)\b){_REST})",
        0.6,
    ),
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
