//! The manifests for Kubernetes fit each other, the configuration that they give the program, and the
//! program. Whether they are Kubernetes' is what `tests/clients/python/test_deploy_kubernetes.py` asks.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use serde_json::Value;
use tailrace::api::docs;
use tailrace::config::Config;
use tailrace::metrics::catalogue::{self, Kind};

use super::{PATIENCE, SECRET, SECRETS, configured, directory, read};

/// What a process takes before its first stream, and a stream before its text, at most: see "Sizing" in
/// docs/operations.md.
const PROCESS: u64 = 25 << 20;
const STREAM: u64 = 24 << 10;

const SECRETS_PLACE: &str = "/run/secrets/tailrace/";

fn manifest(name: &str) -> Value {
    yaml_serde::from_str(&read(&format!("kubernetes/{name}.yaml"))).unwrap()
}

fn config() -> Config {
    configured("kubernetes/tailrace.toml", SECRETS_PLACE, SECRET).unwrap()
}

/// What the deployment makes of each pod, and the only container in it.
fn pod() -> (Value, Value) {
    let pod = manifest("deployment")["spec"]["template"].clone();
    let containers = pod["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    let container = containers[0].clone();
    (pod, container)
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let list = list.as_array().unwrap().iter();
    list.map(|it| it[key].as_str().unwrap()).collect()
}

/// What is called so, however deep.
fn all<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let own = (name == key).then_some(value);
                own.into_iter().chain(all(value, key))
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(|value| all(value, key)).collect(),
        _ => Vec::new(),
    }
}

fn bytes(quantity: &Value) -> u64 {
    let quantity = quantity.as_str().unwrap();
    let size: bytesize::ByteSize = format!("{quantity}B").parse().unwrap();
    size.as_u64()
}

#[test]
fn a_pod_is_given_the_time_that_its_drain_takes() {
    let file = config().file;
    let (pod, container) = pod();
    let grace = pod["spec"]["terminationGracePeriodSeconds"]
        .as_u64()
        .unwrap();
    let least = file.drain_delay + file.drain_timeout + PATIENCE;
    assert_eq!(grace, least.as_secs());
    // All machines have heard by then, as a rule; and no hook takes of that time.
    assert!(file.drain_delay.as_secs() >= 5);
    assert_eq!(container["lifecycle"], Value::Null);
    // Pods go one at a time.
    let down = &manifest("autoscaler")["spec"]["behavior"]["scaleDown"]["policies"];
    assert_eq!(down.as_array().unwrap().len(), 1);
    assert_eq!(down[0]["value"], 1);
    assert!(down[0]["periodSeconds"].as_u64().unwrap() > grace);
}

#[test]
fn ports_and_paths_are_those_of_the_program() {
    let file = config().file;
    let (_, container) = pod();
    let port = |bind: &str| u64::from(bind.parse::<SocketAddr>().unwrap().port());
    let ports = container["ports"].as_array().unwrap();
    assert_eq!(texts(&container["ports"], "name"), ["http", "metrics"]);
    assert_eq!(ports[0]["containerPort"], port(&file.bind));
    let metrics = file.metrics.bind.unwrap();
    assert_eq!(ports[1]["containerPort"], port(&metrics));

    let probes = ["startupProbe", "readinessProbe", "livenessProbe"];
    let paths = probes.map(|probe| {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["port"], "http", "{probe}");
        asked["path"].as_str().unwrap()
    });
    assert_eq!(paths, ["/livez", "/readyz", "/livez"]);
    let document = serde_json::to_value(docs::document()).unwrap();
    for path in paths {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }

    let service = &manifest("service")["spec"]["ports"];
    assert_eq!(texts(service, "targetPort"), ["http"]);
    let policy = &manifest("network-policy")["spec"]["ingress"];
    assert_eq!(policy[0]["ports"][0]["port"], "http");
    assert_eq!(policy[1]["ports"][0]["port"], "metrics");
    assert_eq!(policy[1]["from"].as_array().unwrap().len(), 1);
    let monitor = &manifest("monitoring/pod-monitor")["spec"]["podMetricsEndpoints"];
    assert_eq!(texts(monitor, "port"), ["metrics"]);
}

#[test]
fn all_mean_the_same_pods() {
    let (pod, _) = pod();
    let labels = &pod["metadata"]["labels"];
    for name in [
        "deployment",
        "disruption-budget",
        "network-policy",
        "monitoring/pod-monitor",
    ] {
        let manifest = manifest(name);
        let mut selectors = all(&manifest["spec"], "selector");
        selectors.extend(all(&manifest["spec"], "labelSelector"));
        selectors.extend(manifest["spec"].get("podSelector"));
        assert!(!selectors.is_empty(), "{name}");
        for selector in selectors {
            assert_eq!(selector["matchLabels"], *labels, "{name}");
        }
    }
    let service = manifest("service");
    assert_eq!(service["spec"]["selector"], *labels);
    let scaled = &manifest("autoscaler")["spec"]["scaleTargetRef"];
    assert_eq!(scaled["name"], manifest("deployment")["metadata"]["name"]);
    for name in ["ingress", "http-route"] {
        let way = manifest(name);
        for backend in all(&way, "service")
            .into_iter()
            .chain(all(&way, "backendRefs"))
        {
            let backend = backend.get(0).unwrap_or(backend);
            assert_eq!(backend["name"], service["metadata"]["name"], "{name}");
        }
    }
}

#[test]
fn what_is_there_is_applied_or_says_that_it_is_not() {
    for place in ["kubernetes", "kubernetes/monitoring"] {
        let listed = read(&format!("{place}/kustomization.yaml"));
        let listed: Value = yaml_serde::from_str(&listed).unwrap();
        let listed = listed["resources"].as_array().unwrap().iter();
        let mut listed: BTreeSet<String> =
            listed.map(|name| name.as_str().unwrap().into()).collect();
        for entry in fs::read_dir(directory().join(place)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_manifest = path.extension().is_some_and(|it| it == "yaml");
            if !is_manifest || name == "kustomization.yaml" || listed.remove(name) {
                continue;
            }
            let text = read(&format!("{place}/{name}"));
            let head: Vec<&str> = text.lines().take_while(|it| it.starts_with('#')).collect();
            let head = head.join(" ").replace(" # ", " ");
            let says = head.contains("ot among the resources of kustomization.yaml");
            assert!(says || head.contains("Helm chart"), "{place}/{name}");
        }
        assert!(listed.is_empty(), "{place}: {listed:?}");
    }
}

#[test]
fn the_secret_has_what_the_configuration_reads() {
    let (pod, container) = pod();
    let secret = manifest("secret.example");
    let has = secret["stringData"].as_object().unwrap();
    assert_eq!(
        has.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(SECRETS)
    );
    let mounts = texts(&container["volumeMounts"], "mountPath");
    assert_eq!(mounts[1], SECRETS_PLACE.trim_end_matches('/'));
    let volumes = &pod["spec"]["volumes"];
    assert_eq!(
        volumes[1]["secret"]["secretName"],
        secret["metadata"]["name"]
    );
    // Nobody runs with the example's own.
    for example in has.values() {
        let example = example.as_str().unwrap();
        let refused = configured("kubernetes/tailrace.toml", SECRETS_PLACE, example);
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains("at least 32"), "{refused}");
    }
    let kustomization = manifest("kustomization");
    let config = &kustomization["configMapGenerator"][0];
    assert_eq!(config["files"], serde_json::json!(["tailrace.toml"]));
    assert_eq!(volumes[0]["configMap"]["name"], config["name"]);
    let file = format!("{}/tailrace.toml", mounts[0]);
    assert_eq!(
        container["args"],
        serde_json::json!(["serve", "--config", file])
    );
}

#[test]
fn a_pod_runs_as_the_image_does_and_may_do_nothing_else() {
    let (pod, container) = pod();
    let image = read("Containerfile");
    let security = &pod["spec"]["securityContext"];
    let user = format!(
        "USER {0}:{1}",
        security["runAsUser"], security["runAsGroup"]
    );
    assert!(image.contains(&user), "{user}");
    assert!(image.contains("ENTRYPOINT [\"tailrace\"]"));
    let own = &container["securityContext"];
    for (is, must) in [
        (&security["runAsNonRoot"], Value::Bool(true)),
        (&security["seccompProfile"]["type"], "RuntimeDefault".into()),
        (&own["allowPrivilegeEscalation"], Value::Bool(false)),
        (&own["readOnlyRootFilesystem"], Value::Bool(true)),
        (&own["capabilities"]["drop"][0], "ALL".into()),
        (
            &pod["spec"]["automountServiceAccountToken"],
            Value::Bool(false),
        ),
        (&pod["spec"]["enableServiceLinks"], Value::Bool(false)),
    ] {
        assert_eq!(*is, must);
    }
    let named = &manifest("kustomization")["images"][0];
    assert_eq!(container["image"], named["name"]);
    let tag = named["newTag"].as_str().unwrap();
    assert_eq!(tag, env!("CARGO_PKG_VERSION"));
}

#[test]
fn pods_are_as_large_as_what_they_may_take() {
    let file = config().file;
    let (_, container) = pod();
    let streams = u64::from(file.limits.max_streams);
    let stream = STREAM + file.memory.max_stream_bytes.as_u64();
    // As many that are written here, and that are read here.
    let most = PROCESS + 2 * streams * stream;
    assert!(most <= bytes(&container["resources"]["limits"]["memory"]));

    let scaler = manifest("autoscaler");
    let pods = &scaler["spec"]["metrics"][0]["pods"];
    let target = pods["target"]["averageValue"].as_str().unwrap();
    assert_eq!(2 * target.parse::<u64>().unwrap(), streams);
    let metric = pods["metric"]["name"].as_str().unwrap();
    let about = catalogue::ALL.iter().find(|about| about.name == metric);
    assert!(matches!(about.unwrap().kind, Kind::Gauge));
    let rule = &manifest("monitoring/prometheus-adapter")["rules"]["custom"][0];
    assert_eq!(rule["name"]["as"], metric);
    assert!(rule["seriesQuery"].as_str().unwrap().starts_with(metric));
    assert!(container["resources"]["requests"]["cpu"].is_string());
}

#[test]
fn the_ways_in_have_what_clients_use_and_no_more() {
    let ingress = manifest("ingress");
    let paths = &ingress["spec"]["rules"][0]["http"]["paths"];
    let by_ingress: Vec<(&str, bool)> = texts(paths, "path")
        .into_iter()
        .zip(
            texts(paths, "pathType")
                .into_iter()
                .map(|it| it == "Prefix"),
        )
        .collect();
    let route = manifest("http-route");
    let rules = route["spec"]["rules"].as_array().unwrap();
    let matches = rules.iter().map(|rule| rule["matches"].as_array().unwrap());
    let by_route: Vec<(&str, bool)> = matches
        .flat_map(|matches| {
            assert!(matches.len() <= 8);
            matches.iter()
        })
        .map(|it| &it["path"])
        .map(|it| (it["value"].as_str().unwrap(), it["type"] == "PathPrefix"))
        .collect();
    assert_eq!(by_ingress, by_route);
    let goes_in = |path: &str| {
        by_ingress.iter().any(|(way, prefix)| {
            let rest = path.strip_prefix(way);
            rest.is_some_and(|rest| rest.is_empty() || (*prefix && rest.starts_with('/')))
        })
    };
    let document = serde_json::to_value(docs::document()).unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        // What operators ask of a node itself. The edge answers it with 404, too: tests/api/edge.rs.
        let is_ours = ["/livez", "/readyz"].contains(&path.as_str()) || path.contains("/monitor");
        assert_eq!(goes_in(path), !is_ours, "{path}");
    }
    for path in ["/monitor", "/v1/monitor/events", "/metrics"] {
        assert!(!goes_in(path), "{path}");
    }
    for path in ["/", "/assets/x.js", "/docs", "/docs/", "/errors/x"] {
        assert!(goes_in(path), "{path}");
    }
    for document in ["/openapi.yaml", "/openapi.json", "/openapi-3.2.json"] {
        assert!(goes_in(document), "{document}");
    }
    // An answer that is not streamed is silent until its end.
    let silence =
        &ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-read-timeout"];
    let silence: u64 = silence.as_str().unwrap().parse().unwrap();
    assert!(silence > config().file.generation.total_timeout.as_secs());
    assert_eq!(route["spec"]["rules"][0]["timeouts"]["request"], "0s");
}
