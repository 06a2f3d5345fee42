"""`run`: start one server, a supervisor or a reloader, and turn the result into an exit code."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, cast

from pronghorn import signal_handlers
from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.logging import log, streams
from pronghorn.process import gil, operator_signals
from pronghorn.process.upgrade import Program, Upgrade, requested_by_signal

if TYPE_CHECKING:
    import socket

    from pronghorn.metrics import collector
    from pronghorn.process.pid_file import PIDFile
    from pronghorn.server import Server
    from pronghorn.supervisor.reloader import Reloader
    from pronghorn.supervisor.supervisor import Supervisor

P = ParamSpec("P")

_log = logging.getLogger("pronghorn.error")


def _with_parameters_of(config_class: Callable[P, Config]) -> Callable[[Callable[..., None]], Callable[P, None]]:
    """Decorator: give a function the signature of `config_class`."""

    def declare(function: Callable[..., None]) -> Callable[P, None]:
        function.__signature__ = inspect.signature(config_class)  # type: ignore[attr-defined]
        return function

    return declare


@_with_parameters_of(Config)
def run(*args: Any, **kwargs: Any) -> None:
    """Serve an application until a signal ends it. The parameters are those of `Config`.

    If the server cannot start, logs the reason and exits with code 3.
    """
    streams.open_missing()
    program = Program()
    streams.remember_files()
    signal_handlers.handle_sigterm_as_process_1()
    try:
        config = Config(*args, **kwargs)
        serve = _serve_in_workers if config.use_subprocess or config.use_threads else _serve
        with gil.watched():
            code = serve(config, program)
    except KeyboardInterrupt:
        return
    except StartupError as error:
        log.report(error)
        code = error.code
    if code:
        sys.exit(code)


def _serve(config: Config, program: Program) -> int:
    if config.preload:
        _log.warning("--preload has no effect without --workers.")
    if config.worker_class == "thread":
        _log.warning("--worker-class thread has no effect without --workers.")
    upgrade = Upgrade(program, config.timeout_upgrade)
    with contextlib.ExitStack() as stack:
        if config.install_signals:  # before the import: a handler that the application installs wins
            stack.enter_context(operator_signals.counted(also_ignored=True))
            stack.enter_context(requested_by_signal(upgrade))
        bound = stack.enter_context(_bound(config, program)) if config.binds_first else None
        config.load_app()  # before the event loop, so that a module may call asyncio.run when it is imported

        server = _server(config, upgrade)
        if bound is not None:
            server.take(bound)
        stack.enter_context(_showing_metrics(config, lambda: _shown(server), upgrade))
        server.run()
    return 0 if server.started or server.signalled else StartupError.code


def _server(config: Config, upgrade: Upgrade) -> Server:
    if "NOTIFY_SOCKET" in os.environ:
        from pronghorn.process import notifying_server, service_manager

        manager = service_manager.from_environment()
        upgrade.on_done.append(manager.hand_over)
        server: Server = notifying_server.NotifyingServer(config, manager)
    else:
        from pronghorn.server import Server as PlainServer  # here: --help and usage errors do not need it

        server = PlainServer(config)
    server.upgrade = upgrade
    return server


def _showing_metrics(
    config: Config, show: Callable[[], collector.Server], upgrade: Upgrade
) -> contextlib.AbstractContextManager[None]:
    """Listen for requests about what `show` returns, if the configuration says where."""
    if config.metrics_bind is None:
        return contextlib.nullcontext()
    from pronghorn.metrics.listener import listening  # only needed here

    return listening(config.metrics_bind, show(), upgrade)


def _shown(server: Server) -> collector.Server:
    from pronghorn.metrics.process import ServerProcess

    return ServerProcess(server)


def _serve_in_workers(config: Config, program: Program) -> int:
    from pronghorn.listen import sockets
    from pronghorn.process.limits import ProcessLimits

    if config.use_subprocess:
        if not isinstance(config.app, str):
            _log.warning("You must pass the application as an import string to enable 'reload' or 'workers'.")
            return StartupError.code
        _check_processes(config)
    ProcessLimits(config)  # raises here, instead of in each worker
    with _bound(config, program) as bound:
        upgrade = Upgrade(program, config.timeout_upgrade)
        parent = _parent(config, bound, upgrade)
        for message, color_message in sockets.describe(bound, config):
            _log.info(message, extra={"color_message": color_message})
        with _showing_metrics(config, lambda: cast("Supervisor", parent), upgrade):
            return parent.run()


def _check_processes(config: Config) -> None:
    """Warn about what has no effect. Raises StartupError for what child processes cannot do."""
    from pronghorn.supervisor import nursery, worker_handle

    if config.reload and (config.workers or 1) > 1:
        _log.warning('"workers" flag is ignored when reloading is enabled.')
    if config.reload and config.metrics_bind is not None:
        _log.warning("--metrics-bind has no effect with --reload.")
        config.metrics_bind = None
    worker_handle.ensure_picklable(config)
    if config.preload:
        nursery.check(config)


@contextlib.contextmanager
def _bound(config: Config, program: Program) -> Iterator[list[socket.socket]]:
    """Bind, write the PID file and drop privileges. At the end, close the sockets and remove the files."""
    from pronghorn.listen import sockets
    from pronghorn.logging import log_files
    from pronghorn.process import privileges

    identity = privileges.identify(config)
    bound = sockets.bind(config)
    try:
        with _pid_file(config, program) as pid_file, _redirecting(config, bound) as begin:

            def give(uid: int, gid: int) -> None:
                sockets.give(config, uid, gid)
                log_files.give(uid, gid)
                if pid_file is not None:
                    pid_file.give(uid, gid)

            privileges.drop(config, identity, give)
            begin()
            yield bound
    finally:
        sockets.release(bound, config)


def _redirecting(config: Config, bound: list[socket.socket]) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Bind what sends clients to `bound`, if the configuration says so; the function begins it."""
    if config.https_redirect is None:
        return contextlib.nullcontext(lambda: None)
    from pronghorn.server.https_redirect import redirecting  # only needed here

    return redirecting(config, [name[1] for sock in bound if isinstance(name := sock.getsockname(), tuple)])


def _pid_file(config: Config, program: Program) -> contextlib.AbstractContextManager[PIDFile | None]:
    if config.pid_file is None:
        return contextlib.nullcontext()
    from pronghorn.process import pid_file

    return pid_file.written(config.pid_file, program)


def _parent(config: Config, bound: list[socket.socket], upgrade: Upgrade) -> Reloader | Supervisor:
    from pronghorn.process import service_manager

    manager = service_manager.from_environment()
    if config.reload:
        from pronghorn.supervisor.reloader import Reloader

        return Reloader(config, bound, manager=manager)
    upgrade.on_done.append(manager.hand_over)
    if config.use_threads:
        from pronghorn.supervisor.threads import ThreadSupervisor

        with operator_signals.counted(also_ignored=True), requested_by_signal(upgrade):
            config.app = config.load_app()  # once, and here: a module may call asyncio.run when it is imported
        return ThreadSupervisor(config, bound, upgrade, manager)
    from pronghorn.supervisor.supervisor import Supervisor

    return Supervisor(config, bound, upgrade, manager)
