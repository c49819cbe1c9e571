"""The steps of `init`, in their order."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bridge import log
from bridge.commands import arguments
from bridge.commands.init import addresses
from bridge.commands.init.answers import Answers, LightAnswer, draft, slug, write
from bridge.commands.init.dialogue import Dialogue, Question
from bridge.commands.init.trials import BrokerTrial, PbxTrial, try_broker, try_pbx
from bridge.commands.output import show
from bridge.commands.users import as_table
from bridge.documents import user_documents
from bridge.domain.dn import why_unpublishable
from bridge.domain.finding import Finding, most_severe
from bridge.domain.model import User
from bridge.errors import EXIT_CONFIG, EXIT_REFUSED, EXIT_UNREACHABLE, BridgeError, ConfigError
from bridge.log import LogFormat, LogLevel, LogSettings, harmless
from bridge.outputs.lights.table import DRIVERS

_MOST_SHOWN = 15
_MOST_GROUPS = 20
_NO_DEPARTMENT = {"", "default", "__default__"}

_HOST = Question("MQTT broker's name or address", "--mqtt-host", "THREECX2MQTT_MQTT__HOST", "localhost")
_PORT = Question("Its port (empty: the usual one)", "--mqtt-port", "THREECX2MQTT_MQTT__PORT")
_USERNAME = Question("User name at the broker (empty: none)", "--mqtt-username", "THREECX2MQTT_MQTT__USERNAME")
_PASSWORD = Question("Password at the broker", "--mqtt-password", "THREECX2MQTT_MQTT__PASSWORD", secret=True)
_URL = Question("The PBX's address, as in the browser", "--pbx-url", "THREECX2MQTT_PBX__URL")
_CLIENT_ID = Question("API client's id (Integrations > API)", "--client-id", "THREECX2MQTT_PBX__CLIENT_ID")
_CLIENT_SECRET = Question("Its API key", "--client-secret", "THREECX2MQTT_PBX__CLIENT_SECRET", secret=True)
_TOPIC = Question("The light's topic or name in its own program", "--light")


_NOT_YET = "That did not work yet."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments. Secrets come from files or variables, as command lines are seen by everybody."""
    arguments.add_configuration(parser)
    parser.add_argument("--force", action="store_true", help="overwrite the configuration and secrets.yaml")
    parser.add_argument(
        "--yes", action="store_true", help="ask nothing: every answer is an option, a variable or a default"
    )
    for question, metavar in ((_HOST, "HOST"), (_PORT, "PORT"), (_USERNAME, "NAME"), (_URL, "URL"), (_CLIENT_ID, "ID")):
        variable = f" (or ${question.variable})" if question.variable else ""
        parser.add_argument(question.option, metavar=metavar, help=f"{question.words}{variable}")
    for question in (_PASSWORD, _CLIENT_SECRET):
        parser.add_argument(
            f"{question.option}-file",
            dest=question.option.strip("-").replace("-", "_"),
            type=arguments.secret_file,
            metavar="FILE",
            help=f"a file that holds it (or ${question.variable})",
        )
    parser.add_argument(
        "--pbx-name", type=arguments.pbx_name, default="3cx", help="pbx.name, in every id (default: 3cx)"
    )
    parser.add_argument("--verify-tls", default="true", metavar="true|false|FILE", help="as pbx.verify_tls")
    for name, words in (
        ("mqtt-tls", "TLS to the broker"),
        ("groups", "a group for each department"),
        ("board", "the board in the browser"),
        ("log-in", "log in with the API client of a bridge that runs, which then has to log in again"),
    ):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=words)
    parser.add_argument("--light", nargs=3, metavar=("DRIVER", "TOPIC", "USER"), help="the first light")


def main(options: argparse.Namespace) -> int:
    """Ask, try, write. What does not work is asked for again; without a terminal it ends the command."""
    log.setup(LogSettings(LogLevel.DEBUG, LogFormat.TEXT))
    if not options.verbose:
        log.silence()
    path = _target(options)
    dialogue = Dialogue(_given(options), asks=not options.yes and sys.stdin.isatty())
    verify = options.verify_tls
    answers = Answers(name=options.pbx_name)
    answers.verify_tls = verify if verify in {"true", "false"} else str(Path(verify).resolve())
    dialogue.say("3cx2mqtt init: what this PBX and this broker need. Nothing is written until all of it works.\n")
    broker = _ask_broker(dialogue, answers)
    _ask_address(dialogue, answers)
    trial = _ask_login(dialogue, answers, broker)
    if trial is not None:
        _show_users(dialogue, trial.users)
    _ask_extras(dialogue, answers, [] if trial is None else trial.users, options.light)
    written = write(path, answers)
    dialogue.say(f"\nWritten: {written[0]} and {written[1]}\nNext: 3cx2mqtt run -c {path}")
    return 0


def _target(options: argparse.Namespace) -> Path:
    """Where to write; BridgeError where something is there already."""
    path = Path(options.config or os.environ.get("THREECX2MQTT_CONFIG") or "config.yaml")
    there = [each for each in (path, path.with_name("secrets.yaml")) if each.exists()]
    if there and not options.force:
        named = " and ".join(map(str, there))
        raise BridgeError(f"{named} would be overwritten: name another file with -c, or add --force")
    return path


def _given(options: argparse.Namespace) -> dict[str, str | None]:
    given = {}
    for question in (_HOST, _PORT, _USERNAME, _PASSWORD, _URL, _CLIENT_ID, _CLIENT_SECRET):
        given[question.option] = getattr(options, question.option.strip("-").replace("-", "_"))
    for name in ("mqtt_tls", "groups", "board", "log_in"):
        value = getattr(options, name)
        given[f"--{name.replace('_', '-')}"] = None if value is None else str(value).lower()
    return given


def _ask_broker(dialogue: Dialogue, answers: Answers) -> BrokerTrial:
    while True:
        answers.host = dialogue.text(_HOST)
        port = dialogue.optional(_PORT)
        answers.tls = dialogue.confirm("Does it use TLS?", "--mqtt-tls", default=False, unasked=False)
        answers.username = dialogue.optional(_USERNAME)
        answers.password = None if answers.username is None else dialogue.optional(_PASSWORD)
        try:
            answers.port = None if port is None else arguments.port(port)
            trial = asyncio.run(try_broker(draft(answers)))
        except (ConfigError, argparse.ArgumentTypeError) as error:
            _again(dialogue, harmless(_words(error)), EXIT_CONFIG)
            continue
        if not (code := _worst(trial.findings)):
            return trial
        _again(dialogue, _NOT_YET, code)


def _ask_address(dialogue: Dialogue, answers: Answers) -> None:
    """Find the PBX; nothing is sent to it but a request without a login."""
    while True:
        written = dialogue.text(_URL)
        try:
            urls = addresses.candidates(written)
        except ValueError as error:
            _again(dialogue, str(error), EXIT_CONFIG)
            continue
        attempt = asyncio.run(addresses.find(urls))
        if attempt.untrusted and answers.verify_tls == "true" and not _trust(dialogue, answers, attempt):
            continue
        if attempt.found or attempt.untrusted:
            answers.url = attempt.url
            dialogue.say(f"ok    PBX: a 3CX answers at {attempt.url}")
            return
        dialogue.say(f"FAIL  PBX: {attempt.problem}")
        _again(dialogue, f"No 3CX was found at {', '.join(urls)}.", EXIT_UNREACHABLE)


def _trust(dialogue: Dialogue, answers: Answers, attempt: addresses.Attempt) -> bool:
    dialogue.say(f"warn  PBX: this machine does not trust its certificate: {attempt.problem}")
    if not dialogue.asks:
        raise BridgeError("give --verify-tls the path of its CA file, or false")
    if not dialogue.confirm("Go on without verifying it?", "", default=False, unasked=False):
        return False
    answers.verify_tls = "false"
    return True


def _ask_login(dialogue: Dialogue, answers: Answers, broker: BrokerTrial) -> PbxTrial | None:
    """The API client and its key, tried once; None where a running bridge uses them, so that they were not tried."""
    refused: set[tuple[str, str]] = set()
    while True:
        answers.client_id = dialogue.text(_CLIENT_ID)
        answers.client_secret = dialogue.text(_CLIENT_SECRET)
        if (answers.client_id, answers.client_secret) in refused:
            _again(dialogue, "The PBX has just refused this one, and blocks addresses that try again.", EXIT_REFUSED)
            continue
        if _is_in_use(broker, answers.client_id) and not dialogue.confirm(
            f"A bridge that runs on this broker uses the API client {answers.client_id!r}. A login here ends the "
            "bridge's, which then has to log in again. Go on?",
            "--log-in",
            default=False,
            unasked=False,
        ):
            dialogue.say("warn  token: not tried, as a running bridge uses this API client")
            return None
        dialogue.say("Reading the PBX …")
        trial = asyncio.run(try_pbx(draft(answers)))
        if not (code := _worst(trial.findings)):
            return trial
        refused.add((answers.client_id, answers.client_secret))
        _again(dialogue, _NOT_YET, code)


def _is_in_use(broker: BrokerTrial, client_id: str) -> bool:
    pbx = broker.bridge.get("pbx")
    return isinstance(pbx, dict) and pbx.get("client_id") == client_id


def _show_users(dialogue: Dialogue, users: Sequence[User]) -> None:
    dialogue.say(f"\n{len(users)} users, such as:\n")
    dialogue.say("\n".join(as_table(user_documents(users[:_MOST_SHOWN]))))
    dialogue.say()


def _ask_extras(dialogue: Dialogue, answers: Answers, users: Sequence[User], light: Sequence[str] | None) -> None:
    departments = _departments(users)
    if departments and dialogue.confirm(
        f"A group for each department ({', '.join(departments)})?", "--groups", default=True, unasked=False
    ):
        answers.groups = {slug(each): each for each in departments}
    answers.board = dialogue.confirm(
        "The board in the browser, on this machine (http://127.0.0.1:9321/)?", "--board", default=True, unasked=False
    )
    if light is not None:
        answers.light = LightAnswer(slug(f"light-{light[2]}"), *light)
        draft(answers)
    elif dialogue.asks and users and dialogue.confirm("A busy light now?", "", default=False, unasked=False):
        _ask_light(dialogue, answers, users)


def _ask_light(dialogue: Dialogue, answers: Answers, users: Sequence[User]) -> None:
    while True:
        driver = dialogue.choose("What is it driven by?", [(name, name) for name in DRIVERS if name != "template"])
        topic = dialogue.text(_TOPIC)
        user = dialogue.choose(
            "Whom does it follow?", [(each.number, f"{each.number} {each.name or ''}") for each in users]
        )
        answers.light = LightAnswer(slug(f"light-{user}"), driver, topic, user)
        try:
            draft(answers)
        except ConfigError as error:
            dialogue.say("\n".join(problem.message for problem in error.problems))
        else:
            return


def _departments(users: Iterable[User]) -> list[str]:
    found = sorted({user.department or "" for user in users})
    named = [each for each in found if each.lower() not in _NO_DEPARTMENT and why_unpublishable(slug(each)) is None]
    return named[:_MOST_GROUPS]


def _worst(findings: Sequence[Finding]) -> int:
    """Show the findings; the exit code of the most severe failure, 0 where there is none."""
    for finding in findings:
        show(finding)
    return most_severe(finding.exit_code for finding in findings)


def _words(error: Exception) -> str:
    """The mistakes, without the place in a file that is not there any more."""
    problems = error.problems if isinstance(error, ConfigError) else ()
    return "; ".join(f"{each.key}: {each.message}" for each in problems) or str(error)


def _again(dialogue: Dialogue, words: str, exit_code: int = 1) -> None:
    """Ask again; without anybody to ask, end."""
    if not dialogue.asks:
        error = BridgeError(f"{words.removesuffix('.')}; nothing was written")
        error.exit_code = exit_code
        raise error
    dialogue.say(f"{words}\n")
