"""The files of deploy/ that other programs read, as these read them: systemd, nginx, Prometheus.

nginx' main file is run by tests/api and the cluster's test, the alert rules by tests/api/metrics_page.rs.
"""

import os
import re
import socket
import subprocess
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
# In tenths of what systemd-analyze says; 0 is the safest and 100 the least.
MOST_EXPOSED = 12


def run(*command: str | Path) -> tuple[int, str]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def unit(directory: Path, more: str = "") -> Path:
    """The unit, with the program that is under test."""
    text = (DEPLOY / "tailrace.service").read_text()
    assert "/usr/local/bin/tailrace" in text
    text = text.replace("/usr/local/bin/tailrace", os.environ["TAILRACE_BIN"])
    path = directory / "tailrace.service"
    path.write_text(text.replace("[Install]", f"{more}\n[Install]"))
    return path


def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    assert run("systemd-analyze", "verify", "--man=no", unit(tmp_path)) == (0, "")
    drop_in = tmp_path / "tailrace.service.d/tailrace-redis.conf"
    drop_in.parent.mkdir()
    text = (DEPLOY / drop_in.name).read_text()
    drop_in.write_text(text)
    assert run("systemd-analyze", "verify", "--man=no", unit(tmp_path)) == (0, "")
    drop_in.write_text(text.replace("LoadCredential", "LoadCredentials"))
    _, said = run("systemd-analyze", "verify", "--man=no", unit(tmp_path))
    assert "LoadCredentials" in said, "it reads the drop-in"
    _, said = run("systemd-analyze", "verify", "--man=no", unit(tmp_path, "ProtectHomes=yes"))
    assert "ProtectHomes" in said, "it can find something"


def test_the_unit_may_do_little(tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}"]
    code, said = run(*command, "--no-pager", unit(tmp_path))
    assert code == 0, said
    code, said = run(*command, "--no-pager", unit(tmp_path, "ProtectSystem=no\nPrivateUsers=no"))
    assert code != 0, said


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_nginx_takes_the_files_that_are_to_be_filled_in(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    code, said = run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate,
    )  # fmt: skip
    assert code == 0, said
    for kind in [".", "compose"]:
        place = tmp_path / f"edge-{kind}"
        place.mkdir(parents=True)
        main = (DEPLOY / "nginx.conf").read_text().replace("/var/log/nginx/", f"{place}/")
        (place / "nginx.conf").write_text(main)
        nodes = (DEPLOY / kind / "tailrace-nodes.conf").read_text()
        (place / "tailrace-nodes.conf").write_text(nodes)
        listen = (DEPLOY / kind / "tailrace-listen.conf").read_text()
        listen = re.sub(r"/\S*\.crt;", f"{certificate};", listen)
        listen = re.sub(r"/\S*\.key;", f"{key};", listen)
        # `nginx -t` listens, too.
        listen, ports = re.subn(r"listen (\[::\]:)?443 ", rf"listen \g<1>{free_port()} ", listen)
        assert ports
        (place / "tailrace-listen.conf").write_text(listen)
        globals_ = f"pid {place}/nginx.pid;"
        code, said = run("nginx", "-t", "-c", place / "nginx.conf", "-g", globals_)
        assert code == 0, said


def test_prometheus_adapter_adds_up_a_pods_models(tmp_path: Path) -> None:
    values = yaml.safe_load((DEPLOY / "kubernetes/monitoring/prometheus-adapter.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    metric = rule["name"]["as"]
    # What the adapter puts in when the autoscaler asks for the pods of a deployment.
    query = rule["metricsQuery"].replace("<<.Series>>", metric).replace("<<.GroupBy>>", "pod")
    query = query.replace("<<.LabelMatchers>>", 'namespace="chat",pod=~"tailrace-1|tailrace-2"')
    assert "<<" not in query
    assert rule["seriesQuery"].startswith(metric + "{")

    def series(pod: str, model: str, active: int, namespace: str = "chat") -> dict:
        labels = f'namespace="{namespace}",pod="{pod}",gen_ai_request_model="{model}"'
        return {"series": f"{metric}{{{labels}}}", "values": str(active)}

    test = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "input_series": [
                    series("tailrace-1", "small", 700),
                    series("tailrace-1", "large", 41),
                    series("tailrace-2", "small", 0),
                    series("tailrace-1", "small", 9, namespace="other"),
                ],
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": "0m",
                        "exp_samples": [
                            {"labels": '{pod="tailrace-1"}', "value": 741},
                            {"labels": '{pod="tailrace-2"}', "value": 0},
                        ],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "adapter.test.yaml"
    path.write_text(yaml.safe_dump(test))
    code, said = run("promtool", "test", "rules", path)
    assert code == 0, said
