"""The ``linli`` command. Exit codes: 0 done, 1 failed, 2 usage or configuration. Data on stdout, progress on stderr."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from app.operations.error_lines import told_in_a_line
from contracts.errors import ConfigurationError
from contracts.extras import not_installed
from system.private_files import OTHERS

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module, one line for --help). The module's attribute ``command`` is loaded only when it is called.
    "demo": ("app.cli.demo", "Watch a living community: broker, cameras, alerts and page, nothing to install."),
    "run": ("app.cli.run", "Run one community on this machine: ingest, rules, incidents and console."),
    "edge": ("app.cli.edge", "The box beside the cameras: run it, analyse a video, make its token."),
    "simulate": ("app.cli.simulate", "Write (or publish) days of life in simulated communities, with the truth."),
    "topics": ("app.cli.topics", "Make and check the topics of a district on Kafka."),
    "ingest": ("app.cli.ingest", "Run a shard of a district's ingest: MQTT to Kafka."),
    "replay": ("app.cli.replay", "Run the rules over a file of events and print their findings."),
    "archive": ("app.cli.archive", "Keep the log's days as encrypted segments: list, check and read them."),
    "hold": ("app.cli.hold", "Keep an incident or a site from being deleted or erased."),
    "erase": ("app.cli.erase", "Erase a person, visitor or vehicle everywhere, and prove it later."),
    "log": ("app.cli.log", "Load a file of events into the log as a shard would."),
    "streams": ("app.cli.streams", "Run workers of the rules on a district's log, and get them past a record."),
    "findings": ("app.cli.findings", "Print everything the rules have found so far."),
    "incidents": ("app.cli.incidents", "Run a district's incidents: findings in, receivers told."),
    "console": ("app.cli.console", "Run a district's page, its API and the boxes' uploads."),
    "results": ("app.cli.results", "Carry a district's results to their store; show what waits."),
    "inventory": ("app.cli.inventory", "Read and change the sites, places and devices that ingest accepts."),
    "devices": ("app.cli.devices", "Show what each device said last, and who knocks without being in the inventory."),
    "rules": ("app.cli.rules", "Show the rules: what each finds, and the numbers that a site may change."),
    "dead-letters": ("app.cli.dead_letters", "Show what was rejected, from where, and why."),
    "test-alarm": ("app.cli.drill", "Send a test through every receiver of alarms, and say who took it."),
    "trace": (
        "app.cli.trace",
        "Follow one id from the device's message to its delivery, with the time of each hop.",
    ),
    "models": ("app.cli.models", "Check the manifests of vision models."),
    "users": ("app.cli.users", "Add people to the console and set their roles."),
    "boxes": ("app.cli.boxes", "Exchange the credentials of a box."),
    "secrets": ("app.cli.secrets", "Exchange the platform's own secrets."),
    "migrate": ("app.cli.migrate", "Copy one machine's inventory, log and incidents into a district."),
    "backup": ("app.cli.backup", "Copy all that one machine must have to go on elsewhere, while it works."),
    "restore": ("app.cli.restore", "Put a machine's backup back into empty places."),
    "doctor": ("app.cli.doctor", "Look over a deployment: what is wrong with it, and what to do."),
    "services": ("app.cli.services", "Print the processes of this deployment; write their systemd units."),
    "docs": ("app.cli.docs", "Print the pages about running Linli: operations, runbook, words, an example inventory."),
    "check-config": ("app.cli.check_config", "Print the configuration in force and where each value came from."),
}

DONE, FAILED, MISUSED = 0, 1, 2


class LazyGroup(click.Group):
    """A click group that imports a command's module only when it is called, so ``--help`` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. What only a district needs is imported then, so here it may turn out not to be installed.

        Raises:
            ConfigurationError: a package of an extra is missing; says which.
        """
        try:
            return super().invoke(ctx)
        except ImportError as error:
            raise not_installed(error) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="linli")
def linli() -> None:
    """Linli (邻里) watches gates, cameras, meters and sensors and turns what they say into incidents people close.

    Start with `linli demo`. A community runs with `linli run`, its boxes with `linli edge run`.
    Settings come from linli.toml and LINLI_* variables; `linli check-config` prints what is in force.
    """


def main() -> None:
    """End the process with the exit code of its command line: the entry point."""
    os.umask(OTHERS)  # what any command, or a library it uses, makes is for its account alone
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(arguments: Sequence[str]) -> int:
    """Run a command line; every error ends as one line on stderr, and here alone as a number.

    0: done, or asked for help. 1: it failed, or a person said no. 2: the command line, the settings or another file
    that a person wrote is wrong. An error that nobody expected is a failure too, and is shown whole.
    """
    try:
        _need_text(arguments)
        ended = linli.main(arguments, standalone_mode=False)  # the code of click's Exit; a command returns nothing
    except click.Abort:
        return _say("stopped", FAILED)
    except click.UsageError as error:
        error.show()
        return MISUSED
    except click.ClickException as error:
        error.show()
        return FAILED
    except ConfigurationError as error:
        return _say(f"configuration: {error}", MISUSED)
    except Exception as error:  # the boundary of a command: what nobody expected is raised again
        told = told_in_a_line(error)
        if told is None:
            raise
        return _say(told, FAILED)
    return ended if isinstance(ended, int) else DONE


def _need_text(arguments: Sequence[str]) -> None:
    """Raise UsageError unless every argument is text: a terminal in GBK sends bytes that are no UTF-8.

    Python keeps such bytes as halves of characters, which no database takes. A file may be called so.
    """
    for one in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in one) and not os.path.lexists(one):
            raise click.UsageError(f"argument {one!a} is not UTF-8; set the terminal's encoding to it")


def _say(text: str, code: int) -> int:
    shown = text.encode(errors="backslashreplace").decode()  # it may name a file whose name is not UTF-8
    click.echo(f"linli: {shown}", err=True)
    return code


if __name__ == "__main__":
    main()
