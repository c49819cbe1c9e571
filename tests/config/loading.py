"""Loads a configuration from a text, for the tests of this folder."""

from pathlib import Path

import pytest

from bridge.config import Config, load
from bridge.errors import ConfigError

MINIMAL = """\
pbx:
  url: https://pbx.example.com:5001
  client_id: busylights
  client_secret: s3cret-key
"""


def loaded(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, environ)


def mistakes(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **environ)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]
