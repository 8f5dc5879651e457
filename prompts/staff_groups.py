"""The groups of staff: `support` reads, `operators` also change and erase.

They are made behind every `migrate`, where Django has made the permissions of new models: a migration would come before
them. What an administrator adds to a group stays; what this file gives it comes back.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission
from django.db import connections
from django.db.models.signals import post_migrate
from django.dispatch import receiver

APP = "prompts"
GROUP_TABLE = "auth_group"  # `migrate prompts` alone runs before it is there
# By model.
READ: Mapping[str, tuple[str, ...]] = {
    "archivedconversation": ("view",),
    "erasurereceipt": ("view",),
    "project": ("view",),
    "apikey": ("view",),
    "prompt": ("view",),
    "promptversion": ("view",),
}
# Keys are revoked and never deleted; what a version says is never changed.
CHANGED: Mapping[str, tuple[str, ...]] = {
    "conversation": ("erase",),  # a permission of its own, see ArchivedConversation
    "staffaction": ("view",),  # who looked at what is not for those who looked
    "project": ("add", "change", "delete"),
    "apikey": ("add", "change"),
    "prompt": ("add", "change", "delete"),
    "promptversion": ("delete",),  # with their prompt
}
GROUPS: Mapping[str, tuple[Mapping[str, tuple[str, ...]], ...]] = {"support": (READ,), "operators": (READ, CHANGED)}


@receiver(post_migrate, dispatch_uid="prompts.staff_groups")
def give_permissions(sender: AppConfig, using: str, **_: Any) -> None:
    """Make the groups, and give them what is theirs. The same again changes nothing."""
    if sender.name != APP or GROUP_TABLE not in connections[using].introspection.table_names():
        return
    for name, parts in GROUPS.items():
        group, _made = Group.objects.using(using).get_or_create(name=name)
        codenames = {codename for part in parts for codename in _list_codenames(part)}
        found = Permission.objects.using(using).filter(content_type__app_label=APP, codename__in=codenames)
        group.permissions.add(*found)


def _list_codenames(part: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    return (f"{action}_{model}" for model, actions in part.items() for action in actions)
