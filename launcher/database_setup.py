"""Prepares the database for `make run`: tables, an admin user, an API key, a link to sign in. Safe to repeat.

One process does all of it, because starting Django is what takes time. The secrets come through the environment
(`EPS_ADMIN_PASSWORD`, `EPS_API_KEY`), which other users of this machine cannot read. The link that signs the admin in
goes into a file that `make run` reads and deletes (`EPS_SIGN_IN_FILE`).
"""

import os
import sys
from io import StringIO
from pathlib import Path

import django
from django.core.management import CommandError, call_command

ADMIN = "admin"
OWNER = "local"


def main() -> None:
    """Migrate, then create what is missing."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    ensure_admin(os.environ["EPS_ADMIN_PASSWORD"])
    ensure_key(os.environ["EPS_API_KEY"])
    write_sign_in_link(Path(os.environ["EPS_SIGN_IN_FILE"]), url=os.environ["EPS_URL"])


def ensure_admin(password: str) -> None:
    """Create the admin user. If it exists with another password, keep it and say so."""
    # Models can be imported only after `django.setup()`.
    from django.contrib.auth.models import User

    admin = User.objects.filter(username=ADMIN).first()
    if admin is None:
        os.environ["DJANGO_SUPERUSER_PASSWORD"] = password
        call_command("createsuperuser", interactive=False, username=ADMIN, email="admin@localhost", verbosity=0)
    elif not admin.check_password(password):
        print(f"This database has a user {ADMIN} with a password of its own: sign in with that one.", file=sys.stderr)


def ensure_key(key: str) -> None:
    """Create the API key. Exits with a sentence when the key was revoked: that was done on purpose."""
    try:
        # The command prints the key; the banner shows it instead.
        call_command("create_api_key", OWNER, key=key, stdout=StringIO())
    except CommandError as exc:
        sys.exit(f"{exc} To get a new key, delete the file api_key in DATA_DIR.")


def write_sign_in_link(file: Path, *, url: str) -> None:
    """Write a link that signs the admin in. Without one the form of the page still does."""
    link = StringIO()
    try:
        call_command("sign_in_link", ADMIN, url=url, stdout=link)
    except CommandError as exc:
        print(f"There is no link that signs in: {exc}", file=sys.stderr)
    else:
        file.write_text(link.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main()
