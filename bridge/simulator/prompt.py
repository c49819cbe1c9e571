"""Commands for the prompt of `simulate`: ring, answer and end calls by hand."""

from collections.abc import Callable

from bridge.simulator.calls import SimulatedCall
from bridge.simulator.exchange import ExchangeError
from bridge.simulator.pbx import SimulatedPbx

HELP = """\
ring 101 [0301234567]      a call comes in for 101; from another extension: ring 101 102; for the queue: ring 8000;
                           for the ring group: ring 8100
dial 101 0301234567        101 calls an outside number
answer 101                 101 answers; or, when 101 has dialled, the other side does
pickup 102 101             102 picks up the call that rings at 101
voicemail 101              101 does not answer, the voicemail does
hold 101 | resume 101      101 puts the call on hold, or takes it back
transfer 101 102           101 hands the call on to 102
hangup 101                 the call of 101 ends
profile 101 Away           Available, Away, Out of office, Custom 1, Custom 2
queue 101 in | out         101 logs in to the queues, or out
hangup 8000                the caller who waits in the queue gives up
trunk 10001 down | up      the trunk loses its registration, or gets it back
department 101 Sales       101 moves to this department; 3CX gets it where it has none of this name
unplug 101 | plug 101      the phone of 101 is unregistered, or registered again
list                       all users and all calls"""

_OUTSIDE = "0301234567"


class Prompt:
    """Carries out typed lines, one at a time."""

    def __init__(self, pbx: SimulatedPbx) -> None:
        self._pbx = pbx
        self._commands: dict[str, Callable[..., str]] = {
            "ring": self._ring,
            "dial": self._dial,
            "answer": self._answer,
            "pickup": self._pick_up,
            "voicemail": self._voicemail,
            "hold": lambda dn: self._hold(dn, held=True),
            "resume": lambda dn: self._hold(dn, held=False),
            "transfer": self._transfer,
            "hangup": self._hang_up,
            "profile": lambda dn, *words: self._change(dn, profile=" ".join(words)),
            "queue": lambda dn, word: self._change(dn, queue={"in": "LoggedIn", "out": "LoggedOut"}[word]),
            "department": lambda dn, *words: self._move(dn, " ".join(words)),
            "trunk": self._trunk,
            "unplug": lambda dn: self._change(dn, registered=False),
            "plug": lambda dn: self._change(dn, registered=True),
            "list": self._list,
            "help": lambda: HELP,
        }

    def do(self, line: str) -> str:
        """Carry out `line`; returns the text to print."""
        name, *arguments = line.split()
        command = self._commands.get(name.lower())
        if command is None:
            return f"{name}? There are: {', '.join(self._commands)}"
        try:
            return command(*arguments)
        except ExchangeError as error:
            return str(error)
        except (TypeError, KeyError):
            return f"{line}? Write for example:\n{HELP}"

    def _ring(self, dn: str, caller: str = _OUTSIDE) -> str:
        if not any(dn in known for known in (self._pbx.users, self._pbx.queues, self._pbx.ring_groups)):
            raise ExchangeError(f"there is no {dn}")
        call = self._pbx.exchange.ring(caller, dn)
        waits = not self._pbx.exchange.calls[call].ringing()
        return f"{caller} calls {dn} (call {call})" + ("; no agent is logged in to it: queue 100 in" if waits else "")

    def _dial(self, dn: str, number: str) -> str:
        self._user(dn)
        return f"{dn} calls {number} (call {self._pbx.exchange.ring(dn, number)})"

    def _answer(self, dn: str) -> str:
        call = self._call(dn)
        ringing = any(device.status == "Ringing" for device in call.of(dn))
        self._pbx.exchange.answer(call.id, dn if ringing else None)
        return f"call {call.id} is answered"

    def _pick_up(self, dn: str, ringing: str) -> str:
        self._user(dn)
        call = self._call(ringing)
        self._pbx.exchange.pick_up(call.id, dn)
        return f"{dn} picks call {call.id} up"

    def _voicemail(self, dn: str) -> str:
        call = self._call(dn)
        self._pbx.exchange.to_voicemail(call.id)
        return f"the voicemail of {dn} answers call {call.id}"

    def _hold(self, dn: str, *, held: bool) -> str:
        call = self._call(dn)
        self._pbx.exchange.hold(call.id, dn, held=held)
        return f"call {call.id} is {'held' if held else 'resumed'}"

    def _transfer(self, dn: str, to: str) -> str:
        call = self._call(dn)
        self._pbx.exchange.transfer(call.id, dn, to)
        return f"call {call.id} rings at {to}"

    def _hang_up(self, dn: str) -> str:
        call = self._call(dn)
        self._pbx.exchange.end(call.id)
        return f"call {call.id} ends"

    def _trunk(self, dn: str, word: str) -> str:
        if dn not in self._pbx.numbers.trunks:
            raise ExchangeError(f"there is no trunk {dn}")
        change = {"down": self._pbx.numbers.trunks_down.add, "up": self._pbx.numbers.trunks_down.discard}[word]
        change(dn)
        return f"trunk {dn} is {word}"

    def _change(self, dn: str, **changes: object) -> str:
        self._user(dn)
        self._pbx.change(dn, **changes)
        return f"{dn}: {', '.join(f'{name} {value}' for name, value in changes.items())}"

    def _move(self, dn: str, department: str) -> str:
        self._user(dn)
        if not department:
            raise ExchangeError(f"there are the departments {', '.join(self._pbx.departments.values())}")
        numbers = {name: number for number, name in self._pbx.departments.items()}
        number = numbers.get(department, max(numbers.values(), default=-1) + 1)
        self._pbx.departments[number] = department
        self._pbx.change(dn, department=number)
        return f"{dn}: department {department}"

    def _list(self) -> str:
        people = [
            f"{user.dn}  {user.name}: {self._pbx.exchange.word(user.dn) or 'no call'}, "
            f"{user.profile or 'no profile'}, {user.queue}, {'registered' if user.registered else 'not registered'}, "
            f"{self._pbx.departments.get(user.department, 'no department')}"
            for user in self._pbx.users.values()
        ]
        calls = [f"call {call.id}: {call.caller} → {call.callee} {call.status}" for call in self._calls()]
        return "\n".join(people + calls)

    def _calls(self) -> list[SimulatedCall]:
        return list(self._pbx.exchange.calls.values())

    def _call(self, dn: str) -> SimulatedCall:
        self._user(dn)
        calls = self._pbx.exchange.calls_of(dn)
        if not calls:
            raise ExchangeError(f"{dn} has no call")
        return calls[-1]

    def _user(self, dn: str) -> None:
        if dn not in self._pbx.users:
            raise ExchangeError(f"there is no {dn}")
