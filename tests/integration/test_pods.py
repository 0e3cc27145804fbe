"""The pods of config/kubernetes, run by a container engine as a kubelet would: same users, groups, mounts and order.

No cluster: what is tried is what a pod's manifest asks for, word for word, but for the destination's address and the
image's registry. The API server's part (admission, scheduling, services, policies) is not. `make faults` runs it.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.engines import NGINX, Engine

KUBERNETES = Path(__file__).resolve().parents[2] / "config/kubernetes"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
NETWORK = "logship-test-pods"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has an engine to itself"),
]


class Kubelet:
    """Runs one pod of a variant, from the files that its kustomization lists; volumes and node are directories."""

    def __init__(self, engine: Engine, variant: str, volumes: Path, node: Path) -> None:
        listed = yaml.safe_load((KUBERNETES / variant / "kustomization.yaml").read_text())["resources"]
        texts = [(KUBERNETES / variant / name).read_text() for name in listed]
        self.resources = [each for text in texts for each in yaml.safe_load_all(text) if each]
        [owner] = [each for each in self.resources if each["kind"] in ("Deployment", "DaemonSet")]
        self.pod = owner["spec"]["template"]["spec"]
        self._engine, self._volumes, self._node = engine, volumes, node
        self._swaps = 0
        self.images = {"logship": "logship", "nginxinc/nginx-unprivileged:1.29-bookworm": NGINX}
        self.environment: dict[str, str] = {}

    def config_map(self, name: str) -> dict[str, str]:
        """Return what a ConfigMap holds."""
        [found] = [each for each in self.resources if each["kind"] == "ConfigMap" and each["metadata"]["name"] == name]
        data: dict[str, str] = found["data"]
        return data

    def start(self) -> None:
        """Make the volumes, then start the containers in their order; those that are to end have ended."""
        for volume in self.pod["volumes"]:
            self._make(volume)
        pause = ["run", "--detach", "--name", "logship-test-pause", "--network", NETWORK, "--entrypoint", "sleep"]
        self._engine.run(*pause, NGINX, "1d")
        for container in self.pod.get("initContainers", []):
            self._run(container, detach=container.get("restartPolicy") == "Always")
        for container in self.pod["containers"]:
            self._run(container, detach=True)

    def stop(self) -> dict[str, int]:
        """Stop the containers, sidecars after all others and in reverse order; return their exit codes."""
        sidecars = [
            each["name"] for each in self.pod.get("initContainers", []) if each.get("restartPolicy") == "Always"
        ]
        names = [*(each["name"] for each in self.pod["containers"]), *reversed(sidecars)]
        codes = {}
        for name in names:
            self._engine.run("stop", "--time", str(self.pod["terminationGracePeriodSeconds"]), _called(name))
            [found] = json.loads(self._engine.run("inspect", _called(name)).stdout)
            codes[name] = found["State"]["ExitCode"]
        return codes

    def remove(self) -> None:
        """Remove the containers; volumes of the node stay."""
        every = [*self.pod.get("initContainers", []), *self.pod["containers"]]
        for name in [*(_called(each["name"]) for each in every), "logship-test-pause"]:
            self._engine.run("rm", "--force", "--volumes", name, check=False)

    def probe(self, name: str, kind: str) -> bool:
        """Ask what a probe asks, from the outside, as the kubelet does."""
        [container] = [c for c in [*self.pod.get("initContainers", []), *self.pod["containers"]] if c["name"] == name]
        asked = container[kind]["httpGet"]
        [port] = [each["containerPort"] for each in container["ports"] if each["name"] == asked["port"]]
        status, _ = self.get(port, asked["path"])
        return 200 <= status < 400

    def get(self, port: int, path: str, **headers: str) -> tuple[int, bytes]:
        """Ask the pod for a page; status 0 where nobody answers."""
        connection = http.client.HTTPConnection(address(self._engine, "logship-test-pause"), port, timeout=10)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def swap(self, name: str, data: dict[str, str]) -> None:
        """Write a ConfigMap into its volume as the kubelet does: a new directory, one rename of the link `..data`."""
        volume, self._swaps = self._volumes / name, self._swaps + 1
        fresh = volume / f"..{self._swaps}"
        fresh.mkdir()
        for key, text in data.items():
            (fresh / key).write_text(text)
            (fresh / key).chmod(0o555 if key.endswith(".sh") else 0o644)
            if not (volume / key).is_symlink():
                (volume / key).symlink_to(f"..data/{key}")
        (volume / "..data_tmp").symlink_to(fresh.name)
        (volume / "..data_tmp").rename(volume / "..data")

    def host(self, path: str) -> Path:
        """Return where a directory of the node is."""
        return self._node / path.lstrip("/")

    def _make(self, volume: dict[str, Any]) -> None:
        place = self._volumes / volume["name"]
        if "hostPath" in volume:
            if volume["hostPath"]["type"] == "DirectoryOrCreate":
                self.host(volume["hostPath"]["path"]).mkdir(parents=True, exist_ok=True)
            assert self.host(volume["hostPath"]["path"]).is_dir()
            return
        place.mkdir(parents=True)
        if "configMap" in volume:
            self.swap(volume["name"], self.config_map(volume["configMap"]["name"]))
        else:
            assert "emptyDir" in volume
            os.chown(place, 0, self.pod["securityContext"]["fsGroup"])
            place.chmod(0o2777)

    def _run(self, container: dict[str, Any], *, detach: bool) -> None:
        words = ["run", *(["--detach"] if detach else []), "--name", _called(container["name"])]
        words += ["--network", "container:logship-test-pause", *self._security(container["securityContext"])]
        words += ["--memory", container["resources"]["limits"]["memory"].removesuffix("i").lower()]
        words += [word for mount in container["volumeMounts"] for word in ("--volume", self._mount(mount))]
        words += [word for name, value in self.environment.items() for word in ("--env", f"{name}={value}")]
        assert all(each["secretRef"]["optional"] for each in container.get("envFrom", []))
        command = container.get("command", [])
        words += ["--entrypoint", command[0]] if command else []
        self._engine.run(*words, self.images[container["image"]], *command[1:], *container.get("args", []))

    def _security(self, context: dict[str, Any]) -> list[str]:
        """Return an engine's words for a container's security context, and for its pod's."""
        pod = self.pod["securityContext"]
        capabilities = context["capabilities"]
        words = ["--user", f"{context['runAsUser']}:{context['runAsGroup']}"]
        words += [word for each in capabilities.get("drop", []) for word in ("--cap-drop", each)]
        words += [word for each in capabilities.get("add", []) for word in ("--cap-add", each)]
        groups = [*pod.get("supplementalGroups", []), *([pod["fsGroup"]] if "fsGroup" in pod else [])]
        words += [word for each in groups for word in ("--group-add", str(each))]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        bare = ["--read-only-tmpfs=false"] if self._engine.name == "podman" else []
        return [*words, "--read-only", *bare, "--security-opt", "no-new-privileges"]

    def _mount(self, mount: dict[str, Any]) -> str:
        [volume] = [each for each in self.pod["volumes"] if each["name"] == mount["name"]]
        place = self._volumes / volume["name"]
        if "hostPath" in volume:
            place = self.host(volume["hostPath"]["path"])
        if "subPath" in mount:
            place = (place / mount["subPath"]).resolve()  # what it is now, and for ever
        return f"{place}:{mount['mountPath']}" + (":ro" if mount.get("readOnly") else "")


def _called(container: str) -> str:
    return f"logship-test-pod-{container}"


def address(engine: Engine, name: str) -> str:
    """Return a container's address in the network of the pods."""
    [found] = json.loads(engine.run("inspect", name).stdout)
    ours: str = found["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
    return ours


class Receiver:
    """`logship receive` in the pods' network."""

    def __init__(self, engine: Engine) -> None:
        self.address = address(engine, "logship-test-receiver")

    def events(self) -> list[dict[str, Any]]:
        """Return all that has arrived."""
        connection = http.client.HTTPConnection(self.address, 8000, timeout=10)
        try:
            connection.request("GET", "/api/events?limit=1000")
            found: list[dict[str, Any]] = json.loads(connection.getresponse().read())
            return found
        except OSError:
            return []
        finally:
            connection.close()

    def paths(self) -> list[str]:
        """Return the pages whose visits have arrived."""
        return [event["pathname"] for event in self.events()]


@pytest.fixture
def arrived(engine: Engine, image: str) -> Iterator[Receiver]:
    engine.run("network", "create", NETWORK, check=False)
    words = ("run", "--detach", "--name", "logship-test-receiver", "--network", NETWORK, "--no-healthcheck")
    engine.run(*words, image, "receive", "--listen", "0.0.0.0:8000", "--keep-addresses")
    yield Receiver(engine)
    engine.run("rm", "--force", "--volumes", "logship-test-receiver", check=False)
    engine.run("network", "rm", NETWORK, check=False)


@pytest.fixture
def kubelet(engine: Engine, place: Path, arrived: Receiver) -> Iterator[Callable[[str], Kubelet]]:
    made = []

    def make(variant: str) -> Kubelet:
        made.append(Kubelet(engine, variant, place / f"pod-{len(made)}", place / "node"))
        for each in made[-1].resources:
            if "logship.yaml" in each.get("data", {}):
                text = each["data"]["logship.yaml"]
                assert "https://plausible.io" in text
                each["data"]["logship.yaml"] = text.replace("https://plausible.io", f"http://{arrived.address}:8000")
        return made[-1]

    yield make
    for each in made:
        each.remove()


def test_a_sidecar_reads_its_web_server_to_the_last_line(kubelet, arrived, wait_until):
    """From the start to the end of a pod: probes, a visit, an edited ConfigMap, rotations, an orderly stop."""
    pod = kubelet("sidecar")
    pod.environment = {"ROTATE_EVERY": "1", "ROTATE_AT": "300"}
    pod.start()
    wait_until(lambda: pod.probe("logship", "livenessProbe"), "the sidecar", 60)
    wait_until(lambda: pod.probe("nginx", "readinessProbe"), "the web server", 60)

    def visit(path: str) -> None:
        pod.get(8080, path, User_Agent=FIREFOX, X_Forwarded_For="203.0.113.7")

    visit("/?utm_source=news")
    wait_until(lambda: arrived.paths() == ["/"], "the first visit", 60)
    [event] = arrived.events()
    assert (event["ip"], event["hostname"], event["utm"]["source"]) == ("203.0.113.7", "example.com", "news")

    data = pod.config_map("web-logship")
    rules = "\nrules: [{preset: not-found}, {preset: pageviews}]\n"
    pod.swap("config", {"logship.yaml": data["logship.yaml"] + rules})
    wait_until(lambda: json.loads(pod.get(9469, "/status")[1])["reload"]["number"] == 2, "the reload", 60)

    for number in range(40):  # over several rotations
        visit(f"/missing/{number}")
        time.sleep(0.1)
    visit("/?last")
    assert set(pod.stop().values()) == {0}
    assert [path for path in arrived.paths() if path.startswith("/missing")] == [f"/missing/{n}" for n in range(40)]
    assert arrived.paths().count("/") == 2


def test_a_daemonset_reads_the_nodes_logs_and_resumes(kubelet, arrived, wait_until):
    """With group 0 and no capability: an ingress' log in CRI's form, a pod that comes, and a restart of its own."""
    pod = kubelet("daemonset")
    ingress = pod.host("/var/log/pods/ingress-nginx_controller-1_uid/controller/0.log")
    _write(ingress, "/before")
    pod.start()
    wait_until(lambda: pod.probe("logship", "readinessProbe"), "readiness", 60)
    assert pod.probe("logship", "livenessProbe")
    state = pod.host("/var/lib/logship").stat()
    assert (state.st_mode & 0o777, state.st_uid) == (0o700, 10001)

    _write(ingress, "/one")
    wait_until(lambda: arrived.paths() == ["/one"], "a visit through the ingress", 60)
    _write(pod.host("/var/log/pods/ingress-nginx_controller-2_uid/controller/0.log"), "/two")
    wait_until(lambda: arrived.paths() == ["/one", "/two"], "a visit through a new pod", 60)
    assert {event["ip"] for event in arrived.events()} == {"203.0.113.7"}

    assert pod.stop() == {"logship": 0}
    pod.remove()
    _write(ingress, "/while-away")
    kubelet("daemonset").start()
    wait_until(lambda: arrived.paths() == ["/one", "/two", "/while-away"], "what was written meanwhile", 60)


def _write(log: Path, path: str) -> None:
    """Write a line as ingress-nginx does with `$host` in front, and containerd around it; mode and owner, too."""
    log.parent.mkdir(parents=True, exist_ok=True)
    now = time.gmtime()
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", now)
    line = f'shop.example.com 203.0.113.7 - - [{when}] "GET {path} HTTP/1.1" 200 5'
    with log.open("a") as file:
        file.write(f'{time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", now)} stdout F {line} "-" "{FIREFOX}"\n')
    log.chmod(0o640)
