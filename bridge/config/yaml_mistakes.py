"""What PyYAML's messages mean for whoever wrote the file."""

import re

import yaml

_ADVICE = (
    (r"found character '\\t'", "a tab: YAML is indented with spaces"),
    (
        r"expected <block end>, but found '<block (?:mapping|sequence) start>'",
        "this line begins in another column than those above it: options of one section begin in the same column",
    ),
    (
        r"expected <block end>, but found '<scalar>'",
        "text behind a value: is a quote above not closed, or one within a value not doubled?",
    ),
    (
        r"mapping values are not allowed here",
        "a second `: ` in the line: put the value in quotes; or the line above is indented differently",
    ),
    (r"found character '(?P<letter>.)' that cannot start any token", "a value that begins with {letter} needs quotes"),
    (r"could not find expected ':'", "no `: ` in the line: write an option as `name: value`"),
)


def explained(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """The line where the mistake is, counted from 1, and what to do."""
    opened = error.context_mark
    if opened is not None and (error.context or "").startswith("while scanning a quoted scalar"):
        return opened.line + 1, "is not valid YAML: a quote that is opened in this line is not closed"
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    problem = error.problem or str(error)
    for pattern, advice in _ADVICE:
        if (found := re.search(pattern, problem)) is not None:
            return line, f"is not valid YAML: {advice.format(**found.groupdict())}"
    return line, f"is not valid YAML: {problem}"
