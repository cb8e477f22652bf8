"""Which commands there are: where each lives, and its line of ``k2lab --help``.

A command's module is imported when the command is called: the list must not
cost what all of them need.
"""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "audit": ("auditing:audit_command", "Say what is wrong in recorded traffic, in bulk."),
    "bench": ("benchmark:bench_group", "Measure how well a server calls tools, and compare two runs."),
    "bisect": ("sweeping:bisect_command", "Say which release first reads a raw output, or first loses it."),
    "chat": ("prompts:chat_command", "Send a conversation to /chat/completions."),
    "check": ("checking:check_command", "Say what is wrong with requests, answers, tools, outputs."),
    "complete": ("prompts:complete_command", "Render a conversation and send it to /completions."),
    "diff": ("prompts:diff_command", "Compare two prompts token by token."),
    "doctor": ("diagnosis:doctor_command", "Find out what is wrong with a running server."),
    "enforce": ("enforcement:enforce_command", "Print the grammar that holds an answer to its tools."),
    "engine": ("engines:engine_group", "Install, start and stop real vLLM releases."),
    "explain": ("explaining:explain_command", "Say what a finding means and what to do."),
    "lab": ("notebooks:lab_command", "Start JupyterLab on the notebooks."),
    "model": ("engines:model_command", "Write a model folder of k2-nano and print its path."),
    "nano": ("engines:nano_command", "Train k2-nano again and evaluate it."),
    "notebooks": ("notebooks:notebooks_command", "List the notebooks, or copy them to a folder."),
    "parse": ("outputs:parse_command", "Read the tool calls in a raw output."),
    "parsers": ("outputs:parsers_command", "Compare what each parser reads in recorded failures."),
    "probe": ("prompts:probe_command", "Check a running server for known prompt problems."),
    "prompt-ids": ("prompts:prompt_ids_command", "Print the token ids of a server's own prompt."),
    "proxy": ("traffic:proxy_command", "Stand in front of a server: pass on, repair, hold and record."),
    "record": ("recording:record_group", "Look into a record of the traffic through k2lab proxy."),
    "render": ("prompts:render_command", "Render a conversation to text and token ids."),
    "repair": ("history:repair_command", "Repair the tool calls of a conversation's history."),
    "report": ("reports:report_command", "Run the notebooks and write reports."),
    "shrink": ("shrinking:shrink_command", "Leave out of a request all that a fault does not need."),
    "sweep": ("sweeping:sweep_command", "Look for known faults in every installed release."),
}
"""Name -> (module of this room and the command in it, its line of help)."""


class LazyGroup(click.Group):
    """The commands of :data:`COMMANDS`, each loaded when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself; ``None`` where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(f"k2lab.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])
