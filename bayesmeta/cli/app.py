"""The commands and their options; the work is done in the modules beside this one."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesmeta.cli.terminal import Terminal, clean

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = 2
INTERRUPTED = 130
"""What the library of the command line makes of an interruption."""
HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="bayesmeta",
    help="Bayesian meta-analysis: a table of trials in; effects, heterogeneity, figures and a report out.",
    epilog="Exit codes: 0 done, 2 usage or analysis file, 3 data, 4 a diagnostic or known answer failed, "
    "5 files, 6 numerical failure, 130 interrupted.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings=HELP,
)

Source = Annotated[
    str, typer.Argument(metavar="FILE|NAME", help="Analysis file, or the name of a shipped one.")
]
Engine = Annotated[str | None, typer.Option(help="nuts, exact or auto, instead of what the file says.")]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let the data lie outside the file's folder.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Seed = Annotated[int | None, typer.Option(help="Seed, instead of that of the file.")]


def invoke(arguments: Sequence[str], terminal: Terminal) -> int:
    """Return the exit code of a command.

    Parameters
    ----------
    arguments : sequence of str
        What follows the name of the program.
    terminal : Terminal
        Where the command prints.
    """
    command = typer.main.get_command(app)
    try:
        code = command.main(
            args=list(arguments),
            prog_name="bayesmeta",
            standalone_mode=False,
            obj=(terminal, tuple(arguments)),
        )
    except typer._click.exceptions.ClickException as error:
        terminal.error(_usage(error))
        return USAGE
    except typer.Abort:
        raise KeyboardInterrupt from None
    except BrokenPipeError:  # help into a closed pipe
        terminal.data("")
        return 0
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> str:
    message = clean(error.format_message()).removesuffix(".").replace(". Did you mean", "; did you mean")
    where = error.ctx.command_path if getattr(error, "ctx", None) else "bayesmeta"
    return f"{message[:1].lower()}{message[1:]}; '{where} --help' shows what is possible"


def command_line(arguments: Sequence[str]) -> str:
    """Return what was typed, without folders that may be private.

    Parameters
    ----------
    arguments : sequence of str
        What follows the name of the program.

    Examples
    --------
    >>> command_line(["run", "/home/me/bmd.toml", "--out=../results", "--engine", "exact"])
    'bayesmeta run bmd.toml --out=results --engine exact'
    """
    return shlex.join(["bayesmeta", *map(_without_folder, arguments)])


def _without_folder(argument: str) -> str:
    option, sign, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    windows, posix = PureWindowsPath(value), PurePosixPath(value)
    private = bool(windows.anchor) or posix.is_absolute() or value.startswith("~") or ".." in windows.parts
    return f"{option}{sign}{windows.name or value}" if private else argument


def _version(asked: bool) -> None:
    if asked:
        from bayesmeta import __version__

        Terminal().data(f"bayesmeta {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Bayesian meta-analysis: a table of trials in; effects, heterogeneity, figures and a report out."""


@app.command()
def run(
    context: typer.Context,
    source: Source,
    out: Annotated[str | None, typer.Option(help="Output folder; by default results/<name>.")] = None,
    engine: Engine = None,
    seed: Seed = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a folder that is not an earlier run.")
    ] = False,
    allow_outside: AllowOutside = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run an analysis file: its report, figures and tables."""
    from bayesmeta.cli.running import run_command

    terminal, typed = context.obj
    terminal.quiet = quiet
    options = {"out": out, "engine": engine, "seed": seed, "overwrite": overwrite}
    return run_command(
        terminal, source, as_json=as_json, allow_outside=allow_outside, command=command_line(typed), **options
    )


@app.command(
    epilog="Columns: m1i sd1i n1i m2i sd2i n2i; ai n1i ci n2i; ai bi ci di; yi with sei or vi; all others "
    "of metafor. Example: bayesmeta fit exercise_bmd --measure MD m1i=exercise_mean sd1i=exercise_sd "
    "n1i=exercise_n m2i=control_mean sd2i=control_sd n2i=control_n"
)
def fit(
    context: typer.Context,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="CSV file, or the name of a bundled data set.")
    ],
    columns: Annotated[
        list[str], typer.Argument(metavar="NAME=COLUMN...", help="What the columns are, by metafor's names.")
    ],
    measure: Annotated[str, typer.Option(help="MD, SMD, OR, RR, ...; GEN for ready-made effects.")] = "GEN",
    slab: Annotated[str | None, typer.Option(help="Column of the study labels.")] = None,
    mods: Annotated[str, typer.Option(help="Moderators, such as 'dose + C(site)'.")] = "1",
    mu: Annotated[str | None, typer.Option(help="Prior of the mean effect.")] = None,
    tau: Annotated[str | None, typer.Option(help="Prior of the heterogeneity.")] = None,
    beta: Annotated[str | None, typer.Option(help="Prior of the other coefficients.")] = None,
    likelihood: Annotated[str, typer.Option(help="normal, or binomial for counts.")] = "normal",
    engine: Annotated[str, typer.Option(help="auto, exact or nuts.")] = "auto",
    prob: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.95,
    kind: Annotated[str, typer.Option(help="eti (equal-tailed) or hdi (shortest).")] = "eti",
    exclude: Annotated[list[str] | None, typer.Option(help="Label of a study to leave out.")] = None,
    units: Annotated[str, typer.Option(help="Units of the effect.")] = "",
    better: Annotated[str, typer.Option(help="higher or lower: the direction that favours group 1.")] = "",
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Fit one model to a table, and print the answer."""
    from bayesmeta.cli.oneline import Asked, fit_command

    terminal: Terminal = context.obj[0]
    terminal.quiet = quiet
    asked = Asked(
        table=table,
        columns=tuple(columns),
        measure=measure,
        slab=slab,
        mods=mods,
        priors={"mu": mu, "tau": tau, "beta": beta},
        likelihood=likelihood,
        engine=engine,
        interval={"prob": prob, "kind": kind},
        data={"exclude": list(exclude or ()), "units": units, "better": better},
        seed=seed,
    )
    return fit_command(terminal, asked, as_json=as_json)


@app.command(
    epilog="Columns as of fit. Example: bayesmeta batch cochrane.csv --by review --measure OR ai=events1 "
    "n1i=total1 ci=events2 n2i=total2 --better lower --out results.csv. Interrupted with --out, the same "
    "command continues where it was."
)
def batch(
    context: typer.Context,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="CSV file, or the name of a bundled data set.")
    ],
    columns: Annotated[
        list[str], typer.Argument(metavar="NAME=COLUMN...", help="What the columns are, by metafor's names.")
    ],
    by: Annotated[str, typer.Option(help="Column that names the review of each study.")],
    measure: Annotated[str, typer.Option(help="MD, SMD, OR, RR, ...; GEN for ready-made effects.")] = "GEN",
    mu: Annotated[str | None, typer.Option(help="Prior of the mean effects.")] = None,
    tau: Annotated[str | None, typer.Option(help="Prior of the heterogeneity.")] = None,
    better: Annotated[str, typer.Option(help="higher or lower: the direction that favours group 1.")] = "",
    prob: Annotated[float, typer.Option(help="Probability of the equal-tailed intervals.")] = 0.95,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="CSV file to write, resumable.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Fit every review in a table of many, and print a row for each."""
    from bayesmeta.cli.batching import Asked, batch_command

    terminal: Terminal = context.obj[0]
    terminal.quiet = quiet
    priors = {"mu": mu, "tau": tau}
    asked = Asked(table, by, tuple(columns), measure, priors, better, prob, out)
    return batch_command(terminal, asked, as_json=as_json)


@app.command()
def check(
    context: typer.Context,
    source: Source,
    engine: Engine = None,
    allow_outside: AllowOutside = False,
    as_json: Json = False,
) -> None:
    """Validate an analysis file, and say what would run."""
    from bayesmeta.cli.checking import check_command

    check_command(context.obj[0], source, engine=engine, allow_outside=allow_outside, as_json=as_json)


@app.command()
def datasets(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Data set to print as CSV.")] = None,
    as_json: Json = False,
) -> None:
    """List the bundled data sets, or print one as CSV."""
    from bayesmeta.cli.listing import datasets_command

    datasets_command(context.obj[0], name, as_json=as_json)


@app.command()
def models(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Analysis to print, to copy it.")] = None,
    as_json: Json = False,
) -> None:
    """List the shipped analyses, or print one as TOML."""
    from bayesmeta.cli.listing import models_command

    models_command(context.obj[0], name, as_json=as_json)


@app.command()
def schema(context: typer.Context) -> None:
    """Print the JSON schema of an analysis file."""
    from bayesmeta.cli.listing import schema_command

    schema_command(context.obj[0])
