"""What can be a user's name."""

import re

from gateway.errors import BadRequestError
from policies.audit.people import is_token

_USER_ID = re.compile(r"[\w.@+-]{1,128}")


def is_user_id(name: str) -> bool:
    """Whether something can be a user's name; not what looks like the token that stands for one in the trail."""
    return _USER_ID.fullmatch(name) is not None and not is_token(name)


def require_user_id(user_id: str) -> None:
    """Refuse what cannot be a user's name.

    Raises:
        BadRequestError: It is not usable.
    """
    if not is_user_id(user_id):
        message = f"{user_id!r} cannot be a user name. Use 1 to 128 letters, digits, and . _ @ + -"
        if is_token(user_id):
            message = f"{user_id!r} cannot be a user name: the trail calls people so. Choose another."
        raise BadRequestError(message)
