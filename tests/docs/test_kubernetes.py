"""The manifest for Kubernetes is valid, and its parts fit together and the server's options."""

from pathlib import Path

import pytest

pytest.importorskip("yaml")

import yaml

from pronghorn.metrics import layout
from tests.support.configurations import check_command

MANIFEST = Path(__file__).resolve().parents[2] / "docs" / "assets" / "kubernetes.yaml"
RESOURCES = {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))}
# Of the Prometheus Operator, not of Kubernetes.
CUSTOM = {"PodMonitor"}

DEPLOYMENT, SERVICE, MONITOR, SCALER = (
    RESOURCES[kind] for kind in ("Deployment", "Service", "PodMonitor", "HorizontalPodAutoscaler")
)
TEMPLATE = DEPLOYMENT["spec"]["template"]
POD = TEMPLATE["spec"]
[CONTAINER] = POD["containers"]
PROBES = {name: CONTAINER[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}


@pytest.fixture(scope="module")
def options():
    """The options with which the container starts the server."""
    return check_command(CONTAINER["args"])


@pytest.mark.parametrize("kind", sorted(RESOURCES.keys() - CUSTOM))
def test_resource_fits_the_schema(kind):
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(RESOURCES[kind], validator.latest_version(), strict=True)


def test_pods_are_selected():
    labels = TEMPLATE["metadata"]["labels"].items()
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"].items() <= labels
    assert SERVICE["spec"]["selector"].items() <= labels
    assert MONITOR["spec"]["selector"]["matchLabels"].items() <= labels


def test_server_listens_on_the_ports(options):
    assert [place.rpartition(":")[2] for place in options["bind"]] == [str(PORTS["http"])]
    assert options["metrics_bind"].rpartition(":")[2] == str(PORTS["metrics"])


def test_service_leads_to_the_server_alone():
    assert [port["targetPort"] for port in SERVICE["spec"]["ports"]] == ["http"]


def test_monitor_reads_the_metrics():
    assert [endpoint["port"] for endpoint in MONITOR["spec"]["podMetricsEndpoints"]] == ["metrics"]


@pytest.mark.parametrize("name", PROBES)
def test_probe_asks_the_health_path(name, options):
    assert PROBES[name]["httpGet"] == {"path": options["health_path"], "port": "http"}


def test_readiness_ends_before_liveness():
    def patience(probe):
        return probe["periodSeconds"] * probe["failureThreshold"]

    assert patience(PROBES["readinessProbe"]) < patience(PROBES["livenessProbe"])


def test_pod_has_time_to_stop(options):
    longest = options["drain_delay"] + 2 * options["timeout_graceful_shutdown"] + 5
    assert POD["terminationGracePeriodSeconds"] >= longest


def test_memory_is_limited(options):
    assert options["limit_max_rss"].endswith("%")
    assert "memory" in CONTAINER["resources"]["limits"]


def test_scaler_scales_the_deployment_by_a_metric_of_ours():
    target = SCALER["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", DEPLOYMENT["metadata"]["name"])
    assert "replicas" not in DEPLOYMENT["spec"]
    [metric] = SCALER["spec"]["metrics"]
    gauges = {family.name for family in layout.FAMILIES if family.kind is layout.Kind.GAUGE}
    assert metric["pods"]["metric"]["name"] in gauges


def test_volumes_are_mounted():
    assert [volume["name"] for volume in POD["volumes"]] == [mount["name"] for mount in CONTAINER["volumeMounts"]]


def test_container_is_not_privileged():
    context = CONTAINER["securityContext"]
    assert POD["securityContext"]["runAsNonRoot"]
    assert POD["securityContext"]["runAsUser"]
    assert context["readOnlyRootFilesystem"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False


def test_drain_delay_outlasts_readiness(options):
    probe = PROBES["readinessProbe"]
    assert options["drain_delay"] >= probe["periodSeconds"] * probe["failureThreshold"]
