"""What schemas cannot see in cluster/: that names of one file are those of the others, of Ray and of runner."""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest
import ray
from pip._internal.commands import create_command
from ray.scripts.scripts import start
from ray.scripts.symmetric_run import symmetric_run

from tests.integration.test_cluster_files import CLUSTER, JOBS, RAYCLUSTER, ROOT, _clusters, _load

README = (CLUSTER / "README.md").read_text()
DOCKERFILE = (CLUSTER / "Dockerfile").read_text()
FILES = [p for p in CLUSTER.rglob("*") if p.is_file() and p.name != "README.md"]
AWS = _load(CLUSTER / "aws/cluster.yaml")


def _pods():
    return [*_each_pod()]


def _each_pod():
    for name, spec in _clusters().items():
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            yield pytest.param(
                group["template"]["spec"], id=f"{name}-{group.get('groupName', 'head')}"
            )


@cache
def _ray_knows() -> bytes:
    """Return the texts of Ray in which variables of its environment are named."""
    home = Path(ray.__file__).parent
    parts = ("_common", "_private", "scripts", "autoscaler/_private", "dashboard/modules/job")
    found = [p for part in parts for p in (home / part).rglob("*.py")]
    return b"\n".join(p.read_bytes() for p in [*found, home / "core/src/ray/gcs/gcs_server"])


def test_each_variable_of_ray_is_one_that_ray_reads() -> None:
    named = {n for p in FILES for n in re.findall(r"\bRAY_[A-Za-z0-9_]+", p.read_text())}
    assert "RAY_health_check_period_ms" in named
    known = _ray_knows()
    for name in named:
        # Settings of its C++ parts are written there without the first part.
        assert name.encode() in known or name.removeprefix("RAY_").encode() in known, name


def test_each_variable_of_runner_is_one_that_runner_or_its_script_reads() -> None:
    source = "".join(p.read_text() for p in (ROOT / "runner").rglob("*.py"))
    script = (CLUSTER / "slurm/sweep.sbatch").read_text()
    for path in FILES:
        for name in re.findall(r"\bRUNNER_[A-Z_]+", path.read_text()):
            assert f'"{name}"' in source or f"${{{name}:-" in script, f"{path}: {name}"


@pytest.mark.parametrize("pod", _pods())
def test_what_a_container_reads_and_keeps_is_mounted(pod) -> None:
    (container,) = pod["containers"]
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert mounts.keys() == volumes.keys()
    environ = {e["name"]: e["value"] for e in container["env"]}
    assert environ["RUNNER_STATE"] == mounts["state"]["mountPath"]
    assert environ["RUNNER_LOG"] in {"info", "debug"}
    assert "readOnly" not in mounts["state"]
    if "sweep" in mounts:
        entrypoint = shlex.split(JOBS["base"]["spec"]["entrypoint"])
        assert str(Path(entrypoint[2]).parent) == mounts["sweep"]["mountPath"]
    for part in container["resources"].values():
        assert part.keys() == {"cpu", "memory"}
    uid = int(re.findall(r"--uid (\d+)", DOCKERFILE)[0])
    assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": uid, "fsGroup": uid}


@pytest.mark.parametrize("name", _clusters())
def test_clusters_scale_and_start_with_options_that_ray_has(name: str) -> None:
    spec = _clusters()[name]
    assert spec["autoscalerOptions"]["version"] == "v2"
    options = {o.removeprefix("--") for p in start.params for o in p.opts}
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert group["rayStartParams"].keys() <= options


@pytest.mark.parametrize("name", JOBS)
def test_job_leaves_nothing_running_and_starts_a_worker(name: str) -> None:
    spec = JOBS[name]["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert all(g["replicas"] >= 1 for g in spec["rayClusterSpec"]["workerGroupSpecs"])


def test_spot_is_for_workers_alone() -> None:
    spec = JOBS["spot"]["spec"]["rayClusterSpec"]
    kind = "eks.amazonaws.com/capacityType"
    assert spec["headGroupSpec"]["template"]["spec"]["nodeSelector"] == {kind: "ON_DEMAND"}
    (workers,) = spec["workerGroupSpecs"]
    assert workers["template"]["spec"]["nodeSelector"] == {kind: "SPOT"}


def test_names_in_the_readme_are_those_of_the_manifests() -> None:
    base = CLUSTER / "kuberay/base"
    namespace = _load(base / "namespace.yaml")["metadata"]["name"]
    assert _load(base / "kustomization.yaml")["namespace"] == namespace
    assert set(re.findall(r"kubectl -n (\S+)", README)) == {namespace}
    made = next(line for line in README.splitlines() if "create secret generic" in line)
    (model,) = _load(base / "sweep.yaml")["models"]
    assert f"--from-literal={model['api_key_env']}=" in made
    assert "secret generic runner-keys" in made
    cluster = RAYCLUSTER["metadata"]["name"]
    assert f"service/{cluster}-head-svc" in README  # as KubeRay calls them
    assert f"get secret {cluster} " in README
    assert f"job/{JOBS['base']['metadata']['name']}" in README


def test_dockerfile_copies_what_the_package_is_made_of() -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert all((ROOT / name).exists() for name in copied), copied
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    files = {"pyproject.toml", "requirements.lock", "runner", project["readme"], "LICENSE"}
    assert files <= copied
    locked = re.findall(r"^FROM python:(\d+\.\d+)-", DOCKERFILE, re.MULTILINE)
    assert locked == re.findall(r">=\s*(\d+\.\d+)", project["requires-python"])


def test_dockerfile_installs_with_options_that_pip_has_and_finds_what_it_installed() -> None:
    commands = re.findall(r"pip install (.*?)$", DOCKERFILE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        create_command("install").parser.parse_args(shlex.split(command))
    assert "--require-hashes" in commands[0]
    home = re.findall(r"VIRTUAL_ENV=(\S+)", DOCKERFILE)
    paths = re.findall(r"\bPATH=(\S+?):\$PATH", DOCKERFILE)
    assert paths == [f"{home[0]}/bin"] * 2  # of the image, and of login shells
    assert {"openssh-client", "rsync", "wget"} <= set(DOCKERFILE.split())
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["runner"]


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_launcher_starts_ray_with_options_that_it_has(kind: str) -> None:
    (stop, command) = AWS[f"{kind}_start_ray_commands"]
    assert stop == "ray stop"
    assert command.startswith("set -a; . ~/.runner-keys; set +a;")
    assert "~/.runner-keys" in AWS["file_mounts"]
    words = shlex.split(command)
    options = words[words.index("start") + 1 :]
    context = click.Context(start)
    found, _, _ = start.make_parser(context).parse_args(options)
    assert found["metrics_export_port"] == "8080"
    if kind == "head":
        assert (found["head"], found["port"]) == (True, "6379")
        assert found["autoscaling_config"] == "~/ray_bootstrap_config.yaml"  # Ray puts it there
    else:
        assert found["address"] == "$RAY_HEAD_IP:6379"


def test_launcher_keeps_the_head_free_and_workers_on_spot() -> None:
    kinds = AWS["available_node_types"]
    assert kinds[AWS["head_node_type"]]["resources"] == {"CPU": 0}
    (worker,) = (kinds[k]["node_config"] for k in kinds if k != AWS["head_node_type"])
    assert worker["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert all(re.fullmatch(r"\w+\.\w+", k["node_config"]["InstanceType"]) for k in kinds.values())
    assert AWS["docker"]["run_options"][1] == "--env RAY_AUTH_MODE=token"
    assert (
        AWS["docker"]["image"]
        == JOBS["base"]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"][
            "containers"
        ][0]["image"]
    )


def test_slurm_script_is_told_in_time_and_alone() -> None:
    script = (CLUSTER / "slurm/sweep.sbatch").read_text()
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script, re.MULTILINE))
    told, before_s = options["signal"].split("@")
    assert told == "B:TERM"  # the script, whose trap drains; steps must go on
    assert int(before_s) > 60 + 90  # grace of a drain, and of Ray's nodes
    assert (options["requeue"], options["ntasks-per-node"]) == ("", "1")
    assert "exclusive" in options
    assert script.count("scontrol requeue") == 2
    run = script[script.index("ray symmetric-run --address") :]
    ray_has = {o for command in (symmetric_run, start) for p in command.params for o in p.opts}
    assert set(re.findall(r" (--[a-z-]+)", run[: run.index(" -- ")])) <= ray_has
    asked = re.findall(r'"\$runner" sweep "\$@" (--[a-z-]+) ', script)
    assert asked == ["--address"]


def test_prometheus_keeps_what_runner_exports() -> None:
    given = _load(CLUSTER / "prometheus/prometheus.yml")
    (job,) = given["scrape_configs"]
    (rule,) = job["metric_relabel_configs"]
    assert (rule["source_labels"], rule["action"]) == (["__name__"], "keep")
    series = set(re.findall(r"`(ray_runner_\w+)`", README))
    assert len(series) > 10
    assert all(re.fullmatch(rule["regex"], name) for name in series)
    for every in (
        given["global"]["scrape_interval"],
        job["file_sd_configs"][0]["refresh_interval"],
    ):
        assert re.fullmatch(r"\d+s", every)
