"""The parameters of Config, their validation and their results."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pronghorn
from pronghorn import backend
from pronghorn.application import interfaces
from pronghorn.config import LOGGING_CONFIG, Config, ConfigError
from pronghorn.config.parameters import PARAMETERS
from pronghorn.errors import StartupError
from pronghorn.listen import places
from pronghorn.server import Server
from pronghorn.server.state import ServerState
from pronghorn.supervisor.file_watcher import Files
from tests.support.certificates import Certificates

POSITIONAL = """
app host port uds fd loop http http2 ws ws_max_size ws_max_queue ws_ping_interval ws_ping_timeout
ws_per_message_deflate lifespan env_file log_config log_level access_log use_colors interface reload reload_dirs
reload_delay reload_includes reload_excludes workers proxy_headers server_header date_header forwarded_allow_ips
root_path limit_concurrency limit_max_requests limit_max_requests_jitter backlog timeout_keep_alive timeout_notify
timeout_graceful_shutdown timeout_worker_healthcheck callback_notify ssl_keyfile ssl_certfile ssl_keyfile_password
ssl_version ssl_cert_reqs ssl_ca_certs ssl_ciphers ssl_context_factory headers factory h11_max_incomplete_event_size
reset_contextvars
"""


async def app(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def loggers() -> Iterator[None]:
    """Restores our loggers afterwards."""
    names = ["pronghorn", *(f"pronghorn.{name}" for name in ("error", "access", "asgi"))]
    before = [(logger := logging.getLogger(name), logger.handlers, logger.level, logger.propagate) for name in names]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def make(target: Any = app, **parameters: Any) -> Config:
    return Config(target, **{"log_config": None, **parameters})


def loaded(target: Any, **parameters: Any) -> Config:
    config = make(target, **parameters)
    config.load()
    return config


def test_positional_parameters_have_the_order_of_uvicorn() -> None:
    parameters = inspect.signature(Config).parameters.values()
    assert [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD] == POSITIONAL.split()


def test_run_has_the_parameters_of_config() -> None:
    assert inspect.signature(pronghorn.run) == inspect.signature(Config)


def test_defaults_become_attributes() -> None:
    config = make()
    shown = [config.host, config.port, config.workers, config.headers, config.forwarded_allow_ips, config.loaded]
    assert shown == ["127.0.0.1", 8000, 1, [], "127.0.0.1,::1", False]


def test_config_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(make("main:app", port=1))).port == 1


def test_environment_replaces_missing_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.1")
    assert (make().workers, make().forwarded_allow_ips) == (3, "10.0.0.1")
    assert (make(workers=1).workers, make(forwarded_allow_ips="*").forwarded_allow_ips) == (1, "*")


def test_env_file_is_read_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dotenv")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "")  # so that the file's variables are removed afterwards
    monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    (tmp_path / ".env").write_text("FORWARDED_ALLOW_IPS=10.0.0.2\n")
    assert make(env_file=tmp_path / ".env").forwarded_allow_ips == "10.0.0.2"


def test_env_file_needs_python_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dotenv", None)
    with pytest.raises(StartupError, match="python-dotenv"):
        make(env_file=".env")


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"port": -1},
        {"port": "http"},
        {"fd": -1},
        {"workers": -1},
        {"ws_ping_interval": 0.5},
        {"backlog": -1},
        {"timeout_keep_alive": -1},
        {"timeout_head": float("nan")},
        {"timeout_body": float("inf")},
        {"limit_head_size": 0},
        {"limit_body_size": -1},
        {"lifespan": "maybe"},
        {"interface": "cgi"},
        {"cancel_on_disconnect": "sometimes"},
        {"send_after_disconnect": "fail"},
        {"underscored_headers": "sometimes"},
        {"loop": "quick"},
        {"http": "quick"},
        {"ws": "quick"},
        {"worker_class": "fibre"},
        {"health_path": "health"},
        {"health_path": "/health?ready"},
        {"log_level": "loud"},
        {"headers": [("na me", "value")]},
        {"headers": [("name", "a\r\nset-cookie: b")]},
        {"headers": [("name", "€")]},
    ],
    ids=str,
)
def test_invalid_value_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=next(iter(wrong.values()))[0][0] if "headers" in wrong else next(iter(wrong))
    ):
        make(**wrong)


@pytest.mark.parametrize("excluded", [{"reload": True}, {"preload": True}, {"limit_max_rss": 100}], ids=str)
def test_parameter_without_a_meaning_for_threads_is_refused(excluded: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"^{next(iter(excluded))} cannot be combined with worker_class thread"):
        make(worker_class="thread", **excluded)


@pytest.mark.parametrize(
    ("parameters", "uses"),
    [
        ({"workers": 2, "worker_class": "thread"}, (False, True)),
        ({"workers": 2}, (True, False)),
        ({"workers": 1, "worker_class": "thread"}, (False, False)),
    ],
    ids=str,
)
def test_several_workers_are_processes_or_threads(parameters: dict[str, Any], uses: tuple[bool, bool]) -> None:
    config = make("main:app", **parameters)
    assert (config.use_subprocess, config.use_threads) == uses


@pytest.mark.parametrize("value", ["-1", "two", "1.5", " "])
def test_invalid_number_of_workers_in_the_environment_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", value)
    with pytest.raises(ConfigError, match="WEB_CONCURRENCY"):
        make()


@pytest.mark.parametrize("name", [name for name, each in PARAMETERS.items() if each.zero_is_none])
def test_zero_disables_a_limit(name: str) -> None:
    assert getattr(make(**{name: 0}), name) is None


def test_headers_are_encoded_for_the_wire() -> None:
    config = loaded(app, headers=[("X-Name", " Zoë "), ["Server", "mine"]])
    assert config.encoded_headers == [(b"x-name", b"Zo\xeb"), (b"server", b"mine")]
    config = loaded(app, headers=[("a", "b")])
    assert config.encoded_headers == [(b"server", b"pronghorn"), (b"a", b"b")]
    assert loaded(app, server_header=False).encoded_headers == []


def test_h11_limit_sets_the_head_limit() -> None:
    assert make(h11_max_incomplete_event_size=1000, limit_head_size=2000).head_size() == 1000


def test_port_may_be_a_string() -> None:
    assert make(port="8001").port == 8001


@pytest.mark.parametrize(("parameters", "variable"), [({"workers": 0}, "4"), ({}, "0"), ({}, "")])
def test_number_of_workers_is_one_by_default(
    parameters: dict[str, Any], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", variable)
    config = make("main:app", **parameters)
    assert (config.workers, config.use_subprocess) == (1, False)


def test_blanks_around_the_number_of_workers_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", " 2 ")
    assert make().workers == 2


def test_lifespan_none_means_auto() -> None:
    assert make(lifespan=None).lifespan == "auto"


def test_reload_patterns_are_resolved_to_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("shop", "tests", "pages"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    config = make(
        "main:app",
        reload=True,
        reload_dirs=["shop", "tests", "missing"],
        reload_includes=["pages", "*.html"],
        reload_excludes="tests",
    )
    folder = tmp_path.resolve()
    assert config.reload_dirs == [folder / "pages", folder / "shop"]
    assert config.reload_dirs_excludes == [folder / "tests"]
    assert (config.reload_includes, config.reload_excludes) == (["pages", "*.html"], ["tests"])
    assert Files(config.reload_dirs, config.reload_includes, config.reload_excludes).directories == config.reload_dirs
    assert make("main:app", reload=True).reload_dirs == [folder]


def test_reload_patterns_are_ignored_without_reload(caplog: pytest.LogCaptureFixture) -> None:
    config = make("main:app", reload_dirs=["."], reload_includes=["*.html"], reload_excludes=["*.css"])
    assert (config.reload_dirs, config.reload_includes, config.reload_excludes) == ([], [], [])
    assert caplog.messages == ["--reload-dir, --reload-include and --reload-exclude have no effect without --reload."]


# Attributes that are set after construction.


def derived(config: Config) -> dict[str, Any]:
    """Everything a server derives from a configuration."""
    config.load()

    async def prepared() -> ServerState:
        state = ServerState()
        state.prepare(config, backend.load(config.http), asyncio.get_running_loop(), {})
        return state

    state = asyncio.run(prepared())
    server = Server(config)
    shared, limits = state.shared, state.shared.limits
    return {
        "app": getattr(config.loaded_app, "app", config.loaded_app),
        "interface": (config.interface, type(config.loaded_app)),
        "loop": config.get_loop_factory(),
        "http": config.http_protocol_class,
        "parser": state.wire.name,
        "ws": (config.ws_protocol_class, shared.websockets, shared.zlib is None),
        "lifespan": config.lifespan_class,
        "headers": (config.encoded_headers, [name for name, _ in shared.default_fields]),
        "limits": {name: getattr(limits, name) for name in dir(limits) if not name.startswith("_")},
        "scope": {name: shared.scope[name] for name in ("scheme", "root_path")},
        "proxies": shared.proxies is not None and shared.proxies.trusts_peer(("10.0.0.1", 1), None),
        "concurrency": (state.limit_concurrency, state.limit_queue, state.limit_websockets),
        "state": (state.cancel_on_disconnect, state.shared.access_log is None),
        "context": len(state.context),
        "places": places.of(config),
        "requests": server.limit_max_requests,
    }


def legacy(scope: Any) -> Any: ...


SET: dict[str, Any] = {
    "app": legacy,
    "host": "::1",
    "port": "8001",
    "uds": "/tmp/socket",
    "fd": 0,
    "bind": "127.0.0.1:8001",
    "loop": asyncio.new_event_loop,
    "http": "h11",
    "ws": "none",
    "ws_max_size": 100,
    "ws_max_queue": 1,
    "ws_ping_interval": None,
    "ws_ping_timeout": 3.0,
    "ws_per_message_deflate": False,
    "lifespan": "off",
    "access_log": False,
    "interface": "asgi2",
    "proxy_headers": False,
    "server_header": False,
    "date_header": False,
    "forwarded_allow_ips": "127.0.0.1",
    "root_path": "/api",
    "limit_concurrency": 1,
    "limit_queue": 10,
    "limit_websockets": 10,
    "limit_max_requests": 10,
    "timeout_keep_alive": 9,
    "headers": [("a", "b")],
    "h11_max_incomplete_event_size": 1000,
    "reset_contextvars": True,
    "limit_head_size": 1000,
    "limit_head_fields": 3,
    "limit_target_size": 100,
    "limit_body_size": 100,
    "limit_body_rate": 100,
    "limit_requests_per_connection": 100,
    "timeout_first_byte": 0,
    "timeout_head": 1,
    "timeout_body": None,
    "timeout_write": 2,
    "timeout_request": 60,
    "cancel_on_disconnect": "never",
    "forwarded_headers": "forwarded",
}

# Read by other modules at every use, and tested with them.
ELSEWHERE = """
reload reload_delay workers timeout_notify callback_notify timeout_graceful_shutdown timeout_worker_healthcheck
limit_max_rss limit_worker_lifetime limit_worker_lifetime_jitter timeout_upgrade preload
install_signals app_dir backlog factory http2 limit_max_requests_jitter access_log_format underscored_headers
send_after_disconnect sendfile reuse_port uds_permissions pid_file user group umask request_id_header log_slow watchdog
metrics_bind health_path drain_delay worker_class proxy_protocol
limit_connections limit_connections_per_address
ssl_keyfile ssl_certfile ssl_keyfile_password ssl_version ssl_cert_reqs ssl_ca_certs ssl_ciphers ssl_context_factory
ssl_sni ssl_reload hsts https_redirect
"""

# Used only by the constructor, as in uvicorn: logging, the environment, the patterns.
DONE = "log_config log_level use_colors log_format env_file reload_dirs reload_includes reload_excludes"


@pytest.mark.parametrize("name", list(SET))
def test_attribute_set_later_takes_effect(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    common: dict[str, Any] = {}
    if name in ("proxy_headers", "forwarded_allow_ips"):
        common = {"forwarded_allow_ips": "10.0.0.1"}
    elif name == "limit_queue":
        common = {"limit_concurrency": 1}
    variable = contextvars.ContextVar[int]("variable")
    variable.set(1)
    given = make(**{"target": app, **common, "target" if name == "app" else name: SET[name]})
    later = make(**common)
    setattr(later, name, SET[name])
    assert derived(later) == derived(given)
    if name not in ("forwarded_headers", "access_log"):
        assert derived(later) != derived(make(**common))


def test_every_parameter_was_considered() -> None:
    assert sorted([*SET, *ELSEWHERE.split(), *DONE.split()]) == sorted(pronghorn.config.parameters())


def test_constructor_sets_up_logging_once(loggers: None) -> None:
    Config(app, use_colors=False)
    users = logging.NullHandler()
    logging.getLogger("pronghorn").handlers = [users]
    loaded(app)
    assert logging.getLogger("pronghorn").handlers == [users]


def test_default_logging_dictionary_may_be_changed() -> None:
    assert Config("main:app", log_level="info").log_config is LOGGING_CONFIG


def test_load_does_not_change_an_asgi3_application() -> None:
    config = loaded(app)
    assert (config.loaded_app, config.loaded, config.interface) == (app, True, "asgi3")


def test_load_calls_a_factory() -> None:
    assert loaded(lambda: app, factory=True).loaded_app is app


def test_load_recognises_a_factory_and_warns(capsys: pytest.CaptureFixture[str], loggers: None) -> None:
    assert loaded(lambda: app, log_config=LOGGING_CONFIG, use_colors=False).loaded_app is app
    assert capsys.readouterr().err == (
        "WARNING:  ASGI app factory detected. Using it, but please consider setting the --factory flag explicitly.\n"
    )


def test_load_adapts_asgi2() -> None:
    config = loaded(lambda scope: app)
    assert (type(config.loaded_app), config.interface, config.asgi_version) == (interfaces.ASGI2Adapter, "asgi2", "2.0")


def test_load_uses_the_given_interface() -> None:
    assert loaded(lambda *arguments: None, interface="asgi3").interface == "asgi3"


def test_load_logs_messages_at_trace(loggers: None) -> None:
    assert isinstance(loaded(app, log_level="trace").loaded_app, interfaces.MessageLogger)


def test_load_refuses_objects_that_are_not_callable() -> None:
    with pytest.raises(
        StartupError, match=r"^Error loading ASGI app\. 'os:name' is not callable: it is of type str\.$"
    ):
        loaded("os:name")


def test_asyncio_loop_is_the_selector_loop() -> None:
    assert make(loop="asyncio").get_loop_factory() is asyncio.SelectorEventLoop


def test_loop_none_leaves_the_choice_to_asyncio() -> None:
    assert make(loop="none").get_loop_factory() is None


def test_loop_auto_is_uvloop_if_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("uvloop")
    module.new_event_loop = lambda: None
    monkeypatch.setitem(sys.modules, "uvloop", module)
    assert make(loop="auto").get_loop_factory() is module.new_event_loop
    assert make(loop="uvloop").get_loop_factory() is module.new_event_loop


def test_loop_auto_is_asyncio_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert make(loop="auto").get_loop_factory() is asyncio.SelectorEventLoop


def test_loop_may_be_an_import_string() -> None:
    assert make(loop="asyncio:new_event_loop").get_loop_factory() is asyncio.new_event_loop


def test_loop_that_cannot_be_imported_is_refused() -> None:
    with pytest.raises(StartupError, match=r'^Error loading custom loop setup function\. Could not import module "no"'):
        make(loop="no:loop").get_loop_factory()


def test_config_and_run_do_not_import_click() -> None:
    text = "import sys, pronghorn; pronghorn.run, pronghorn.Config('a:b'); sys.exit('click' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text], timeout=60).returncode == 0


def test_importing_the_package_imports_nothing_else() -> None:
    text = "import sys, pronghorn; sys.exit(any(name.startswith('pronghorn.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", text], timeout=60).returncode == 0


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        pronghorn.nothing  # noqa: B018


@pytest.mark.parametrize("ws", ["my.sockets:Protocol", asyncio.Protocol])
def test_custom_websocket_implementation_is_refused(ws: Any) -> None:
    with pytest.raises(StartupError, match="pronghorn uses its own"):
        loaded(app, ws=ws)


def test_hsts_needs_tls(caplog: pytest.LogCaptureFixture) -> None:
    assert loaded(app, hsts=60, server_header=False).encoded_headers == []
    assert "--hsts has no effect without TLS." in caplog.text


@pytest.mark.parametrize("seconds", [0, 60])
def test_hsts_is_a_field_of_responses(certificates: Certificates, seconds: int) -> None:
    config = loaded(app, hsts=seconds, server_header=False, **certificates.parameters)
    assert config.encoded_headers == [(b"strict-transport-security", b"max-age=%d" % seconds)]


def test_own_field_replaces_that_of_hsts(certificates: Certificates) -> None:
    own = ("Strict-Transport-Security", "max-age=1; preload")
    config = loaded(app, hsts=60, headers=[own], server_header=False, **certificates.parameters)
    assert config.encoded_headers == [(b"strict-transport-security", b"max-age=1; preload")]


@pytest.mark.parametrize(("given", "seconds"), [(0, 0), (0.1, 1), (1, 1), (2, 2), (2.5, 3), (3.0, 3)])
@pytest.mark.parametrize("name", ["keep_alive", "request"])
def test_timeout_is_rounded_up_to_whole_seconds(name: str, given: float, seconds: int) -> None:
    limits = derived(make(**{f"timeout_{name}": given}))["limits"]
    assert limits[f"{name}_timeout"] == seconds


@pytest.mark.parametrize("limit", [None, 0])
def test_queue_needs_a_limit_on_concurrency(limit: int | None) -> None:
    with pytest.raises(ConfigError, match="limit_queue needs limit_concurrency"):
        make(limit_queue=1, limit_concurrency=limit)
