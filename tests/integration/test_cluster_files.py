"""What lies in cluster/: manifests against schemas, scripts by shellcheck, the launcher by Ray."""

from __future__ import annotations

import copy
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from runner.cli.main import build_parser
from runner.config.load import load_config

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
CRDS = ROOT.parent / "shared" / "crds"
KUBERNETES = "1.34"
OVERLAYS = sorted(p.parent for p in CLUSTER.glob("kuberay/overlays/*/kustomization.yaml"))


def _load(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


def _patched(document: Any, patches: list[dict[str, Any]]) -> Any:
    """Apply JSON patches of the kinds that our overlays use, strictly."""
    out = copy.deepcopy(document)
    for patch in patches:
        *path, last = patch["path"].strip("/").split("/")
        at = out
        for step in path:
            at = at[int(step)] if isinstance(at, list) else at[step]
        assert patch["op"] in {"add", "replace"}
        assert patch["op"] == "add" or last in at, f"{patch['path']}: nothing to replace"
        at[last] = patch["value"]
    return out


def _jobs() -> dict[str, Any]:
    """Return the RayJob as it is, and as each overlay makes it."""
    base = _load(CLUSTER / "kuberay/base/rayjob.yaml")
    out = {"base": base}
    for overlay in OVERLAYS:
        kustomization = _load(overlay / "kustomization.yaml")
        job = base
        for patch in kustomization["patches"]:
            assert patch["target"] == {"kind": "RayJob", "name": base["metadata"]["name"]}
            job = _patched(job, _load(overlay / patch["path"]))
        assert [(overlay / r).resolve() for r in kustomization["resources"]] == [
            CLUSTER / "kuberay/base"
        ]
        out[overlay.name] = job
    return out


JOBS = _jobs()
RAYCLUSTER = _load(CLUSTER / "kuberay/raycluster/raycluster.yaml")


def _clusters() -> dict[str, Any]:
    return {name: job["spec"]["rayClusterSpec"] for name, job in JOBS.items()} | {
        "raycluster": RAYCLUSTER["spec"]
    }


@pytest.mark.parametrize("name", _clusters())
def test_pod_templates_are_valid_pods(name: str) -> None:
    spec = _clusters()[name]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        template = group["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x", **template.get("metadata", {})},
            "spec": template["spec"],
        }
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        assert template["spec"]["restartPolicy"] == "Never"  # autoscaler v2
        drain = next(
            int(e["value"])
            for e in template["spec"]["containers"][0]["env"]
            if e["name"] == "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
        )
        assert drain < template["spec"]["terminationGracePeriodSeconds"]


def test_a_pod_with_a_misspelt_key_is_refused() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"contianers": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    free = schema.get("x-kubernetes-preserve-unknown-fields")
    out = {k: _strict(v) for k, v in schema.items() if not str(k).startswith("x-")}
    if isinstance(out.get("properties"), dict) and "additionalProperties" not in out and not free:
        out["additionalProperties"] = False
    return out


@pytest.mark.skipif(
    not CRDS.is_dir(), reason="../shared: the published CRDs are not beside this checkout"
)
@pytest.mark.parametrize("name", [*JOBS, "raycluster"])
def test_manifest_fits_the_published_crd(name: str) -> None:
    crd, document = ("rayclusters", RAYCLUSTER) if name == "raycluster" else ("rayjobs", JOBS[name])
    versions = _load(CRDS / f"{crd}.yaml")["spec"]["versions"]
    schema = next(v for v in versions if v["name"] == "v1")["schema"]["openAPIV3Schema"]
    strict = _strict(schema)
    strict["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft202012Validator(strict)
    assert [e.message for e in validator.iter_errors(document)] == []
    wrong = copy.deepcopy(document)
    wrong["spec"]["rayVersoin"] = "2"
    assert list(validator.iter_errors(wrong))


@pytest.mark.parametrize("name", JOBS)
def test_job_keeps_the_rules_that_kuberay_checks_beside_its_schema(name: str) -> None:
    spec = JOBS[name]["spec"]
    assert len(JOBS[name]["metadata"]["name"]) <= 47
    assert spec["backoffLimit"] > 0
    assert spec["submissionMode"] == "K8sJobMode"
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"]["mode"] == "token"
    head = cluster["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert "resources" not in head["rayStartParams"]
    assert "RAY_enable_autoscaler_v2" not in str(cluster)
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.parametrize("name", _clusters())
def test_keys_come_from_a_secret_only(name: str) -> None:
    for group in (_clusters()[name]["headGroupSpec"], *_clusters()[name]["workerGroupSpecs"]):
        container = group["template"]["spec"]["containers"][0]
        assert container["envFrom"] == [{"secretRef": {"name": "runner-keys"}}]
        assert not [e for e in container["env"] if "KEY" in e["name"] or "SECRET" in e["name"]]


def test_ray_version_is_the_locked_one() -> None:
    import ray

    for spec in _clusters().values():
        assert spec["rayVersion"] == ray.__version__


def test_sweep_of_the_kustomization_is_a_configuration() -> None:
    base = CLUSTER / "kuberay/base"
    kustomization = _load(base / "kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    assert generator["files"] == ["sweep.yaml"]
    # A name with a suffix would be put into Pods and Deployments, never into a RayJob.
    assert kustomization["generatorOptions"] == {"disableNameSuffixHash": True}
    assert load_config(str(base / "sweep.yaml"), []).config.output.startswith("s3://")
    mounted = JOBS["base"]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert mounted["volumes"][0] == {"name": "sweep", "configMap": {"name": generator["name"]}}
    asked = build_parser()[0].parse_args(shlex.split(JOBS["base"]["spec"]["entrypoint"])[1:])
    assert (asked.command, asked.config) == ("sweep", "/etc/runner/sweep.yaml")
    assert (asked.address, asked.as_job) == ("auto", True)
    assert all((base / resource).exists() for resource in kustomization["resources"])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda folder: folder.name)
def test_kustomize_makes_what_the_job_mounts(overlay: Path) -> None:
    built = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    documents = {d["kind"]: d for d in yaml.load_all(built.stdout, Loader=yaml.CSafeLoader)}
    assert set(documents) == {"Namespace", "ConfigMap", "RayJob"}
    assert documents["RayJob"]["spec"] == JOBS[overlay.name]["spec"]
    cluster = documents["RayJob"]["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        volumes = group["template"]["spec"]["volumes"]
        (mounted,) = [v["configMap"]["name"] for v in volumes if "configMap" in v]
        assert mounted == documents["ConfigMap"]["metadata"]["name"]


def test_scripts_pass_shellcheck() -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    scripts = sorted(CLUSTER.rglob("*.sbatch")) + sorted(CLUSTER.rglob("*.sh"))
    assert scripts
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("plan", "sweep", "restarts", "ends"),
    [
        (0, 0, 0, 0),
        (0, 7, 0, 7),
        (0, 6, 0, "queued again"),
        (0, 6, 20, 6),
        (6, 0, 3, "queued again"),  # the output is away before anything starts
        (2, 0, 0, 2),
        (0, 137, 0, "queued again"),
        (0, 137, 20, 1),
    ],
)
def test_slurm_job_is_queued_again_where_going_on_can_help(
    tmp_path: Path, plan: int, sweep: int, restarts: int, ends: int | str
) -> None:
    commands = {
        "runner": f'[[ $1 != plan ]] || {{ echo \'  "output": "o",\'; exit {plan}; }}; exit {sweep}',
        "scontrol": 'case $1 in show) echo n1;; *) echo "$@" >>requeued;; esac',
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    here = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "n1", "SLURM_JOB_ID": "7",
        "SLURM_NNODES": "1", "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_CPUS_PER_TASK": "1",
        "SLURM_RESTART_COUNT": str(restarts),
    }  # fmt: skip
    script = CLUSTER / "slurm" / "sweep.sbatch"
    done = subprocess.run(["bash", str(script), "c.yaml"], env=here, cwd=tmp_path, timeout=60)
    again = tmp_path / "requeued"
    if ends == "queued again":
        assert done.returncode == 0
        assert again.read_text() == "requeue 7\n"
    else:
        assert done.returncode == ends
        assert not again.exists()


def test_launcher_file_passes_ray_and_a_misspelt_one_does_not() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = _load(CLUSTER / "aws/cluster.yaml")
    validate_config(prepare_config(copy.deepcopy(config)))
    assert config["available_node_types"]["worker"]["node_config"]["InstanceMarketOptions"]
    config["idle_timeout_minute"] = 5
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(config))


def test_prometheus_file_names_what_ray_writes() -> None:
    (job,) = _load(CLUSTER / "prometheus/prometheus.yml")["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == ["/tmp/ray/prom_metrics_service_discovery.json"]


def test_every_file_is_named_in_the_readme_or_by_another() -> None:
    text = "".join(p.read_text() for p in CLUSTER.rglob("*") if p.is_file())
    for path in CLUSTER.rglob("*"):
        if path.is_file() and path.name not in {"README.md", "kustomization.yaml"}:
            assert path.name in text, path
