"""Owners: whom things belong to. A project's name is chosen by staff; a signed-in user's is made here."""

# No project and no API key may have such an owner: a user's things are theirs alone.
USER_PREFIX = "user:"
MAX_OWNER_CHARACTERS = 100


def name_user(user_id: object) -> str:
    """The owner that a user is: made from the row's id, which stays when the user is renamed."""
    return f"{USER_PREFIX}{user_id}"


def is_user(owner: str) -> bool:
    """Whether an owner is a signed-in user."""
    return owner.startswith(USER_PREFIX)


def check_project(owner: str) -> None:
    """Raises ValueError, with what to do, for what cannot be the name of a project."""
    if not owner.strip() or len(owner) > MAX_OWNER_CHARACTERS or not owner.isprintable():
        raise ValueError(f"An owner has 1 to {MAX_OWNER_CHARACTERS} visible characters.")
    if is_user(owner.strip().lower()):
        raise ValueError(f"Owners that begin with '{USER_PREFIX}' are signed-in users. Choose another name.")
