"""The options of ``k2lab bench run`` that say how requests are sent, and the arm that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k2lab.cli.common import json_object
from k2lab.cli.printing import note
from k2lab.errors import InputError

if TYPE_CHECKING:
    from k2lab.bench.arm import Arm, Enforce
    from k2lab.enforcer import Form, Options, Thinking
    from k2lab.server.endpoint import Endpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """Where requests go, and how they are changed on the way; the JSON of two options is still text."""

    base_url: str
    model: str | None
    arm: str
    stream: bool | None
    repair: bool
    enforce: Enforce
    extra_body: str
    template_kwargs: str
    source: str | None
    trust_remote_code: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Pinning:
    """How the pinned grammar is made; without a ``form`` the server is asked which one it obeys."""

    form: Form | None
    max_calls: int
    max_string: int | None
    loosen: bool
    thinking: Thinking

    def options(self, form: Form, family: str) -> Options:
        """The enforcer's own options, for a server that takes ``form`` and a model of a family."""
        from k2lab.enforcer import Options

        return Options(
            form=form,
            family=family,
            max_calls=self.max_calls,
            max_string=self.max_string,
            loosen=self.loosen,
            thinking=self.thinking,
        )


def arm_of(sending: Sending, pinning: Pinning) -> Arm:
    """The arm that the options ask for; asks the server what they leave open."""
    from k2lab import enforcer
    from k2lab.bench.arm import Arm
    from k2lab.prompt.source import open_source
    from k2lab.server.endpoint import Endpoint

    source = sending.source
    if source and sending.enforce == "pinned":
        raise InputError("--enforce pinned is for /chat/completions: leave --source out")
    named = sending.model or Endpoint(sending.base_url).model
    endpoint = Endpoint(sending.base_url, named)
    _check_level(sending.enforce, endpoint)
    return Arm(
        name=sending.arm or named,
        base_url=sending.base_url,
        model=named,
        stream=sending.stream,
        repair="history" if sending.repair else "",
        extra_body=json_object("--extra-body", sending.extra_body),
        source=open_source(source, trust_remote_code=sending.trust_remote_code) if source else None,
        enforce=sending.enforce,
        tag=pinning.options(
            _form(pinning, endpoint) if sending.enforce == "pinned" else "vllm", enforcer.family_for(named)
        ),
        template_kwargs=json_object("--template-kwargs", sending.template_kwargs),
    )


def _form(pinning: Pinning, endpoint: Endpoint) -> Form:
    """The form that a server obeys; one that is named is tried as well."""
    from k2lab.enforcer.ask import form_of

    return form_of(endpoint, (pinning.form,) if pinning.form else None, thinking=pinning.thinking)


def _check_level(wanted: Enforce, endpoint: Endpoint) -> None:
    """Refuse a server of ours that does not enforce at that level; of another one that may be unknown."""
    from k2lab import engine

    if not wanted.startswith("server-"):
        return
    level = wanted.removeprefix("server-")
    ours = [server for server in engine.running() if server.base_url == endpoint.base_url]
    if ours and level not in ours[0].flags:
        raise InputError(
            f"the server at {endpoint.base_url} does not enforce level {level!r}:"
            f" start it with -- --tool-strict-level {level}"
        )
    if not ours:
        note(f"{endpoint.base_url} was not started by k2lab, so its level is unknown")
