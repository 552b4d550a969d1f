"""No test asks the network: a connection beyond this machine is refused, and fails the test even if it is caught."""

import ipaddress
import socket
import sys

CONNECT = {"socket.connect", "socket.sendto", "socket.sendmsg"}  # events of Python's audit hooks
RESOLVE = {"socket.getaddrinfo", "socket.gethostbyname"}
HERE = {"", "localhost", socket.gethostname()}
asked: list[str] = []
"""Whom something wanted to reach, since somebody looked."""


def beyond(host: object) -> bool:
    """Whether a host, by its name or number, is another machine; sockets of files and of the kernel have none."""
    if isinstance(host, bytes):
        host = host.decode()
    if not isinstance(host, str) or host in HERE:
        return False
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return True
    return not (number.is_loopback or number.is_unspecified)


def refuse(event: str, arguments: tuple) -> None:
    """An audit hook: ConnectionRefusedError for what would leave this machine."""
    if event in CONNECT and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event in RESOLVE:
        host = arguments[0]
    else:
        return
    if beyond(host):
        asked.append(f"{event} {host}")
        raise ConnectionRefusedError(f"tests ask no network: {event} {host}")


sys.addaudithook(refuse)
