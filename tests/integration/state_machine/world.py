"""The expected state, in plain lists and dictionaries."""

from dataclasses import dataclass, field

from prompts.answer.events import Narration
from prompts.domain.items import Item
from prompts.domain.responses import ModelInput
from prompts.domain.signals import Signal
from prompts.ports.responses import Draft


@dataclass(eq=False)
class Root:
    """What is erased as one: a chain, or a conversation with all its forks."""

    parent: "Root | None" = None
    is_due: bool = False
    is_dying: bool = False
    is_gone: bool = False
    """Deleted itself, or its time was over; not merely hanging on what was."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing may join it.

        After a fork of a fork is deleted alone, it is closed only when the erasure reaches it.
        """
        return self.is_gone or self.top.is_gone

    @property
    def top(self) -> "Root":
        """The root whose retention decides."""
        return self.parent.top if self.parent else self

    def use(self) -> None:
        """Start its retention again."""
        self.top.is_due = False


@dataclass(eq=False)
class Talk:
    """A conversation."""

    id: str
    owner: str
    root: Root
    history: list[Item]
    forked_from: str | None = None
    active: "Turn | None" = None
    is_deleted: bool = False


@dataclass(eq=False)
class Turn:
    """A response."""

    draft: Draft
    owner: str
    root: Root
    talk: Talk | None
    history: list[Item]
    narration: Narration
    log: list[tuple[int, list[Signal], bool]]
    account: ModelInput
    epochs: list[str] = field(default_factory=lambda: ["1"])
    past_epochs: set[str] = field(default_factory=set)
    """Those that a fail-over has lost as well: runs may still have them."""
    attempts: int = 1
    ending: str = ""
    status: str = "in_progress"
    is_lost: bool = False
    is_released: bool = False
    is_deleted: bool = False
    readers: set[str] = field(default_factory=set)
    waypoints: dict[int, bytes] = field(default_factory=dict)
    """Packed, by the number of the entry in the log that they stand behind."""

    @property
    def id(self) -> str:
        return self.draft.response.id

    @property
    def epoch(self) -> str:
        """The epoch that may write."""
        return self.epochs[-1]

    @property
    def is_active(self) -> bool:
        return self.status == "in_progress" and not self.is_deleted

    @property
    def is_cancelled_now(self) -> bool:
        """Whether somebody has seized it to cancel it, and may still be about to."""
        return self.ending == "cancelled" and not self.is_lost

    def gives_way(self, displaces: str) -> bool:
        """Whether a turn may displace it."""
        return displaces == "any" or (displaces == "abandoned" and (self.ending == "cancelled" or not self.readers))

    def take(self, epoch: str, *, is_cancel: bool) -> None:
        """Another run, or a cancel, seizes it."""
        assert epoch.startswith(f"{int(self.epoch.partition('.')[0]) + 1}.")
        assert epoch not in self.past_epochs
        self.epochs.append(epoch)
        self.past_epochs.add(epoch)
        self.attempts += not (is_cancel or self.is_released)
        self.ending = "cancelled" if is_cancel else self.ending
        self.is_lost = self.is_released = False

    def end(self, status: str, items: list[Item]) -> None:
        """Its items join the history."""
        self.status = status
        self.is_lost = False
        self.history = [*self.history, *items]
        self.root.use()
        if self.talk and self.talk.active is self:
            self.talk.active = None
            self.talk.history = self.history


@dataclass(eq=False)
class Hand:
    """A run or a seizure, with an epoch that may be stale."""

    turn: Turn
    epoch: str
    replica: int


@dataclass
class World:
    """The expected state."""

    talks: list[Talk] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    hands: list[Hand] = field(default_factory=list)
    deleted_items: set[str] = field(default_factory=set)
    claims: dict[tuple[str, str, str], tuple[Turn, str]] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    roots: dict[str, Root] = field(default_factory=dict)

    def shown(self, history: list[Item]) -> list[Item]:
        """A history without its deleted items."""
        return [item for item in history if item.id not in self.deleted_items]

    def kill(self, root: Root) -> None:
        """Begin the erasure of a root and of everything below it."""
        root.is_gone = True
        self.kill_below(root)

    def kill_below(self, root: Root) -> None:
        root.is_dying = True
        for talk in self.talks:
            if talk.root.parent is root and not talk.root.is_dying:
                self.kill_below(talk.root)

    def bury(self) -> None:
        """Remove what was being erased."""
        self.talks = [talk for talk in self.talks if not talk.root.is_dying]
        for turn in self.turns:
            turn.is_deleted |= turn.root.is_dying
