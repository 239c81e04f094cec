"""The definitions for MONAI Deploy and mercure against what these programs check.

Neither publishes a schema, so the rules stand here, with the source that they were read in.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from tests.factories.deployment import ENVIRONMENT, IMAGE, load

# monai-deploy-workflow-manager: WorkflowValidator.cs, guidelines/mwm-workflow-spec.md, and Keys.cs
# of its Docker plug-in.
DOCKER_ARGUMENTS = {
    "server_url", "entrypoint", "command", "container_image", "temp_storage_container_path",
}  # fmt: skip


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    return load("monai-deploy/workflow.json")


def test_workflow_has_what_its_manager_asks_for(workflow: dict[str, Any]) -> None:
    assert set(workflow) == {"name", "version", "description", "informatics_gateway", "tasks"}
    assert len(workflow["name"]) <= 15
    assert len(workflow["description"]) <= 200
    assert 0 < len(workflow["informatics_gateway"]["ae_title"]) <= 15


def test_tasks_of_the_workflow_form_a_chain(workflow: dict[str, Any]) -> None:
    tasks = workflow["tasks"]
    names = [task["id"] for task in tasks]
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]+", name) for name in names)
    reached = [to["name"] for task in tasks for to in task.get("task_destinations", [])]
    assert reached == names[1:]  # each once, and the first by none
    assert {task["type"] for task in tasks} <= {"router", "docker", "export"}


def test_artifacts_of_the_workflow_come_from_tasks_before(workflow: dict[str, Any]) -> None:
    made = {"context.input.dicom"}
    for task in workflow["tasks"]:
        artifacts = task.get("artifacts", {"input": []})
        assert {artifact["value"].strip("{} ") for artifact in artifacts["input"]} <= made
        made |= {
            f"context.executions.{task['id']}.artifacts.{artifact['name']}"
            for artifact in artifacts.get("output", [])
        }


def test_exports_of_the_workflow_are_registered(workflow: dict[str, Any]) -> None:
    known = set(workflow["informatics_gateway"]["export_destinations"])
    exports = [task for task in workflow["tasks"] if task["type"] == "export"]
    assert exports
    assert all({to["name"] for to in task["export_destinations"]} <= known for task in exports)


def test_the_docker_task_runs_this_image_past_its_entry_point(workflow: dict[str, Any]) -> None:
    (task,) = (task for task in workflow["tasks"] if task["type"] == "docker")
    arguments = task["args"]
    assert set(arguments) >= DOCKER_ARGUMENTS
    assert all(isinstance(value, str) for value in arguments.values())
    # the manager splits both at commas
    assert arguments["entrypoint"].split(",") == ["/bin/bash", "-c"]
    assert "," not in arguments["command"]
    folder, program = (shlex.split(part) for part in arguments["command"].split(" && "))
    assert folder == ["cd", ENVIRONMENT["HOLOSCAN_WORKDIR"]]
    assert program[:3] == ["exec", "python3", "-P"]
    assert program[-1].rstrip("/") == ENVIRONMENT["HOLOSCAN_APPLICATION"]
    assert arguments["container_image"] == IMAGE
    assert arguments["user"] == "1000:1000"
    mounted = [a["name"] for way in task["artifacts"].values() for a in way]
    for name in mounted:  # an artifact is mounted where the argument of its name says
        assert arguments[name].rstrip("/") == ENVIRONMENT[name.removeprefix("env_")]


# mercure: app/common/types.py (Module, Rule) and app/webinterface/modules.py (ALLOWED_DOCKER_ARGS).
MODULE = {
    "docker_tag": str, "additional_volumes": str, "environment": str, "docker_arguments": str,
    "settings": dict, "contact": str, "comment": str, "constraints": str, "resources": str,
    "requires_root": bool, "requires_persistence": bool, "persistence_folder_name": str,
    "network_enabled": bool,
}  # fmt: skip
RULE = {
    "rule": str, "target": str, "disabled": bool, "action": str, "action_trigger": str,
    "processing_module": str, "processing_settings": dict, "processing_retain_images": bool,
    "notification_trigger_completion": bool, "notification_trigger_completion_on_request": bool,
    "notification_trigger_error": bool,
}  # fmt: skip
SAFE_ARGUMENTS = {"mem_limit", "pids_limit", "read_only", "shm_size", "runtime", "cpuset_cpus"}


@pytest.mark.parametrize(("section", "fields"), [("modules", MODULE), ("rules", RULE)])
def test_mercure_knows_every_field(section: str, fields: dict[str, type]) -> None:
    (entry,) = load("mercure/renalseg.json")[section].values()
    assert set(entry) <= set(fields)
    assert all(isinstance(value, fields[name]) for name, value in entry.items())


def test_mercure_runs_the_module_without_root_and_network() -> None:
    module = load("mercure/renalseg.json")["modules"]["renalseg"]
    assert module["docker_tag"] == IMAGE
    assert (module["requires_root"], module["network_enabled"]) == (False, False)
    assert set(json.loads(module["docker_arguments"])) <= SAFE_ARGUMENTS
    assert json.loads(module["environment"]) == {"RENALSEG_METHOD": "unet"}
    assert json.loads(module["additional_volumes"]) == {}


def test_the_rule_of_mercure_names_the_module_and_waits_to_be_enabled() -> None:
    config = load("mercure/renalseg.json")
    (rule,) = config["rules"].values()
    assert rule["processing_module"] in config["modules"]
    assert (rule["action"], rule["action_trigger"]) == ("both", "series")
    assert rule["disabled"] is True
