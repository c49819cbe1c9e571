"""What a recording keeps as it is: fixed words of 3CX, names of fields, counters. Everything else is replaced.

Sources: the official OpenAPI files of XAPI, 3CX's Call Control examples, and strings seen in others' captures.
"""

import re


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


VALUES = _words(
    "available away outofoffice donotdisturb dnd default __default__",  # profiles
    "loggedin loggedout talking routing rerouting initiating transferring connected ringing dialing hold held",
    "busy idle online offline registered unregistered disconnected unknown undefined none",
    "principal faxserver ai",  # tags of extensions that are no persons
) | {"out of office", "do not disturb", "custom 1", "custom 2"}
"""Values that are kept where they are the whole text, in any case; not under the keys of people's names."""

WORDS = _words(
    "router makecall voicemail of conference trunk sip shared parking ivr fax",
    "anonymous unknown unavailable withheld private",
)
"""Words that are kept within any text, such as `10001 SIP-Trunk (anonymous)` or `VoiceMail of 200 …`."""

MESSAGE_WORDS = _words(
    "a abstract access already an and any api are at bearer been binary character client collection could credentials",
    "does empty enterprise entity error exceeded existing expand expected expired expression field filter find for",
    "forbidden format found from function grant has id in in_use incoming invalid is it key licence license limit",
    "message method missing must name named no non not null number of on only operator option or orderby parameter",
    "permission position property query request required requires resource right rights role search select skip",
    "specified string supported syntax term that the this to token top type types unauthorized unexpected unknown",
    "unsupported uri url user valid validation value warnings was were with xapi",
)
"""Words of the PBX's error messages, which quote what was asked for."""

FIELDS = _words(
    "aiagent callee caller callsactive count currentprofilename custom1name custom2name displayname dn enabled",
    "establishedat expiration expirationdate firstname id isonline isregistered lastchangestatus lastname maxsimcalls",
    "name number primarygroupid queuestatus servernow state status tags version",
)
"""Names of fields, where a filter or an error message has them."""

OPERATORS = _words(
    "eq ne gt ge lt le and or not in has add sub mul div mod contains startswith endswith tolower toupper length",
    "indexof substring concat trim any all true false null asc desc",
)
"""Words of OData filters."""

COUNTERS = _words(
    "id callid legid sequence event_type requestid statuscode groupid primarygroupid expiration @odata.count",
    "callsactive maxsimcalls maxuserextensions userextensions extensionsregistered extensionstotal trunksregistered",
    "trunkstotal",
)
"""Keys whose numbers are kept, also where they are written as text: ids of rows and calls, and counts."""

NAME_KEYS = _words("firstname lastname displayname name party_caller_name")
"""Keys of people's names: a person may be called Hold."""

WORD_KEY = re.compile(r"(?i)(?:type|status|state|presence|direction|code)$")
"""Keys of words from a list: unknown words of those are what a recording is for."""

SECRET_KEY = re.compile(
    r"(?i:pass|secret|token|auth|sipid|e-?mail|dtmf|key|credential|cookie|session|certificate|^pin)|(?i:pin)(?![a-z])"
)
"""Keys whose values are `***`, whatever they are. DTMF: digits that callers type, such as a PIN."""

PATHS = _words("xapi v1 callcontrol participants devices ws $metadata")
"""Parts of a path."""
