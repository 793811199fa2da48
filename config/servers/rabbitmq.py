"""How a private RabbitMQ is started: its files, its command, and the proof that it answers."""

import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from kombu.connection import Connection

from config.servers.process import free_ports, has_ended, kept_secret, write_private
from config.servers.site import HOST, USER, Certificates, Daemon, Server, Site
from config.tls import broker_options

# Busy waiting burns the processor of a small machine. Only the disk threads may spin for some
# microseconds after an access: RabbitMQ looks for thousands of files while it starts, and
# waking a sleeping thread for each was measured to make a start 5.5 s instead of 3.4 s.
_ERLANG_FLAGS = "+sbwt none +sbwtdcpu none +sbwtdio very_short"
_NODE = "clinic@localhost"
# While RabbitMQ ends, the management plugin's collector waits 5 s for somebody who waits for it.
_TAKE_OUT_COLLECTOR = "gen_event:delete_handler(rabbit_event, rabbit_mgmt_db_handler, [])."


def start_rabbitmq(site: Site) -> Server:
    port, admin_port, epmd_port, dist_port = free_ports(4)
    names = {"ERL_EPMD_ADDRESS": HOST, "ERL_EPMD_PORT": str(epmd_port)}
    password = kept_secret(site.folder / "password")
    _start_epmd(site, port=epmd_port, names=names)
    settings = _settings(port, admin_port, site.certificates)
    daemon = site.launch_server(
        "rabbitmq-server",
        port=port,
        **names,
        **_files(site.folder, settings=settings, password=password),
        # The data remembers the node's name, so it must not follow the name of the machine.
        RABBITMQ_NODENAME=_NODE,
        RABBITMQ_DIST_PORT=str(dist_port),
        # Has the start script become the Erlang machine instead of waiting for it: the process
        # we hold is the broker, and ending it ends the broker.
        RUNNING_UNDER_SYSTEMD="true",
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=(
            f"{_ERLANG_FLAGS} -start_epmd false -kernel inet_dist_use_interface {{127,0,0,1}}"
        ),
    )

    def control(*arguments: str) -> "subprocess.Popen[bytes]":
        return site.launch(
            "rabbitmqctl", *arguments, log="rabbitmqctl.log", **names, RABBITMQ_NODENAME=_NODE
        )

    site.ending.callback(_hasten_the_end, daemon, control)
    secure = "s" if site.certificates else ""
    url = f"amqp{secure}://{USER}:{password}@{HOST}:{port}//"
    admin = f"http{secure}://{USER}:{password}@{HOST}:{admin_port}"
    return Server(
        site.setting,
        url,
        daemon,
        lambda: _ask(url, site.ca_file),
        {"AMQP_ADMIN_URL": admin},
        control=control,
    )


def _start_epmd(site: Site, *, port: int, names: Mapping[str, str]) -> None:
    """Erlang's name server, in the foreground: otherwise RabbitMQ starts one that outlives it."""
    epmd = site.launch("epmd", log="epmd.log", **names)
    site.wait_until(
        lambda: has_ended(epmd) or _listens(port), doing="the start of epmd", log="epmd.log"
    )
    if has_ended(epmd):
        raise site.failed(f"epmd ended with code {epmd.wait()}", log="epmd.log")


def _hasten_the_end(
    broker: Daemon, control: "Callable[..., subprocess.Popen[bytes]]"
) -> None:
    """Half a second that saves five; when it fails, the end just takes longer."""
    if has_ended(broker.process):
        return
    with suppress(subprocess.TimeoutExpired):
        control("eval", _TAKE_OUT_COLLECTOR).wait(timeout=5)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _settings(port: int, admin_port: int, certificates: Certificates | None) -> str:
    # The management API is for making users; numbers for its pages would cost processor time.
    common = "management_agent.disable_metrics_collector = true\n"
    if certificates is None:
        return common + (
            f"listeners.tcp.local = {HOST}:{port}\n"
            f"management.tcp.ip = {HOST}\nmanagement.tcp.port = {admin_port}\n"
        )
    return common + (
        f"listeners.tcp = none\nlisteners.ssl.local = {HOST}:{port}\n"
        f"{_identity('ssl_options', certificates)}"
        f"management.ssl.ip = {HOST}\nmanagement.ssl.port = {admin_port}\n"
        f"{_identity('management.ssl', certificates)}"
    )


def _identity(prefix: str, certificates: Certificates) -> str:
    return (
        f"{prefix}.cacertfile = {certificates.ca}\n{prefix}.certfile = {certificates.certificate}\n"
        f"{prefix}.keyfile = {certificates.key}\n"
    )


def _files(folder: Path, *, settings: str, password: str) -> dict[str, str]:
    user = f"default_user = {USER}\ndefault_pass = {password}\n"
    configuration = write_private(folder / "rabbitmq.conf", settings + user)
    plugins = write_private(folder / "enabled_plugins", "[rabbitmq_management].\n")
    return {
        "RABBITMQ_CONFIG_FILE": str(configuration),
        # Named although they do not exist, so that those of the machine are not read.
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
    }


def _ask(url: str, ca_file: str | None) -> None:
    # Not its connect(): that one sleeps 2 s between a refusal and its second try.
    transport = Connection(url, connect_timeout=2, ssl=broker_options(url, ca_file)).transport
    transport.close_connection(transport.establish_connection())
