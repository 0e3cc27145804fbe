"""What systemd hears."""

import os
import resource
import socket

import pytest

from logship.servicemanager import ServiceManager


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        yield listening


def test_readiness_is_told_as_one_datagram(listener, tmp_path):
    """Assignments that belong together arrive together."""
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert manager.tell("READY=1", "STATUS=following 3 files")
    assert listener.recv(4096) == b"READY=1\nSTATUS=following 3 files"


def test_abstract_socket_is_reached_by_its_at_sign():
    """systemd writes a leading @ for the NUL of an abstract name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"logship-test-{os.getpid()}"
        listening.bind(f"\0{name}")
        listening.settimeout(60)
        ServiceManager(f"@{name}").tell("STOPPING=1")
        assert listening.recv(4096) == b"STOPPING=1"


def test_without_a_manager_telling_is_a_silent_success():
    """Run by hand, nobody listens, and nothing depends on it."""
    assert ServiceManager.from_environment({}).tell("READY=1")


def test_a_manager_that_is_gone_does_not_disturb(tmp_path):
    """A socket that nobody reads is reported as not told, never raised."""
    assert not ServiceManager(str(tmp_path / "nobody")).tell("READY=1")


def test_telling_without_a_descriptor_left_never_raises(listener, tmp_path):
    """A stop says STOPPING first: where a socket cannot be had, it must go on all the same."""
    manager = ServiceManager(str(tmp_path / "notify"))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        told = manager.tell("STOPPING=1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not told
    assert manager.tell("STOPPING=1")


@pytest.mark.parametrize(("usec", "interval"), [("30000000", 5.0), ("3000000", 1.0), ("", 5.0), ("soon", 5.0)])
def test_watchdog_is_fed_three_times_as_often_as_it_asks(usec, interval):
    """A late loop has two more chances before it is restarted."""
    assert ServiceManager.from_environment({"WATCHDOG_USEC": usec}).interval == interval
