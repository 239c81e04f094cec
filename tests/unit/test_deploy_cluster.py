"""The objects for Kubernetes and Argo against their schemas, and against the image."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.factories.deployment import DEPLOY, ENVIRONMENT, IMAGE, load


@pytest.mark.parametrize("name", ["job.yaml", "network-policy.yaml", "claims.yaml"])
def test_kubernetes_takes_the_objects(name: str) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    for found in objects(name):
        validate(found, "1.31", strict=True)


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))


def test_claims_of_the_job_are_supplied() -> None:
    supplied = {claim["metadata"]["name"] for claim in objects("claims.yaml")}
    volumes = [v["persistentVolumeClaim"] for v in job_pod()["volumes"] if v["name"] != "tmp"]
    assert {volume["claimName"] for volume in volumes} == supplied
    files = {path.name for path in (DEPLOY / "kubernetes").iterdir()} - {"kustomization.yaml"}
    assert set(load("kubernetes/kustomization.yaml")["resources"]) == files


@pytest.mark.parametrize("name", ["kubernetes", "argo"])
def test_the_image_is_one_parameter(name: str, tmp_path: Path) -> None:
    (image,) = load(f"{name}/kustomization.yaml")["images"]
    assert f"{image['newName']}:{image['newTag']}" == f"{image['name']}:{image['newTag']}" == IMAGE
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    copy = tmp_path / name
    shutil.copytree(DEPLOY / name, copy)
    text = (copy / "kustomization.yaml").read_text()
    other = text.replace("newName: localhost/renalseg", "newName: registry.example/r/seg")
    (copy / "kustomization.yaml").write_text(other)
    done = subprocess.run(
        ["kubectl", "kustomize", copy], capture_output=True, text=True, check=True
    )
    assert f"image: registry.example/r/seg:{image['newTag']}\n" in done.stdout
    assert "localhost" not in done.stdout


def test_kubernetes_would_refuse_a_field_that_it_does_not_know() -> None:
    library = pytest.importorskip("kubernetes_validate")
    job = load("kubernetes/job.yaml")
    job["spec"]["backofLimit"] = 3
    with pytest.raises(library.ValidationError):
        library.validate(job, "1.31", strict=True)


def test_argo_takes_the_template_and_knows_every_field(monkeypatch: pytest.MonkeyPatch) -> None:
    # hera changes how all of Python writes texts to YAML; other tests must not see that
    for owner in (yaml.Dumper, yaml.representer.SafeRepresenter):
        monkeypatch.setattr(owner, "yaml_representers", owner.yaml_representers.copy())
    models = pytest.importorskip("hera.workflows.models")
    template = load("argo/workflow-template.yaml")
    parsed = models.WorkflowTemplate.model_validate(template)
    # a field that Argo does not know would be dropped
    assert parsed.model_dump(mode="json", by_alias=True, exclude_unset=True) == template


def job_pod() -> dict[str, Any]:
    return load("kubernetes/job.yaml")["spec"]["template"]["spec"]


def argo_template() -> dict[str, Any]:
    spec = load("argo/workflow-template.yaml")["spec"]
    (template,) = spec["templates"]
    return {**template, "securityContext": spec["securityContext"]}


def containers() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The container of the job and that of the template, each with its pod."""
    job, argo = job_pod(), argo_template()
    return [(job["containers"][0], job), (argo["container"], argo)]


@pytest.mark.parametrize("which", [0, 1], ids=["job", "argo"])
def test_pods_are_hardened(which: int) -> None:
    container, pod = containers()[which]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert container["image"] == IMAGE
    assert {"/tmp", ENVIRONMENT["HOLOSCAN_OUTPUT_PATH"]} <= {
        mount["mountPath"] for mount in container["volumeMounts"]
    }


def test_folders_of_the_cluster_are_those_of_the_image() -> None:
    folders = [ENVIRONMENT["HOLOSCAN_INPUT_PATH"], ENVIRONMENT["HOLOSCAN_OUTPUT_PATH"]]
    argo = argo_template()
    assert [argo[way]["artifacts"][0]["path"] for way in ("inputs", "outputs")] == folders
    mounts = job_pod()["containers"][0]["volumeMounts"]
    assert [mount["mountPath"] for mount in mounts[:2]] == folders
    assert argo["container"]["command"] == [f"{ENVIRONMENT['HOLOSCAN_WORKDIR']}/tools"]


def test_only_what_may_go_well_later_is_tried_again() -> None:
    spec = load("kubernetes/job.yaml")["spec"]
    fail = spec["podFailurePolicy"]["rules"][0]
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [1, 2])
    assert fail["onExitCodes"]["containerName"] == job_pod()["containers"][0]["name"]
    assert argo_template()["retryStrategy"]["expression"].endswith("== 75")


def test_the_network_policy_is_that_of_the_pods() -> None:
    policy = load("kubernetes/network-policy.yaml")["spec"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & set(policy)
    labels = load("kubernetes/job.yaml")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert argo_template()["metadata"]["labels"] == labels
