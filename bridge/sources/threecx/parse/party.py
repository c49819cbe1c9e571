"""Who the other side of a call is: the one place that decides it, for display strings as for participants.

Only a number that the PBX reports as its own is internal, or one that Call Control types as internal and that is as
short as a DN. Everything else is of the public network, or no party at all: 3CX puts steps of its routing where the
other side will be (`ROUTER` as Callee and `MakeCall` as Caller, seen in ActiveCalls; `party_dn_type` None, seen in
Call Control).
"""

import re
from dataclasses import dataclass

from bridge.domain.certainty import Certainty
from bridge.domain.model import CallStatus, Direction
from bridge.sources.threecx.directory import Directory, Kind


@dataclass(frozen=True, slots=True)
class Party:
    """The other side of a user's call. Without a number, an `outside` party withholds it."""

    number: str | None = None
    """Of this PBX only where `outside` is False: the rest is masked."""
    outside: bool | None = None
    """Of the public network rather than a number of this PBX; None: not known, so that no direction follows."""
    name: str | None = None
    via: str | None = None
    """The queue or ring group that it is."""
    certainty: Certainty = Certainty.PLACEHOLDER

    def direction(self, *, dialled: bool | None) -> Direction | None:
        """Of the call with this party. `dialled`: the user started it; None: the source does not show who did."""
        if self.outside is None:
            return None
        if not self.outside:
            return Direction.INTERNAL
        return None if dialled is None else Direction.OUTBOUND if dialled else Direction.INBOUND


NOBODY = Party()

TRUNKS = "Trunks"
"""Under this name the directory is given the numbers of trunks."""

_SERVICES = (
    "conference",
    "fax",
    "faxextension",
    "ivr",
    "parking",
    "routepoint",
    "service",
    "sharedparking",
    "specialmenu",
    "voicemail",
)
_KINDS = {
    "extension": Kind.USER,
    "externalline": Kind.TRUNK,
    "queue": Kind.QUEUE,
    "ringgroup": Kind.GROUP,
    **dict.fromkeys(_SERVICES, Kind.SERVICE),
}
_VIA = frozenset({Kind.QUEUE, Kind.GROUP})

_STEPS = frozenset({"router", "makecall"})
"""Not a side of the call but a step on the way to one."""
_BRACKETS = re.compile(r"\(([^()]*)\)[^()]*$")
_NUMBER = re.compile(r"\+[0-9][0-9().\-/]*|[0-9][0-9().\-/]*")
_LONGEST_DN = 6
_DN = re.compile(rf"[0-9]{{1,{_LONGEST_DN}}}")
_USUAL_TRUNK = re.compile(r"1[0-9]{4}")
"""3CX numbers trunks from 10000. Only used while the PBX has not reported its trunks."""


def kind_of_type(word: object) -> Kind | None:
    """What a type of Call Control means: `Wextension`, on some builds `Extension`; None for `None` and others."""
    text = str(word).casefold()
    return _KINDS.get(text) or _KINDS.get(text.removeprefix("w"))


def number_in(text: str) -> str:
    """What stands before the first blank of a side: for a user the DN, else perhaps a number, perhaps a word."""
    return text.partition(" ")[0]


def party_of_side(text: str | None, directory: Directory) -> Party:
    """From one side of an active call: `101 Ada Example`, or for a trunk `10001 SIP-Trunk (0301234567)`."""
    if text is None or text.casefold() in _STEPS:
        return NOBODY
    first, _, rest = text.partition(" ")
    name = rest.removeprefix("- ").strip() or None
    kind = directory.kind(first)
    if kind is Kind.TRUNK or (kind is None and _may_be_trunk(first, rest, directory)):
        return Party(_in_brackets(rest), outside=True, certainty=Certainty.PARSED)
    if kind is not None:
        return _own(first, kind, name, Certainty.PARSED)
    if "@" not in first and _NUMBER.fullmatch(first) is None:  # a word, such as in `VoiceMail of 200 John Doe`
        return Party(name=text)
    return _stranger(first, name, directory)


@dataclass(frozen=True, slots=True)
class Side:
    """The other side as a participant of Call Control names it, and the roles of others in the call."""

    type: str = ""
    dn: str | None = None
    caller_id: str | None = None
    name: str | None = None
    roles: tuple[tuple[str, str | None], ...] = ()
    """(type, DN) of on_behalf_of, referred_by and originated_by."""
    originated_by: tuple[str, str | None] = ("", None)


def party_of_participant(side: Side, own: str, directory: Directory) -> Party:
    """The other side of a participant of the extension `own`."""
    dn = None if side.dn == own else side.dn
    caller_id = None if side.caller_id == own else side.caller_id
    typed = kind_of_type(side.type)
    if typed is Kind.TRUNK:
        return Party(_outside_number(dn, caller_id, directory), outside=True, name=side.name, certainty=Certainty.TYPED)
    candidate = next((each for each in (dn, caller_id) if each is not None and _says_who(each, directory)), None)
    if candidate is None:
        return NOBODY
    kind = directory.kind(candidate)
    if kind is Kind.TRUNK:
        return Party(
            _outside_number(dn, caller_id, directory), outside=True, name=side.name, certainty=Certainty.PARSED
        )
    if kind is not None or (typed is not None and _DN.fullmatch(candidate)):
        certainty = Certainty.PARSED if typed is None else Certainty.TYPED
        return _own(candidate, kind or typed or Kind.SERVICE, side.name, certainty)
    return _stranger(candidate, side.name, directory)


def via_of(side: Side, directory: Directory) -> str | None:
    """The queue or ring group that the call came through; never another number, which might be an outside one."""
    for word, number in side.roles:
        if number is not None:
            kind = directory.kind(number)
            if kind in _VIA or (kind is None and kind_of_type(word) in _VIA and _DN.fullmatch(number)):
                return number
    return None


def dialled(status: CallStatus | None, side: Side, own: str) -> bool | None:
    """Whether the user `own` started the call; None: the participant does not show it.

    A phone that rings is being called, unless the call is the user's own: then the phone of the other side rings.
    """
    word, number = side.originated_by
    if number == own and kind_of_type(word) is Kind.USER:
        return True
    if status is CallStatus.RINGING:
        return False
    return True if status is CallStatus.DIALING else None


def _may_be_trunk(number: str, rest: str, directory: Directory) -> bool:
    """Of a number that the PBX has not reported: trunks it may not report at all, for want of a right."""
    if not _DN.fullmatch(number):
        return False
    if _is_long(_in_brackets(rest) or ""):
        return True
    return not directory.reported(TRUNKS) and ("(" in rest or _USUAL_TRUNK.fullmatch(number) is not None)


def _own(number: str, kind: Kind, name: str | None, certainty: Certainty) -> Party:
    return Party(number, outside=False, name=name, via=number if kind in _VIA else None, certainty=certainty)


def _stranger(number: str, name: str | None, directory: Directory) -> Party:
    """A number that is not known to be the PBX's own: outside, unless the PBX's own are still to be read."""
    if _DN.fullmatch(number) and not directory.loaded:
        return Party(number, name=name)
    return Party(number, outside=True, name=name, certainty=Certainty.PARSED)


def _in_brackets(text: str) -> str | None:
    """The outside number behind a trunk; None where the caller withholds it: `()`, `(anonymous)`, or no brackets."""
    found = _BRACKETS.search(text)
    inside = found[1].strip() if found else ""
    return inside if any(map(str.isdecimal, inside)) else None


def _outside_number(dn: str | None, caller_id: str | None, directory: Directory) -> str | None:
    """Of a call over a trunk, whose DN usually stands in `party_dn`. A caller id without a digit withholds it."""
    if caller_id is not None:
        return caller_id if _is_number(caller_id) else None
    if dn is None or not _is_number(dn) or directory.kind(dn) is not None:
        return None
    return None if _USUAL_TRUNK.fullmatch(dn) and not directory.reported(TRUNKS) else dn


def _says_who(text: str, directory: Directory) -> bool:
    """Not so a step of routing, such as `ROUTER`, nor a bare name."""
    return directory.kind(text) is not None or _is_number(text)


def _is_number(text: str) -> bool:
    return "@" in text or any(map(str.isdecimal, text))


def _is_long(number: str) -> bool:
    return number.startswith("+") or sum(map(str.isdecimal, number)) > _LONGEST_DN
