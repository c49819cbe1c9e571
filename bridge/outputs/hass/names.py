"""The names of entities by language. Ids never depend on them."""

from collections.abc import Mapping
from enum import StrEnum


class Language(StrEnum):
    """`homeassistant.language`."""

    EN = "en"
    DE = "de"


_GERMAN: Mapping[str, str] = {
    "Agents available": "Freie Agenten",
    "Available": "Verfügbar",
    "Busy": "Beschäftigt",
    "Busy count": "Anzahl beschäftigt",
    "Call": "Anruf",
    "Calls": "Anrufe",
    "Calls today": "Anrufe heute",
    "Connected": "Verbunden",
    "In call with": "Im Gespräch mit",
    "Licence expires": "Lizenz läuft ab",
    "Log level": "Protokollstufe",
    "Longest wait": "Längste Wartezeit",
    "Missed today": "Verpasst heute",
    "Monitored": "Überwacht",
    "On call": "Im Gespräch",
    "Override": "Vorgabe",
    "PBX connection": "Verbindung zur Anlage",
    "Pause": "Pause",
    "Problem": "Störung",
    "Profile": "Profil",
    "Queue": "Warteschlange",
    "Refresh": "Neu einlesen",
    "Registered": "Angemeldet",
    "Since": "Seit",
    "Started": "Gestartet",
    "Trunk problem": "Störung einer Leitung",
    "Trunks online": "Leitungen verbunden",
    "Users": "Benutzer",
    "Users busy": "Benutzer beschäftigt",
    "Version": "Version",
    "Waiting": "Wartende",
}


def name_in(language: Language, name: str) -> str:
    """The name of an entity, given in English."""
    return name if language is Language.EN else _GERMAN[name]
