"""Secrets in a text: what they are called, what they look like, and the text without them."""

from __future__ import annotations

import re

MASK = "***"
_NAMES = (
    r"pass(?:word|wd|phrase|code)|passwort|kennwort|pwd|secret(?!ar)|token(?!i[sz])|credential|"
    r"(?:api|access|private|encryption|signing|symmetric|session|auth|shared)_?key"
)
NAME = re.compile(
    r"^(?!.*(?:\b(?:is|has|uses?|needs?|requires?|must|can|no|num|max|min)_\w*$|expir|"
    r"_(?:at|on|date|time|ts|until|since|count|length|len|size|version|attempts?|age|days|hours|"
    r"minutes|seconds|limit|enabled|valid|required|used|revoked|verified|changed|active)\W*$|"
    r"(?<!access_key)_id\W*$))"
    rf".*(?:{_NAMES}|\b(?:\w*_)?pass\W*$)",
    re.IGNORECASE | re.DOTALL,
)
"""What holds a secret, and not the time, number, state or row of one: `password_changed_at`."""
_SHAPES = (
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\beyJ[\w-]{5,8192}\.[\w-]{5,8192}(?:\.[\w-]{0,8192}){0,3}",
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    r"\b(?:gh[pousr]_[0-9A-Za-z]{16,255}|github_pat_\w{20,255}|glpat-[\w-]{16,255})",
    r"\bxox[a-z]-[\w-]{8,255}",
    r"\b(?:[spr]k_(?:live|test)_|whsec_)\w{8,255}",
    r"\b(?:sk-[\w-]{20,255}|AIza[\w-]{35}|SG\.[\w-]{16,64}\.[\w-]{16,64})",
    r"\$2[abxy]\$\d\d\$[./0-9A-Za-z]{53}",
    r"(?:\$argon2(?:id|i|d)|\bpbkdf2_sha\d+|\bSCRAM-SHA-256)\$[^\s'\"]{1,512}",
)
_LOOKS = (
    re.compile(f"()(?:{'|'.join(_SHAPES)})", re.DOTALL),
    re.compile(r"(://[^\s/:@]*:)[^\s/]+(?=@)"),
    re.compile(r"\b((?:bearer|basic)\s+)[\w.~+/=-]{16,8192}", re.IGNORECASE),
    re.compile(rf"(<[\w:]{{0,40}}(?:{_NAMES})[\w:]{{0,40}}>)[^<]+(?=<)", re.IGNORECASE),
)
"""What stays before a secret is the group of each."""

SUSPECT = re.compile(
    r"pass(?:word|wd|phrase|code|wort|\b)|kennwort|pwd|secret|token|credential|"
    r"(?:api|access|private|encryption|signing|symmetric|session|auth|shared)_?key|"
    r"identified|crypt|hmac|pgp_|authorization|bearer\s|basic\s|"
    r"A[KS]IA[0-9A-Z]{16}|eyJ[\w-]{5}|://[^\s/:@]*:[^\s/]+@|private key|"
    r"gh[pousr]_[0-9A-Z]|github_pat_|glpat-|xox[a-z]-|[spr]k_(?:live|test)_|whsec_|"
    r"sk-[\w-]{20}|AIza|SG\.[\w-]{16}|\$2[abxy]\$|\$argon2|pbkdf2_|scram-sha",
    re.IGNORECASE,
)
"""Matches whatever may hold a secret; RE2 reads it as well."""

# A value without quotes ends at white space, or at a separator before the next `name=`; in JSON and
# in code before what would break them.
_BARE = r"(?:[^\s;&,]|[;&,](?!\s*[\w.-]+\s*[=:]))+"
_BARE_IN_CODE = r"[^\s;&,\"'\\}\])]+"
_KEYED, _KEYED_IN_CODE = (
    re.compile(
        rf"""
        (?P<name>(?:{_NAMES}|\b(?:\w*_)?pass(?=\W{{0,3}}[=:])|authorization
            |identified\s+(?:by|as|with))[\w-]{{0,40}})
        (?P<closed>\\*["'\]]{{0,2}})
        (?P<separator>\s*(?:=>|:=|=|:)\s*|\s+(?:by\s+|as\s+|is\s+)?(?=['"]))
        (?P<value>(?P<quotes>''+)[^']*(?P=quotes) | '(?:[^'\\]|\\.|'')*'
            | \\+"(?:[^"\\]|\\(?!"))*\\+" | "(?:[^"\\]|\\.)*" | \[[^\]]*\]
            | (?:(?:bearer|basic|token)\s+)?{bare})
        """,
        re.IGNORECASE | re.VERBOSE | re.DOTALL,
    )
    for bare in (_BARE, _BARE_IN_CODE)
)

_OTHER_NAME = re.compile(r"\w*pass$|authorization|identified", re.IGNORECASE)
_ARN = re.compile(r"\s*(?:aws_iam_role=)?arn:aws[\w-]*:[\w:/+,.@-]*\s*")
_NO_SECRET = re.compile(
    r"null|none|true|false|\$\d+|\?|%s|<[\w ]+>|\*+|xxx|[\"'\\]*", re.IGNORECASE
)
# Code, in which `token = u.token` is no secret.
_CODE = re.compile(
    r"\b(?:insert\s+into|delete\s+from|update\s+\S+\s+set|select\s.{0,2000}?\sfrom|"
    r"(?:create|alter)\s+(?:or\s+replace\s+)?(?:user|role|table|view|function|procedure)|"
    r"perform\s|raise\s)",
    re.IGNORECASE | re.DOTALL,
)
_EXPRESSION = re.compile(r"[\w\"][\w$\".]*(?:\(.*|::.*|[;,)]*)", re.DOTALL)


def mask_secret(value: str) -> str:
    """A secret masked; what names a role of AWS is none."""
    return value if not value or _ARN.fullmatch(value) else MASK


def masked(text: str, *, code: bool = False) -> str:
    """The text with the secret parts of it replaced; in `code`, names are no secrets."""
    code = code or _CODE.search(text) is not None
    for look in _LOOKS:
        text = look.sub(rf"\g<1>{MASK}", text)
    json = text.lstrip()[:1] in ("{", "[")

    def without_value(found: re.Match[str]) -> str:
        name, closed, separator, value = found.group("name", "closed", "separator", "value")
        opens = re.match(r"\\*\"|'+", value)
        quote = opens[0] if opens else ""
        if (
            _NO_SECRET.fullmatch(value)
            or (json and value[0] == "{")
            or (code and not quote and separator.strip() != ":" and _EXPRESSION.fullmatch(value))
            or mask_secret(value.strip("'\"\\")) != MASK
            or not (NAME.match(name) or _OTHER_NAME.match(name))
        ):
            return found[0]
        if not quote and closed.endswith('"'):
            quote = '"'
        new = f"{quote}{MASK}{quote}"
        return name + closed + separator + (f"[{new}]" if value[0] == "[" else new)

    return (_KEYED_IN_CODE if code or json else _KEYED).sub(without_value, text)
