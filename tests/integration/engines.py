"""Container engines: whichever is there is called `docker`; and images that stand in for those of a registry.

Where the official base images cannot be fetched, stand-ins of the same names are made of a Debian by debootstrap.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE", "logship", "config")
PYTHON, NGINX = "docker.io/library/python:3.11-slim-bookworm", "docker.io/library/nginx:1.29-bookworm"


class Engine:
    """A container engine that is called `docker`, whichever it is, in a directory of its own."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.place = place
        compose = next(filter(shutil.which, COMPOSE[name]), None)
        (place / "bin").mkdir()
        shim = place / "bin/docker"
        shim.write_text(
            f'#!/bin/sh\n[ "$1" = compose ] && shift && exec {compose} "$@"\nexec {shutil.which(name)} "$@"\n'
        )
        shim.chmod(0o755)
        self.composes = compose is not None
        self._environment = {**os.environ, "PATH": f"{place}/bin:{os.environ['PATH']}", "BUILDAH_FORMAT": "docker"}

    def run(self, *words: str, check: bool = True, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run an engine's command, and fail with what it said."""
        return self.shell(" ".join(["docker", *(_quoted(word) for word in words)]), check=check, seconds=seconds)

    def shell(self, line: str, *, check: bool = True, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a line as it stands in a page, where the copy of the checkout is."""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.place,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0 or not check, f"{line}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def has(self, image: str) -> bool:
        """Tell whether an image is there, or can be fetched."""
        if self.run("image", "inspect", image, check=False).returncode == 0:
            return True
        return self.run("pull", "--quiet", image, check=False, seconds=600).returncode == 0


_SHIM = """#!/bin/sh
[ "$1" = compose ] && shift && exec {compose} "$@"
exec {engine} "$@"
"""
COMPOSE = {"docker": ("docker-compose",), "podman": ("podman-compose",)}


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def works(name: str) -> bool:
    """Tell whether an engine is there and runs: a client without its daemon does not."""
    if shutil.which(name) is None:
        return False
    try:
        return subprocess.run([name, "info"], capture_output=True, timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def copy_checkout(place: Path) -> None:
    """Copy what the image is made of, and the examples."""
    for name in [*CHECKOUT, *(path.name for path in ROOT.glob("requirements*.txt"))]:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / name)


def make_stand_ins(engine: Engine, debian: Path) -> None:
    """Make images that behave as the official ones do, where it matters here, and have their names."""
    change = ["--change", "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--change", "CMD python3"]
    words = " ".join(["docker", "import", *map(_quoted, change), "-", "logship-test-debian"])
    engine.shell(f"tar -C {debian} -c . | {words}", seconds=600)
    context = engine.place / "stand-in"
    context.mkdir()
    (context / "nginx.conf").write_text(_NGINX_CONF)
    (context / "entrypoint.sh").write_text(_ENTRYPOINT)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)  # this machine's way to the package index
    for image, text in {PYTHON: _PYTHON, NGINX: _NGINX}.items():
        (context / "Dockerfile").write_text(text)
        engine.run("build", "--tag", image, str(context), seconds=600)


_PYTHON = """
FROM logship-test-debian
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN ln -sf /usr/bin/python3 /usr/local/bin/python && ln -sf /usr/bin/python3 /usr/local/bin/python3
"""

# As the official one behaves, where it matters: user 101, links in place of the logs, scripts before the start.
_NGINX = """
FROM logship-test-debian
RUN sed -i '/^[^:]*:[^:]*:101:/d' /etc/passwd /etc/group && groupadd -g 101 nginx && useradd -M -u 101 -g 101 nginx \\
 && mkdir -p /docker-entrypoint.d /usr/share/nginx/html && echo '<h1>Hello</h1>' > /usr/share/nginx/html/index.html \\
 && rm -f /var/log/nginx/* \\
 && ln -s /dev/stdout /var/log/nginx/access.log && ln -s /dev/stderr /var/log/nginx/error.log
COPY nginx.conf /etc/nginx/nginx.conf
COPY entrypoint.sh /docker-entrypoint.sh
RUN chmod 755 /docker-entrypoint.sh
ENTRYPOINT ["/docker-entrypoint.sh"]
STOPSIGNAL SIGQUIT
EXPOSE 80
CMD ["nginx", "-g", "daemon off;"]
"""

_NGINX_CONF = """
user nginx;
worker_processes 1;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
events { worker_connections 64; }
http {
  include /etc/nginx/mime.types;
  access_log /var/log/nginx/access.log combined;
  include /etc/nginx/conf.d/*.conf;
}
"""

_ENTRYPOINT = """#!/bin/sh
set -e
for script in $(find /docker-entrypoint.d/ -follow -type f -name '*.sh' | sort); do
  if [ -x "$script" ]; then "$script"; fi
done
exec "$@"
"""
