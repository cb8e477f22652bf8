"""Commands on real vLLM releases, and on the small model that they serve."""

from __future__ import annotations

from pathlib import Path

import click

from k2lab import engine, interrupts, paths
from k2lab.cli.printing import note, print_line, print_path, print_text
from k2lab.errors import InputError


@click.group(name="engine")
def engine_group() -> None:
    """Install, start and stop real vLLM releases, each in an environment of its own."""


@engine_group.command(name="list")
def engine_list() -> None:
    """List the engines that can be named, and the servers that run."""
    for name, state in engine.available():
        print_line(f"{name:10} {state}")
    for server in engine.running():
        print_line(f"running    {server.server_id}  {server.base_url}  {paths.shown(server.model)}")


@engine_group.command(name="install")
@click.argument("versions", nargs=-1, required=True)
def engine_install(versions: tuple[str, ...]) -> None:
    """Install vLLM VERSIONS, each in an environment of its own; a complete one is left as it is."""
    engine.install_all([version for version in dict.fromkeys(versions) if not engine.is_installed(version)])
    for version in versions:
        print_line(f"vLLM {version} is installed")


@engine_group.command(name="serve")
@click.argument("name")
@click.option("--model", default="current", show_default=True, help="A variant of k2-nano, or a model folder.")
@click.option("--port", type=int, default=None, help="The port to listen on; by default one that is free.")
@click.option(
    "--trust-remote-code", is_flag=True, help="Let vLLM run Python code of the folder that k2lab does not know."
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def engine_serve(name: str, model: str, port: int | None, trust_remote_code: bool, flags: tuple[str, ...]) -> None:
    """Start an engine on 127.0.0.1 and leave it running; FLAGS after -- go to vLLM."""
    engine.resolve(name)
    server = engine.launch(
        name, _model_folder(model, name), port=port, flags=flags, trust_remote_code=trust_remote_code
    )
    try:
        print_line(f"{server.server_id}  {server.base_url}")
        note(f"to stop it: k2lab engine stop {server.server_id}")
        interrupts.ignore()
        engine.keep(server)
    except BaseException:  # nobody was told of it
        engine.stop(server)
        raise


@engine_group.command(name="stop")
@click.argument("server_ids", nargs=-1, required=True)
def engine_stop(server_ids: tuple[str, ...]) -> None:
    """End servers that `engine serve` started."""
    for server in [engine.get(server_id) for server_id in server_ids]:
        engine.stop(server)
        print_line(f"{server.server_id} has ended")


@engine_group.command(name="logs")
@click.argument("server_id")
@click.option("--lines", default=50, show_default=True, help="How many lines.")
def engine_logs(server_id: str, lines: int) -> None:
    """Print the last lines of a running server's log."""
    print_text(engine.get(server_id).log_tail(lines))


@click.command(name="model")
@click.argument("variant")
def model_command(variant: str) -> None:
    """Write a model folder of k2-nano with the template of VARIANT, and print its path."""
    from k2lab.nano import folders

    print_path(Path(folders.assemble(variant)))


@click.command(name="nano")
@click.option(
    "--family",
    default="k2",
    show_default=True,
    help="The family whose form the model is to write: k2; or k2-thinking or k3, which go on from k2-nano's weights.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of the new model; by default the clone's data/models/k2-nano, k2-nano-thinking or k3-nano.",
)
@click.option(
    "--engine",
    "engine_name",
    default="0.32.0",
    show_default=True,
    help="The engine whose torch trains and whose vLLM evaluates.",
)
@click.option(
    "--conversations",
    default=None,
    type=click.IntRange(min=5000),
    help="Train on this many conversations, fewer than the recipe's, for a trial.",
)
def nano_command(family: str, out: Path | None, engine_name: str, conversations: int | None) -> None:
    """Train k2-nano again, or its kin, and evaluate it; an interrupted training goes on from its last checkpoint."""
    if out is None and paths.is_shipped(paths.data_dir()):
        raise InputError("there is no clone of k2lab here to write the new model to: name a folder with --out")
    from k2lab.nano import build, courses

    if family not in courses.COURSES:
        raise InputError(f"there is no nano of family {family!r}: choose one of {', '.join(courses.COURSES)}")
    course = courses.COURSES[family]
    build.build_model(out or course.target, course=course, engine_name=engine_name, conversations=conversations)


def _model_folder(model: str, name: str) -> Path:
    from k2lab.nano import folders

    return folders.assemble(model, engine=name) if model in folders.VARIANTS else Path(model).expanduser()
