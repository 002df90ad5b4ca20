"""Secrets in a text: what they are called, what they look like, and the text without them."""

from __future__ import annotations

import re

MASK = "***"
COMMENT_MASK = "xxx"
"""In comments, where stars beside a slash would open or close one."""

_NAMES = (
    r"pass(?:word|wd|phrase|code)|passwort|kennwort|pwd|secret(?!ar)|token(?!i[sz])|credential|"
    r"(?:api|access|private|encryption|signing|symmetric|session|auth|shared)_?key"
)
_NAME = re.compile(rf"{_NAMES}|(?:^|_)pass$", re.IGNORECASE)
_SHAPES = (
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\beyJ[\w-]{5,8192}\.[\w-]{5,8192}(?:\.[\w-]{0,8192}){0,3}",
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    r"\b(?:gh[pousr]_[0-9A-Za-z]{16,255}|github_pat_\w{20,255}|glpat-[\w-]{16,255})",
    r"\bxox[a-z]-[\w-]{8,255}",
    r"\b(?:[spr]k_(?:live|test)_|whsec_)\w{8,255}",
    r"\bsk-[\w-]{20,255}",
    r"\bAIza[\w-]{35}",
    r"\bSG\.[\w-]{16,64}\.[\w-]{16,64}",
    r"\$2[abxy]\$\d\d\$[./0-9A-Za-z]{53}",
    r"\$argon2(?:id|i|d)\$[^\s'\"]{1,512}",
    r"\bpbkdf2_sha\d+\$[^\s'\"]{1,512}",
    r"\bSCRAM-SHA-256\$[^\s'\"]{1,512}",
)
_SHAPE = re.compile("|".join(_SHAPES), re.DOTALL)
_URL = re.compile(r"(://[^\s/:@]*:)[^\s/]+@")
_BEARER = re.compile(r"\b((?:bearer|basic)\s+)[\w.~+/=-]{16,8192}", re.IGNORECASE)
_ELEMENT = re.compile(rf"(<[\w:]{{0,40}}(?:{_NAMES})[\w:]{{0,40}}>)[^<]+(?=<)", re.IGNORECASE)

SUSPECT = (
    r"pass(?:word|wd|phrase|code|wort|\b)|kennwort|pwd|secret|token|credential|"
    r"(?:api|access|private|encryption|signing|symmetric|session|auth|shared)_?key|"
    r"identified|crypt|hmac|pgp_|authorization|bearer\s|basic\s|"
    r"A[KS]IA[0-9A-Z]{16}|eyJ[\w-]{5}|://[^\s/:@]*:[^\s/]+@|private key|"
    r"gh[pousr]_[0-9A-Z]|github_pat_|glpat-|xox[a-z]-|[spr]k_(?:live|test)_|whsec_|"
    r"sk-[\w-]{20}|AIza|SG\.[\w-]{16}|\$2[abxy]\$|\$argon2|pbkdf2_|scram-sha"
)
"""Matches, without regard to case, whatever may hold a secret; RE2 and `re` both read it."""
_SUSPECT = re.compile(SUSPECT, re.IGNORECASE)

# The end of a value without quotes: white space, or a separator before the next `name=`.
_SCHEME = r"(?:(?:bearer|basic|token)\s+)?"
_BARE = _SCHEME + r"(?:[^\s;&,]|[;&,](?!\s*[\w.-]+\s*[=:]))+"
# In JSON and in code it ends before what would break them.
_BARE_QUOTED = _SCHEME + r"[^\s;&,\"'\\}\])]+"
_PATTERN = r"""
    (?P<name>(?:{names}|\b(?:\w*_)?pass(?=\W{{0,3}}[=:])|authorization|identified\s+(?:by|as|with))[\w-]{{0,40}})
    (?P<closed>\\*["'\]]{{0,2}})
    (?P<separator>\s*(?:=>|:=|=|:)\s*|\s+(?:by\s+|as\s+|is\s+)?(?=['"]))
    (?P<value>
        \\+"(?:[^"\\]|\\(?!")[^"])*\\+"
      | "(?:[^"\\]|\\.)*"
      | '(?:[^'\\]|\\.|'')*'
      | \[[^\]]*\]
      | {bare}
    )
"""
_FLAGS = re.IGNORECASE | re.VERBOSE | re.DOTALL
_KEYED = re.compile(_PATTERN.format(names=_NAMES, bare=_BARE), _FLAGS)
_KEYED_QUOTED = re.compile(_PATTERN.format(names=_NAMES, bare=_BARE_QUOTED), _FLAGS)

# A name that speaks of a secret's time, number or state; such values are kept where they are one.
_ORDINARY_NAME = re.compile(
    r"^(?:is|has|uses?|needs?|requires?|must|can|no|num|max|min)_|expir|"
    r"_(?:at|on|date|time|ts|until|since|count|length|len|size|id|version|attempts?|age|days|hours|"
    r"minutes|seconds|limit|enabled|valid|required|used|revoked|verified|changed|active)$",
    re.IGNORECASE,
)
_ORDINARY_VALUE = re.compile(
    r"[+-]?\d{1,19}(?:\.\d{1,9})?|\d{4}-\d\d-\d\d(?:[T ][\d:.]+)?\s*(?:Z|UTC|[+-][\d:]{2,6})?|"
    r"t|f|true|false|yes|no|on|off|y|n",
    re.IGNORECASE,
)
_ALGORITHM = re.compile(
    r"hex|base64|escape|sha-?\d+|md5|bf|xdes|des|aes(?:-[\w/:-]+)?|utf-?8|day|hour|month|g|text|UTC",
    re.IGNORECASE,
)
_ARN = re.compile(r"\s*(?:aws_iam_role=)?arn:aws[\w-]*:[\w:/+,.@-]*\s*")
_NO_SECRET = re.compile(r"null|none|true|false|\$\d+|\?|%s|<[\w ]+>|\*+|xxx|[\"'\\]*", re.I)
# Code, in which `token = u.token` is no secret.
_CODE = re.compile(
    r"\b(?:insert\s+into|delete\s+from|update\s+\S+\s+set|select\s.{0,2000}?\sfrom|"
    r"(?:create|alter)\s+(?:or\s+replace\s+)?(?:user|role|table|view|function|procedure)|"
    r"perform\s|raise\s)",
    re.IGNORECASE | re.DOTALL,
)
_NAME_OR_CALL = re.compile(r"[A-Za-z_\"][\w$\".]*(?:\(.*|::.*|[;,)]*)", re.DOTALL)


def suspect(text: str) -> bool:
    """Whether a text may hold a secret."""
    return _SUSPECT.search(text) is not None


def is_secret_name(name: str) -> bool:
    """Whether what is called so holds a secret, or speaks of one."""
    return _NAME.search(name) is not None


def is_ordinary_name(name: str) -> bool:
    """Whether a secret's name is followed by what it is no longer: `password_changed_at`."""
    return _ORDINARY_NAME.search(name) is not None


def is_ordinary_value(value: str) -> bool:
    """Whether a value is a number, a date or a truth value."""
    return _ORDINARY_VALUE.fullmatch(value) is not None


def is_arn(value: str) -> bool:
    """Whether a value names an AWS resource and nothing else, which is no secret."""
    return _ARN.fullmatch(value) is not None


def is_code(text: str) -> bool:
    """Whether a text has SQL statements in it."""
    return _CODE.search(text) is not None


def is_algorithm(value: str) -> bool:
    """Whether a value names an algorithm or an encoding, as arguments of functions do."""
    return _ALGORITHM.fullmatch(value) is not None


def masked(text: str, *, mask: str = MASK, code: bool = False) -> str:
    """The text with the secret parts of it replaced.

    Of `code`, literals and comments have been seen to before; other text may hold code, too.
    """
    text = _SHAPE.sub(mask, text)
    text = _URL.sub(rf"\1{mask}@", text)
    text = _ELEMENT.sub(rf"\1{mask}", text)
    if code:
        return text
    code, json = is_code(text), text.lstrip()[:1] in ("{", "[")

    def without_value(found: re.Match[str]) -> str:
        name, closed, separator, value = found.group("name", "closed", "separator", "value")
        if _NO_SECRET.fullmatch(value) or is_arn(value.strip("'\"")):
            return found[0]
        if json and value[0] == "{":
            return found[0]
        if is_ordinary_name(name) and is_ordinary_value(value.strip("'\"\\")):
            return found[0]
        quote = re.match(r"\\*[\"']", value)
        if code and not quote and _NAME_OR_CALL.fullmatch(value):
            return found[0]
        if quote:
            value = quote[0] + mask + quote[0]
        elif closed.endswith('"'):
            value = f'["{mask}"]' if value[0] == "[" else f'"{mask}"'
        else:
            value = mask
        return name + closed + separator + value

    text = (_KEYED_QUOTED if code or json else _KEYED).sub(without_value, text)
    return _BEARER.sub(rf"\g<1>{mask}", text)


_COMMENT_EDGE = re.compile(r"(/\*|\*/|\n(?=\s*(?:--(?!---END)|\#|\Z)))")


def masked_comment(text: str) -> str:
    """What stands between tokens, with the secrets in its comments replaced and their ends kept."""
    if not suspect(text):
        return text
    pieces = _COMMENT_EDGE.split(text)
    pieces[::2] = [masked(piece, mask=COMMENT_MASK) for piece in pieces[::2]]
    return "".join(pieces)
