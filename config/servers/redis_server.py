"""How a private Redis is started: its file, its command, and the proof that it answers."""

import redis

from config.servers.process import free_ports, kept_secret, write_private
from config.servers.site import HOST, Certificates, Server, Site
from config.tls import redis_address


def start_redis(site: Site) -> Server:
    [port] = free_ports(1)
    password = kept_secret(site.folder / "password")
    settings = write_private(
        site.folder / "redis.conf",
        f"{_listening(port, site.certificates)}"
        f"bind {HOST}\nrequirepass {password}\ndir \"{site.folder}\"\n"
        'save ""\nappendonly no\ndaemonize no\n',
    )
    daemon = site.launch_server("redis-server", str(settings), port=port)
    url = f"redis{'s' if site.certificates else ''}://:{password}@{HOST}:{port}/0"
    return Server(site.setting, url, daemon, lambda: _ask(redis_address(url, site.ca_file)))


def _listening(port: int, certificates: Certificates | None) -> str:
    if certificates is None:
        return f"port {port}\n"
    return (
        f'port 0\ntls-port {port}\ntls-auth-clients no\ntls-ca-cert-file "{certificates.ca}"\n'
        f'tls-cert-file "{certificates.certificate}"\ntls-key-file "{certificates.key}"\n'
    )


def _ask(url: str) -> None:
    with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
        client.ping()
