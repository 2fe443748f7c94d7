"""The manifests of deploy/kubernetes, as kubectl renders them and by Kubernetes' own schemas.

What has definitions of its own (PodMonitor, HTTPRoute) is in deploy-types.test.mjs; whether they fit the
program is asked by tests/repository/deploy/kubernetes.rs.
"""

import copy
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

MANIFESTS = Path(__file__).parents[3] / "deploy/kubernetes"
# The oldest that takes all of it as it stands, and the newest there is.
VERSIONS = ["1.30", "1.33", "1.37"]


def rendered(directory: Path) -> list[dict]:
    """What `kubectl apply -k` would send."""
    kubectl = Path(sys.executable).parent / "kubectl"
    # It reads the environment; none of it is for this.
    ran = subprocess.run(
        [kubectl, "kustomize", directory], capture_output=True, text=True, env={}, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return list(yaml.safe_load_all(ran.stdout))


def file(name: str) -> dict:
    return yaml.safe_load((MANIFESTS / name).read_text())


@pytest.mark.parametrize("version", VERSIONS)
def test_schemas(version: str) -> None:
    objects = rendered(MANIFESTS)
    kinds = {it["kind"] for it in objects}
    assert kinds == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    }
    for it in [*objects, file("ingress.yaml"), file("secret.example.yaml")]:
        kubernetes_validate.validate(it, version, strict=True)


def test_a_mistake_is_seen() -> None:
    deployment = file("deployment.yaml")
    for path, value in [
        (("spec", "template", "spec", "terminationGraceSeconds"), 145),
        (("spec", "template", "spec", "terminationGracePeriodSeconds"), "145s"),
    ]:
        wrong = copy.deepcopy(deployment)
        place = wrong
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_rendering_fills_in_image_and_configuration() -> None:
    by_kind = {it["kind"]: it for it in rendered(MANIFESTS)}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    image = pod["containers"][0]["image"]
    assert image.startswith("registry.example.com/tailrace:")
    configuration = by_kind["ConfigMap"]
    assert configuration["data"] == {"tailrace.toml": (MANIFESTS / "tailrace.toml").read_text()}
    assert configuration["metadata"]["name"] == pod["volumes"][0]["configMap"]["name"]
    # Octal, as it stands there.
    assert pod["volumes"][1]["secret"]["defaultMode"] == 0o440


def test_monitoring_renders() -> None:
    assert [it["kind"] for it in rendered(MANIFESTS / "monitoring")] == ["PodMonitor"]
