"""One canonical log line per unit of work; JSON unless standard error is a terminal."""

import json
import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from service.settings import ServiceSettings


def configure_logs(settings: ServiceSettings, process: str) -> None:
    """Send our lines and the libraries' warnings to standard error, in one format."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    before: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_process(process),
    ]
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
    )
    structlog.configure(
        processors=[*before, *render],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.WriteLoggerFactory(_patient(sys.stderr)),
        cache_logger_on_first_use=True,
    )
    _route_libraries([structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render], before)


def _route_libraries(processors: list[Processor], before: list[Processor]) -> None:
    """What libraries log by Python's own logging, from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=processors))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def _json(line: EventDict, **options: Any) -> str:
    """Falls back to Python's json for strings that orjson rejects (lone surrogates)."""
    try:
        return orjson.dumps(line, default=options.get("default"), option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return json.dumps(line, **options)


def _add_process(process: str) -> Processor:
    def add(_logger: Any, _method: str, line: EventDict) -> EventDict:
        line["process"] = process
        return line

    return add


class _Patient:
    """A file that drops lines when the disk is full: logging must not fail a request."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


def _patient(file: TextIO) -> TextIO:
    return cast("TextIO", _Patient(file))


def log_to_stderr() -> None:
    """For commands, which keep standard output for what they were asked."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))


def logger(part: str) -> FilteringBoundLogger:
    """The logger of one part; the event of a line is a stable action word."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=part))
