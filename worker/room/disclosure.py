"""Who is told aloud that they talk to a machine."""

from enum import StrEnum


class Disclosure(StrEnum):
    """Nobody, callers by telephone, who see no page, or everybody."""

    OFF = "off"
    PHONE = "phone"
    ALL = "all"
