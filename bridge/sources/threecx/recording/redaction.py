"""Redaction that keeps shapes: names become other names, digits other digits, and what is known to be harmless stays.

Nothing is looked for and removed: everything is replaced, except what `vocabulary` lists. So a field that no one here
has ever seen is replaced too.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, unquote

from bridge.log import redacted
from bridge.sources.threecx.recording import vocabulary
from bridge.sources.threecx.recording.kinds import BUILD, ONE_WORD, Kind, is_id
from bridge.sources.threecx.recording.pseudonyms import Pseudonyms

HIDDEN = "***"
ORIGIN = "https://pbx.invalid"
"""Stands for the PBX's own address, in answers that name it."""

_SHORT = 3
"""Numbers of fewer digits are kept where they stand alone: the 2 of `Phone 2`."""
_PHONE = 7
"""Groups of digits, as in `030 12 34 56 7`, are a telephone number from so many digits on."""
_CACHED = 50_000

_FIELD_NAME = re.compile(r"@?odata\.[A-Za-z.]{1,30}|[$A-Za-z_][A-Za-z0-9_$-]{0,63}(?:@odata\.[A-Za-z.]{1,30})?")
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:; ?[\w.-]+=[\w.-]+)*")

_PIECE = re.compile(
    r"""
      (?P<url>https?://[^\s"'<>]+)
    | (?P<sip>sips?):(?P<account>[^\s@;<>]+)@
    | (?P<email>[^\s@<>"',;:()]+@[^\s@<>"',;()]+)
    | (?P<ip4>(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]))
    | (?P<mac>(?<![\w:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-]))
    | (?P<ip6>(?<![\w:])(?:(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}|[0-9A-Fa-f]{1,4}::[0-9A-Fa-f]{0,4})(?![\w:]))
    | (?P<token>(?=[^\s]*\d)(?=[^\s]*[A-Za-z])(?<![\w+/=~.-])[\w+/=~.-]{24,}|[\w+/=~-]{40,})
    | (?P<digits>[0-9]+(?:[ ()/.-]{1,3}[0-9]+)*)
    | (?P<word>[^\W\d_]+)
    """,
    re.VERBOSE,
)
_LITERAL = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\")")
_BARE = re.compile(r"[^\W\d][\w.]*|[0-9]+")
_CALL = re.compile(r"([A-Za-z.]+)\((.*)\)")


class Redactor:
    """Redacts all that one recording holds. `secrets` are replaced wherever they stand."""

    def __init__(self, key: bytes, secrets: Iterable[str] = ()) -> None:
        """`key` should be random, and forgotten with the recording: whoever has it can find out who is who."""
        self._pseudonyms = Pseudonyms(key)
        self._secrets = tuple(secrets)
        self._texts: dict[str, str] = {}
        self._kinds: dict[str, Kind] = {}

    def value(self, value: object, key: str = "") -> object:
        """A value of JSON that stands under `key`."""
        return self._value(value, self._kind(key))

    def text(self, text: str) -> str:
        """Any text: words and numbers are replaced, all else stays."""
        found = self._texts.get(text)
        if found is None:
            plain = text if text.isascii() else _composed(text)
            found = _PIECE.sub(self._piece, redacted(plain, self._secrets))
            if len(self._texts) < _CACHED:
                self._texts[text] = found
        return found

    def target(self, target: str) -> tuple[str, dict[str, str]]:
        """Path and query of a request, both decoded."""
        path, _, query = target.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
        return self.path(path), {self._key(name): self._option(name, value) for name, value in pairs}

    def path(self, path: str) -> str:
        """A path of XAPI or Call Control, encoded or not; ids of participants and rows stay, DNs do not."""
        above = ""
        parts = []
        for part in map(unquote, path.split("/")):
            parts.append(self._segment(part, above))
            above = part
        return "/".join(parts)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The few headers that matter, without what they may tell about the host."""
        found = {}
        for name, pattern in _HEADERS.items():
            match = pattern.match(headers.get(name, ""))
            if match is not None:
                found[name] = match[0]
        return found

    def _value(self, value: object, kind: Kind) -> object:
        match value:
            case None | bool() | "":
                return value
            case str() if not kind.secret:
                return self._under(kind, value)
            case dict() if not kind.secret:
                kinds = ((self._kind(name), inner) for name, inner in value.items())
                return {each.shown: self._value(inner, each) for each, inner in kinds}
            case list() if not kind.secret:
                return [self._value(inner, kind) for inner in value]
            case int() | float() if not kind.secret:
                return value if kind.keeps_number(value) else self._number(value)
            case _:
                return HIDDEN

    def _kind(self, key: str) -> Kind:
        found = self._kinds.get(key)
        if found is None:
            found = Kind.of(key, self._key(key))
            if len(self._kinds) < _CACHED:
                self._kinds[key] = found
        return found

    def _under(self, kind: Kind, text: str) -> str:
        if kind.keeps(text):
            return text
        if kind.sentence:
            return self._sentence(text)
        if kind.context:
            return self._context(text)
        return self._encoded(text) if text.startswith(("/callcontrol", "/xapi/")) else self.text(text)

    def _piece(self, match: re.Match[str]) -> str:
        piece = match[0]
        match match.lastgroup:
            case "word":
                found = piece if piece.casefold() in vocabulary.WORDS else self._pseudonyms.word(piece)
            case "digits":
                found = self._digits(piece, attached=_attached(match))
            case "account":
                found = f"{match['sip']}:{self.text(match['account'])}@"
            case "ip4":
                found = f"192.0.2.{self._small(piece)}"
            case "ip6":
                found = f"2001:db8::{self._small(piece)}"
            case "mac":
                found = f"00-00-5e-00-53-{self._small(piece) % 90 + 10}"
            case "url":
                found = self._url(piece)
            case _:
                found = HIDDEN
        return found

    def _digits(self, text: str, *, attached: bool) -> str:
        phone = attached or sum(map(str.isdigit, text)) >= _PHONE
        return re.sub(
            "[0-9]+", lambda run: self._pseudonyms.number(run[0]) if phone or len(run[0]) >= _SHORT else run[0], text
        )

    def _small(self, text: str) -> int:
        return int(self._pseudonyms.number(str(10**6 + int.from_bytes(text.encode()) % 10**6))) % 250 + 1

    def _number(self, value: float) -> float:
        """Digit by digit too, as an integer may be a DN."""
        if isinstance(value, int):
            digits = str(abs(value))
            number = value if len(digits) < _SHORT else int(self._pseudonyms.number(digits))
            return -abs(number) if value < 0 else number
        return float(re.sub("[0-9]{3,}", lambda run: self._pseudonyms.number(run[0]), f"{value:f}"))

    def _url(self, url: str) -> str:
        _, _, behind = url.partition("://")
        _, slash, target = behind.partition("/")
        if f"{slash}{target}".startswith(("/xapi/", "/callcontrol")):
            return ORIGIN + self._encoded(slash + target)
        return f"https://{self.text(behind)}"

    def _encoded(self, target: str) -> str:
        """A target within an answer, which a client may request as it is."""
        path, query = self.target(target)
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        return f"{path}?{pairs}" if pairs else path

    def _context(self, text: str) -> str:
        """`https://pbx.example.com/xapi/v1/$metadata#Users(Id,Number)`: what stands behind the host is kept."""
        origin, mark, rest = text.partition("$metadata#")
        known = mark and re.fullmatch(r"[A-Za-z0-9_,.()/$@*]*", rest) and not re.search(r"\d{3}", rest)
        if not known:
            return self.text(text)
        return f"{ORIGIN}/xapi/v1/$metadata#{rest}" if origin else f"$metadata#{rest}"

    def _sentence(self, text: str) -> str:
        """An error message: the words that such messages have stay, what they quote does not."""

        def each(word: re.Match[str]) -> str:
            known = vocabulary.MESSAGE_WORDS | vocabulary.FIELDS | vocabulary.OPERATORS
            return word[0] if all(part in known for part in _parts(word[0])) else self.text(word[0])

        return re.sub(r"[^\W\d]\w*(?:\.\w+)*|\S+", each, text) if "@" not in text else self.text(text)

    def _key(self, name: str) -> str:
        """A name of a field, as long as it looks like one."""
        if _FIELD_NAME.fullmatch(name) and not re.search(r"\d{3}", name):
            return name
        return self.text(name)

    def _segment(self, part: str, above: str) -> str:
        if part.casefold() in vocabulary.PATHS or (above == "participants" and is_id(part)) or not part:
            return part
        if above != "callcontrol" and (call := _CALL.fullmatch(part)):
            return f"{call[1]}({call[2] if is_id(call[2]) else self._filter(call[2])})"
        if (above == "v1" or part.startswith("Pbx.")) and ONE_WORD.fullmatch(part):
            return part
        return self.text(part)

    def _option(self, name: str, value: str) -> str:
        match name.casefold().removeprefix("$"):
            case "top" | "skip" | "count" if value.isalnum() and value.isascii():
                return value
            case "select" | "orderby" | "expand" if re.fullmatch(r"[A-Za-z0-9_,/ ()$=;]*", value):
                return re.sub(r"\d{3,}", lambda run: self._pseudonyms.number(run[0]), value)
            case "filter":
                return self._filter(value)
            case "search":
                parts = re.split(r"(\b(?:AND|OR|NOT)\b)", value)
                return "".join(part if index % 2 else self.text(part) for index, part in enumerate(parts))
            case _:
                return self.text(value)

    def _filter(self, text: str) -> str:
        """An OData expression: literals are replaced, operators and names of fields are kept."""

        def bare(word: re.Match[str]) -> str:
            known = word[0].casefold() in vocabulary.FIELDS | vocabulary.OPERATORS
            return word[0] if known else self.text(word[0])

        parts = _LITERAL.split(text)
        return "".join(self._literal(part) if index % 2 else _BARE.sub(bare, part) for index, part in enumerate(parts))

    def _literal(self, quoted: str) -> str:
        inner = quoted[1:-1]
        if inner.casefold() in vocabulary.VALUES:
            return quoted
        doubled = quoted[0] * 2
        return quoted[0] + self.text(inner.replace(doubled, quoted[0])).replace(quoted[0], doubled) + quoted[0]


_HEADERS = {
    "Content-Type": _CONTENT_TYPE,
    "X-3CX-Version": BUILD,
    "Retry-After": re.compile(r"\d{1,9}$"),
    "WWW-Authenticate": re.compile(r"[A-Za-z]+"),
    "Date": re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$"),
}


def _attached(match: re.Match[str]) -> bool:
    """Whether a letter touches the digits, as in `HD12`: then they are part of a name."""
    text, start, end = match.string, match.start(), match.end()
    return text[start - 1 : start].isalpha() or text[end : end + 1].isalpha()


def _parts(word: str) -> list[str]:
    return [part for part in re.split(r"[\W_]+", word.casefold().replace("pbx.", "")) if part]


def _composed(text: str) -> str:
    """Digits of other scripts as ASCII digits; no combining marks, which belong to no word."""
    letters = []
    for letter in unicodedata.normalize("NFC", text):
        if unicodedata.category(letter).startswith("M"):
            continue
        digit = unicodedata.decimal(letter, None)
        letters.append(letter if digit is None else str(digit))
    return "".join(letters)
