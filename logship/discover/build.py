"""What was compiled into nginx: the directory that relative paths start from, and the default log.

``nginx -V`` tells. If it cannot be asked, or was built for another configuration, the place of the file is evidence
enough: packages put it into /etc/nginx, a build from source into PREFIX/conf.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Build:
    """``prefix`` is what relative log paths start from, ``log`` the log of a server that names none."""

    conf: str
    prefix: str
    log: str


def of(conf: str, version: str) -> Build:
    """Return what ``nginx -V`` says if it is about this file, else what the file's place suggests."""
    compiled = parse(version)
    return compiled if compiled is not None and _same(compiled.conf, conf) else guess(conf)


def ask() -> str:
    """Return the output of ``nginx -V``, "" without nginx. This starts no server and reads no configuration."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin")
    if program is None:
        return ""
    try:
        return subprocess.run([program, "-V"], capture_output=True, text=True, timeout=5, check=False).stderr  # noqa: S603
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""


def parse(version: str) -> Build | None:
    """Return what the output of ``nginx -V`` says; None if it says nothing."""
    if "configure arguments:" not in version:
        return None
    options = dict(re.findall(r"--(prefix|conf-path|http-log-path)=(\S+)", version))
    prefix = options.get("prefix", "/usr/local/nginx")
    conf = os.path.join(prefix, options.get("conf-path", "conf/nginx.conf"))
    return Build(conf, prefix, os.path.join(prefix, options.get("http-log-path", "logs/access.log")))


def guess(conf: str) -> Build:
    """Return what usually goes with a configuration at this place."""
    directory = os.path.dirname(os.path.abspath(conf))
    if os.path.basename(directory) == "conf":
        prefix = os.path.dirname(directory)
        return Build(conf, prefix, os.path.join(prefix, "logs/access.log"))
    return Build(conf, directory, "/var/log/nginx/access.log")


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
