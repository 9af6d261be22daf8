"""deploy/kubernetes says what our processes understand, and what Kubernetes does."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from cli.main import main
from ingress.http.server import FINISH_MARGIN_SECONDS
from ingress.kafka.publisher import FLUSH_SECONDS
from ingress.settings import IngressSettings
from local.stack import LEAVE_SECONDS
from processor.settings import ProcessorSettings
from service.settings import ServiceSettings

FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "deploy" / "kubernetes"
KUSTOMIZATION: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
DOCUMENTS: Final[list[dict[str, Any]]] = [
    document for name in KUSTOMIZATION["resources"] for document in yaml.safe_load_all((FOLDER / name).read_text())
]
OLDEST, NEWEST = "1.30", "1.37"
MODELS: Final[dict[str, type[ServiceSettings]]] = {"INGRESS_": IngressSettings, "PROCESSOR_": ProcessorSettings}


def find(kind: str, name: str) -> dict[str, Any]:
    found = [each for each in DOCUMENTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    assert 1 == len(found)
    return found[0]


WORKLOADS: Final = {
    "allocations-ingress": find("Deployment", "allocations-ingress"),
    "allocations-processor": find("StatefulSet", "allocations-processor"),
    "allocations-prepare": find("Job", "allocations-prepare"),
}
SERVED: Final = {name: WORKLOADS[name] for name in ("allocations-ingress", "allocations-processor")}


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = WORKLOADS[name]["spec"]["template"]["spec"]
    return spec


def containers(name: str) -> list[dict[str, Any]]:
    return [*pod(name).get("initContainers", []), *pod(name)["containers"]]


def environment(name: str) -> dict[str, str]:
    """As a container sees it; what comes from elsewhere has a value that any setting takes."""
    container = containers(name)[-1]
    found: dict[str, str] = {}
    for each in container["envFrom"]:
        found |= find("ConfigMap", each["configMapRef"]["name"])["data"]
    return found | {each["name"]: "elsewhere" for each in container.get("env", [])}


@pytest.mark.long
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_each_document_fits_its_schema(document: dict[str, Any], version: str) -> None:
    assert version == kubernetes_validate.validate(document, version, strict=True)


def test_a_word_that_kubernetes_does_not_know_is_seen() -> None:
    wrong = find("Deployment", "allocations-ingress") | {"spec": {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, for `kubectl kustomize`")
def test_kustomize_builds_it_and_each_pod_is_part_of_it() -> None:
    build = ["kubectl", "kustomize", str(FOLDER)]
    built = subprocess.run(build, capture_output=True, check=True, text=True)  # noqa: S603
    documents = list(yaml.safe_load_all(built.stdout))
    assert len(DOCUMENTS) == len(documents)
    for each in documents:
        kubernetes_validate.validate(each, NEWEST, strict=True)
        if "template" in each.get("spec", {}):
            assert "allocations" == each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"]


def test_no_document_has_a_namespace() -> None:
    assert [] == [each for each in DOCUMENTS if "namespace" in each["metadata"]]


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_variable_is_a_setting_and_none_that_is_required_is_missing(name: str) -> None:
    given = environment(name)
    prefix = "INGRESS_" if name == "allocations-ingress" else "PROCESSOR_"
    model = MODELS[prefix]
    known = {f"{prefix}{field}".upper(): field for field in model.model_fields}
    assert set() == given.keys() - known.keys()
    if name in SERVED:
        model(**{known[variable]: value for variable, value in given.items()})


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_container_runs_a_verb_of_ours(name: str) -> None:
    for each in containers(name):
        context = main.make_context("allocations", list(each["args"]), resilient_parsing=True)
        command = main.get_command(context, each["args"][0])
        assert command is not None
        command.make_context(each["args"][0], each["args"][1:], resilient_parsing=True)
        assert "allocations" == each["image"], "the overlay names a registry and a digest"


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_container_has_few_rights(name: str) -> None:
    spec = pod(name)
    assert spec["securityContext"]["runAsNonRoot"]
    assert "USER 10001:10001" in (FOLDER.parent.parent / "Dockerfile").read_text()
    assert 10001 == spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"]
    assert not spec["automountServiceAccountToken"]
    assert not spec["enableServiceLinks"], "variables like INGRESS_PORT=tcp://… would be read as ours"
    for each in containers(name):
        context = each["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert ["ALL"] == context["capabilities"]["drop"]
        assert "/tmp" in {mount["mountPath"] for mount in each["volumeMounts"]}  # noqa: S108
        assert each["resources"]["requests"]["memory"]
        assert each["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_file_is_in_a_mounted_volume_and_secrets_are_for_their_group_only(name: str) -> None:
    volumes = {each["name"]: each for each in pod(name)["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in containers(name)[-1]["volumeMounts"]}
    files = {key: value for key, value in environment(name).items() if key.endswith(("_FILE", "_FILES"))}
    assert files
    for key, value in files.items():
        folder = value.rpartition("/")[0]
        assert folder in mounts, key
        if "PASSWORD" in key or "TOKENS" in key or key.endswith("TLS_KEY_FILE"):
            assert 0o440 == mounts[folder]["secret"]["defaultMode"]
    assert "sslrootcert=/etc/allocations/authorities/" in environment(name)[f"{_prefix(name)}POSTGRES_URL"]


def _prefix(name: str) -> str:
    return "INGRESS_" if name == "allocations-ingress" else "PROCESSOR_"


@pytest.mark.parametrize("name", SERVED)
def test_ports_and_probes_are_those_of_the_process(name: str) -> None:
    container, given = containers(name)[-1], environment(name)
    ports = {each["name"]: str(each["containerPort"]) for each in container["ports"]}
    assert given[f"{_prefix(name)}METRICS_PORT"] == ports["metrics"]
    assert "0.0.0.0" == given[f"{_prefix(name)}METRICS_HOST"]  # noqa: S104
    for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        assert path == container[probe]["httpGet"]["path"]
        assert container[probe]["httpGet"]["port"] in ports
    assert "metrics" == container["livenessProbe"]["httpGet"]["port"], "it answers before the callers' port does"
    if name == "allocations-ingress":
        assert given["INGRESS_PORT"] == ports["callers"] == str(IngressSettings.model_fields["port"].default)
        ready = container["readinessProbe"]["httpGet"]
        assert ("callers", "HTTPS") == (ready["port"], ready["scheme"])
        assert "callers" == find("Service", name)["spec"]["ports"][0]["targetPort"]


def test_an_ingress_drains_for_longer_than_it_is_noticed_and_is_not_killed_before_it_is_done() -> None:
    given, probe = environment("allocations-ingress"), containers("allocations-ingress")[0]["readinessProbe"]
    drain = float(given["INGRESS_DRAIN_SECONDS"])
    assert drain > probe["periodSeconds"] * (probe["failureThreshold"] + 1) + 5
    longest = drain + IngressSettings.model_fields["answer_timeout_seconds"].default
    grace = pod("allocations-ingress")["terminationGracePeriodSeconds"]
    assert grace > longest + FINISH_MARGIN_SECONDS + FLUSH_SECONDS
    assert pod("allocations-processor")["terminationGracePeriodSeconds"] > LEAVE_SECONDS


def test_one_of_each_is_always_there() -> None:
    for name, workload in SERVED.items():
        assert workload["spec"]["replicas"] >= 2
        budget = find("PodDisruptionBudget", name)["spec"]
        assert 1 == budget.get("minAvailable", budget.get("maxUnavailable"))
        assert budget["selector"]["matchLabels"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
        assert workload["spec"]["selector"]["matchLabels"] == budget["selector"]["matchLabels"]
    update = SERVED["allocations-ingress"]["spec"]["strategy"]["rollingUpdate"]
    assert 0 == update["maxUnavailable"]


def test_a_processor_has_the_name_of_its_pod_for_ever() -> None:
    spec = SERVED["allocations-processor"]["spec"]
    assert "Parallel" == spec["podManagementPolicy"]
    names = {each["name"]: each["valueFrom"] for each in containers("allocations-processor")[0]["env"]}
    assert "metadata.name" == names["PROCESSOR_INSTANCE_ID"]["fieldRef"]["fieldPath"]
    assert find("Service", spec["serviceName"])


def test_status_78_ends_the_job() -> None:
    rules = WORKLOADS["allocations-prepare"]["spec"]["podFailurePolicy"]["rules"]
    assert [78] == rules[0]["onExitCodes"]["values"]
    assert "Never" == pod("allocations-prepare")["restartPolicy"], "a podFailurePolicy needs it"


def test_what_is_let_in_and_out() -> None:
    servers = find("NetworkPolicy", "allocations-servers")["spec"]
    assert {"Ingress", "Egress"} == set(servers["policyTypes"])
    allowed = {port["port"] for rule in servers["egress"] for port in rule["ports"]}
    assert {53, 9092, 5432} == allowed
    for name in WORKLOADS:
        given, prefix = environment(name), _prefix(name)
        brokers = given[f"{prefix}KAFKA_BOOTSTRAP_SERVERS"].split(",")
        assert {9092} == {int(each.rpartition(":")[2]) for each in brokers}
        assert ":5432/" in given[f"{prefix}POSTGRES_URL"]
    monitoring = find("NetworkPolicy", "allocations-monitoring")["spec"]["ingress"]
    assert ["metrics"] == [port["port"] for rule in monitoring for port in rule["ports"]]
    assert all(rule["from"] for rule in monitoring)
    callers = find("NetworkPolicy", "allocations-callers")["spec"]["ingress"]
    assert ["callers"] == [port["port"] for rule in callers for port in rule["ports"]]
