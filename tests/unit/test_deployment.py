"""Manifests, alerts and the dashboard: they parse, agree with each other and with the code, and ask for few rights."""

import json
import re
from pathlib import Path

import pytest
import yaml

from logship import plan
from logship.metrics import Metrics
from logship.settings import loader
from logship.settings.root import Settings

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "config/kubernetes"
RULES = ROOT / "config/prometheus/logship.rules.yaml"
DASHBOARD = ROOT / "config/grafana/logship.json"
COMPOSE = ROOT / "config/compose"
VARIANTS = ("sidecar", "daemonset")


def documents(path: Path) -> list[dict]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def resources(variant: str) -> list[dict]:
    """Return everything in a variant's directory but the kustomization, listed there or not."""
    files = sorted((KUBERNETES / variant).glob("*.yaml"))
    return [each for file in files if file.name != "kustomization.yaml" for each in documents(file)]


def resource(variant: str, kind: str, name: str | None = None) -> dict:
    [found] = [r for r in resources(variant) if r["kind"] == kind and name in (None, r["metadata"]["name"])]
    return found


def pod(variant: str) -> dict:
    kind = "DaemonSet" if variant == "daemonset" else "Deployment"
    return resource(variant, kind)["spec"]["template"]["spec"]


def logship(variant: str) -> dict:
    """Return the container that runs the daemon."""
    containers = [*pod(variant).get("initContainers", []), *pod(variant)["containers"]]
    [found] = [each for each in containers if each["name"] == "logship"]
    return found


def configuration(variant: str) -> Settings:
    [mounted] = [each for each in logship(variant)["volumeMounts"] if each["mountPath"] == "/etc/logship"]
    [volume] = [each for each in pod(variant)["volumes"] if each["name"] == mounted["name"]]
    text = resource(variant, "ConfigMap", volume["configMap"]["name"])["data"]["logship.yaml"]
    return read(text)


def read(text: str) -> Settings:
    """Read a configuration as in the image, whose STATE_DIRECTORY is set; fail on any problem and on any warning."""
    loaded, problems = loader.read(text, "logship.yaml", {"STATE_DIRECTORY": "/var/lib/logship"})
    assert list(map(str, problems)) == []
    plan.build(loaded)
    return loaded


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_kustomization_lists_what_is_there(variant):
    """Every manifest is listed, or stands there as one to list by hand; and nothing is listed that is not there."""
    text = (KUBERNETES / variant / "kustomization.yaml").read_text()
    named = re.findall(r"^  (?:# )?- (\S+\.yaml)$", text, re.MULTILINE)
    there = {path.name for path in (KUBERNETES / variant).glob("*.yaml")} - {"kustomization.yaml"}
    assert sorted(named) == sorted(there)
    assert not {"secret.yaml", "podmonitor.yaml"} & set(yaml.safe_load(text)["resources"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_configuration_in_the_configmap_is_valid(variant):
    """What a pod would read builds a plan, and its state is where the volume is."""
    loaded = configuration(variant)
    [state] = [each["mountPath"] for each in logship(variant)["volumeMounts"] if each["name"] == "state"]
    assert loaded.state_dir.is_relative_to(state)


def test_an_emptydir_is_not_the_state_directory_itself():
    """Everyone may write to an emptyDir, which logship refuses: its state is in a directory of its own inside."""
    assert configuration("sidecar").state_dir == Path("/var/lib/logship/state")
    [volume] = [each for each in pod("sidecar")["volumes"] if each["name"] == "state"]
    assert "emptyDir" in volume


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_configuration_is_mounted_as_a_directory(variant):
    """A subPath never changes; an edit has to reach the running daemon."""
    [mounted] = [each for each in logship(variant)["volumeMounts"] if each["mountPath"] == "/etc/logship"]
    assert "subPath" not in mounted


@pytest.mark.parametrize("variant", VARIANTS)
def test_probes_and_metrics_find_the_listener(variant):
    """The listener is told to be reachable, and every port that is named is the one it listens on."""
    loaded, container = configuration(variant), logship(variant)
    assert loaded.admin is not None
    assert loaded.admin.host == "0.0.0.0"
    assert container["ports"] == [{"name": "logship", "containerPort": loaded.admin.port}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "logship"}
    assert resource(variant, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"] == "logship"


def test_a_site_does_not_go_down_with_its_analytics():
    """A sidecar's readiness would be the pod's: only where logship serves nobody else is /readyz probed."""
    assert "readinessProbe" not in logship("sidecar")
    assert logship("daemonset")["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_sidecar_is_a_native_one():
    """It starts before the web server and stops after it, so that the last lines are read."""
    [sidecar] = pod("sidecar")["initContainers"]
    assert sidecar["restartPolicy"] == "Always"


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pod_has_time_for_the_grace_period(variant):
    """The kubelet kills only after logship had its grace period, and some seconds to save."""
    assert pod(variant)["terminationGracePeriodSeconds"] >= configuration(variant).grace_period + 10


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_daemon_runs_without_rights(variant):
    """The image's numeric user, no capability, a read-only root, logs that it cannot write to, and no token."""
    container = logship(variant)
    security = container["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (10001, 10001)
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert [m["name"] for m in container["volumeMounts"] if not m.get("readOnly")] == ["state"]
    assert pod(variant)["automountServiceAccountToken"] is False
    assert pod(variant)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {"requests", "limits"} <= container["resources"].keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_selectors_meet_the_pods(variant):
    """Policy and monitor select the labels that the pods have; the secret that the pod asks for is the one there."""
    kind = "DaemonSet" if variant == "daemonset" else "Deployment"
    labels = resource(variant, kind)["spec"]["template"]["metadata"]["labels"]
    assert resource(variant, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    assert resource(variant, "PodMonitor")["spec"]["selector"]["matchLabels"] == labels
    [reference] = logship(variant)["envFrom"]
    assert reference["secretRef"] == {"name": resource(variant, "Secret")["metadata"]["name"], "optional": True}


def test_compose_holds_together():
    """Services, volumes and mounted files are there; the configuration is valid; logship stops after nginx."""
    compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    loaded = read((COMPOSE / "logship/logship.yaml").read_text())
    services = compose["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", []) if isinstance(mount, str)]
    for source in (mount.split(":")[0] for mount in mounts):
        assert (COMPOSE / source).exists() if source.startswith(".") else source in compose["volumes"]
    assert "logship" in services["nginx"]["depends_on"]
    assert loaded.destinations[0].url.startswith("http://plausible:8000/")
    assert all(port.startswith("127.0.0.1:") for name in ("plausible", "logship") for port in services[name]["ports"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_podmonitor_holds_what_the_operator_knows(variant):
    """The API server drops a field that it does not know in silence, and nothing is scraped.

    Fields and the form of a duration: prometheus-operator's API reference, PodMonitor of monitoring.coreos.com/v1.
    """
    monitor = resource(variant, "PodMonitor")
    assert monitor.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["spec"].keys() <= {"selector", "podMetricsEndpoints", "jobLabel", "namespaceSelector"}
    assert monitor["spec"]["selector"].keys() <= {"matchLabels", "matchExpressions"}
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        assert endpoint.keys() <= {"port", "path", "scheme", "interval", "scrapeTimeout", "honorLabels", "relabelings"}
        assert re.fullmatch(r"(\d+h)?(\d+m)?(\d+s)?", endpoint["interval"])


def test_the_log_of_compose_is_not_the_images_link():
    """A new volume gets a copy of the image's access.log -> /dev/stdout, which nobody can follow."""
    log = read((COMPOSE / "logship/logship.yaml").read_text()).sources[0].path[0]
    assert Path(log).name not in ("access.log", "error.log")
    assert f"access_log {log} " in (COMPOSE / "nginx/default.conf").read_text()
    assert f"log={log}\n" in (COMPOSE / "rotate.sh").read_text()


def test_both_rotations_are_the_same():
    """The script of the pod and that of compose differ in the log, in where nginx keeps its pid, and in comments."""
    pods = resource("sidecar", "ConfigMap", "web-nginx")["data"]["50-rotate.sh"].replace("/tmp/nginx.pid", "PID")
    composed = (COMPOSE / "rotate.sh").read_text().replace("/run/nginx.pid", "PID").replace("shop.log", "access.log")
    assert code(pods) == code(composed)
    assert (COMPOSE / "rotate.sh").stat().st_mode & 0o111


def code(script: str) -> list[str]:
    return [line for line in script.splitlines() if line and not line.startswith("#")]


# Alerts and dashboard


def exported() -> set[str]:
    """Return the name of every series that logship can show."""
    names: set[str] = set()
    for metric in Metrics().registry.collect():
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
        names |= {metric.name + end for end in ends}
    return names


def alerts() -> list[dict]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def dashboard_expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_only_metrics_that_exist_are_asked_for(path):
    """A name that logship does not export would be a panel without data, and an alert that never fires."""
    named = set(re.findall(r"\blogship_\w+", path.read_text()))
    assert named
    assert named - exported() == set()


def test_the_dashboard_shows_nearly_every_metric():
    """A metric that is worth counting is worth a look; the hash is for comparing instances by hand."""
    shown = set(re.findall(r"\blogship_\w+", DASHBOARD.read_text()))
    parts = {name for name in exported() if name.startswith("logship_request_seconds_")}
    assert exported() - parts - shown == {"logship_config_hash"}


def test_panels_have_their_place():
    """Ids are unique, panels say what they show, and none lies over another."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] != "row" and not panel["description"]] == []
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_expressions_select_the_instance():
    """Every panel follows the choice of instances."""
    assert [expr for expr in dashboard_expressions() if 'instance=~"$instance"' not in expr] == []


def test_every_alert_has_a_unit_test_that_fires_it():
    """An alert that was never seen firing is a hope."""
    tests = yaml.safe_load((RULES.parent / "logship.rules.test.yaml").read_text())["tests"]
    fired = {
        re.search(r'alertname="(\w+)"', case["expr"])[1]
        for test in tests
        for case in test["promql_expr_test"]
        if case["exp_samples"]
    }
    assert fired == {alert["alert"] for alert in alerts()}


def test_every_alert_leads_to_a_page():
    """Its severity is one of three, and its runbook a heading of the page that says what to do."""
    headings = {anchor(line) for line in (ROOT / "docs/operate.md").read_text().splitlines() if line.startswith("#")}
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["annotations"]["summary"]
        assert alert["annotations"]["runbook"] in headings, alert["alert"]


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lstrip("# ").lower()).replace(" ", "-")
