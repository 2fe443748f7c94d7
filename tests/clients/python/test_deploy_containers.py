"""The files of deploy/ that containers are made of: by hadolint, and by the schema of Compose files.

`tests/repository/deploy.rs` asks whether they fit each other. No test builds an image: that needs images of
others, from a registry.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
# The linter is not asked: it has the schema of the Compose specification in it.
SCHEMA = Path(__file__).parents[1] / "node_modules/dclint/schemas/compose.schema.json"


def hadolint(path: Path) -> subprocess.CompletedProcess:
    program = Path(sys.executable).parent / "hadolint"
    return subprocess.run([program, "--no-color", path], capture_output=True, text=True, check=False)


def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    ran = hadolint(DEPLOY / "Containerfile")
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout + ran.stderr
    wrong = tmp_path / "Containerfile"
    wrong.write_text((DEPLOY / "Containerfile").read_text() + "CMD nginx\nCMD nginx\n")
    assert "DL4003" in hadolint(wrong).stdout, "it can find something"


def test_compose_schema() -> None:
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    validator.validate(compose)
    wrong = copy.deepcopy(compose)
    wrong["services"]["redis"]["stop_grace"] = "5s"
    with pytest.raises(jsonschema_rs.ValidationError):
        validator.validate(wrong)
