"""A file that says what a person is called: names, mail addresses, telephone numbers, identifiers.

TOML or JSON, with one list for each. What is in it is read once, to find where the person stands in documents; only
keyed digests of it are kept.
"""

from pathlib import Path

import msgspec

from gateway.errors import BadRequestError
from policies.redaction.erased import spellings_of_name, spellings_of_phone

_MOST_VALUES = 500
_MOST_BYTES = 1_000_000


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person is called."""

    names: tuple[str, ...] = ()
    mail_addresses: tuple[str, ...] = ()
    phone_numbers: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()

    def spellings(self) -> list[str]:
        """All that is looked for: names also with the last word first, numbers also as within their country."""
        named = [spelling for name in self.names for spelling in spellings_of_name(name)]
        called = [spelling for number in self.phone_numbers for spelling in spellings_of_phone(number)]
        return [*named, *called, *self.mail_addresses, *self.identifiers]


def read_identity(file: Path) -> Identity:
    """Read such a file.

    Raises:
        BadRequestError: It cannot be read, is neither TOML nor JSON, or says something else, or nothing.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            message = f"{file} is larger than {_MOST_BYTES:,} bytes. One file is for one person."
            raise BadRequestError(message)
        content = file.read_bytes()
        decode = msgspec.json.decode if file.suffix == ".json" else msgspec.toml.decode
        identity = decode(content, type=Identity)
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise BadRequestError(message) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        fields = ", ".join(Identity.__struct_fields__)
        message = f"{file} does not say what a person is called: {error}. It may hold lists called {fields}."
        raise BadRequestError(message) from error
    number = len(identity.spellings())
    if not 0 < number <= _MOST_VALUES:
        message = f"{file} names {number} values. Give at least one, and at most {_MOST_VALUES}."
        raise BadRequestError(message)
    return identity
