"""What is asked of both API servers, by theme. The answers stand in ``answers/``, recorded from a real one."""

from __future__ import annotations

from typing import Any, Final

from tests.adapters.cluster.contract.calls import (
    JSON_PATCH,
    MERGE,
    PARTIAL,
    STRATEGIC,
    Call,
    Object,
    apply,
    at,
    delete,
    evict,
    get,
    patch,
    post,
    put,
)


def config_map(name: str = "c", *, data: Object | None = None, **metadata: Any) -> Object:
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return found if data is None else found | {"data": data}


def container(name: str = "app", **more: Any) -> Object:
    return {"name": name, "image": "registry.test/kovra/ok:1", **more}


def pod(name: str = "p", *containers: Object, **spec: Any) -> Object:
    listed = list(containers) or [container()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"automountServiceAccountToken": False, "containers": listed, **spec},
    }


def labelled(document: Object, **labels: str) -> Object:
    return document | {"metadata": document["metadata"] | {"labels": labels}}


def deployment(*containers: Object, name: str = "d", pod_spec: Object | None = None, **spec: Any) -> Object:
    listed = {"containers": list(containers) or [container()]} | (pod_spec or {})
    template = {"metadata": {"labels": {"app": name}}, "spec": listed}
    wanted = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template} | spec
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": wanted}


_TASK: Final = {"spec": {"restartPolicy": "Never", "containers": [container()]}}


def of(api_version: str, kind: str, name: str, **fields: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


def policy(**fields: Any) -> Object:
    return of("networking.k8s.io/v1", "NetworkPolicy", "n", **fields)


def budget(**fields: Any) -> Object:
    return of("policy/v1", "PodDisruptionBudget", "b", **fields)


def limit_range(**fields: Any) -> Object:
    return of("v1", "LimitRange", "l", **fields)


def ingress(**fields: Any) -> Object:
    return of("networking.k8s.io/v1", "Ingress", "i", **fields)


APPLYING: Final = [
    apply("configmaps", "c", config_map(data={"a": "1"}), "one"),
    apply("configmaps", "c", config_map(data={"a": "1"}), "one"),
    apply("configmaps", "c", config_map(data={"a": "2", "b": "3"}, labels={"l": "1"}), "one"),
    apply("configmaps", "c", config_map(data={"a": "9"}), "two"),
    apply("configmaps", "c", config_map(data={"a": "9", "b": "9"}, labels={"l": "9"}), "two"),
    apply("configmaps", "c", config_map(data={"a": "2", "c": "4"}), "two"),
    apply("configmaps", "c", config_map(data={"b": "3"}), "one"),
    apply("configmaps", "c", config_map(data={"b": "8"}), "two", force="true"),
    apply("configmaps", "c", config_map(), "two"),
    get("configmaps", "c"),
    patch("configmaps", "c", {"data": {"x": "1", "b": "7"}}, MERGE, fieldManager="three"),
    apply("configmaps", "c", config_map(data={"b": "6", "x": "2"}), "one"),
    apply("configmaps", "c", config_map(data={"b": "7"}), "one"),
    apply("configmaps", "c", config_map(), "one"),
    get("configmaps", "c"),
    apply("configmaps", "c", config_map(data={"a": None}), "one"),
    apply("configmaps", "c", config_map(finalizers=["kovra.test/a", "kovra.test/b"]), "one"),
    apply("configmaps", "c", config_map(finalizers=["kovra.test/c"]), "two"),
    apply("configmaps", "c", config_map(finalizers=["kovra.test/b"]), "one"),
    patch("configmaps", "c", {"metadata": {"finalizers": None}}, MERGE, fieldManager="three"),
    get("configmaps", "c"),
]
WRONG_APPLIES: Final = [
    Call(method="PATCH", path=at("configmaps", "c"), body=config_map(), content="application/apply-patch+yaml"),
    apply("configmaps", "c", config_map("other"), "one"),
    apply("configmaps", "c", config_map() | {"apiVersion": "v2"}, "one"),
    apply("configmaps", "c", {"metadata": {"name": "c"}}, "one"),
    apply("configmaps", "c", config_map(namespace="elsewhere"), "one"),
    apply("configmaps", "c", config_map(managedFields=[]), "one"),
    apply("configmaps", "c", config_map() | {"unknown": 1}, "one"),
    apply("deployments", "d", deployment(replicas="two"), "one"),
    apply("deployments", "d", deployment(container(), container()), "one"),
    apply("deployments", "d", deployment(container(env=[{"value": "no name"}])), "one"),
    apply("deployments", "d", deployment(container(resources={"limits": {"cpu": "much"}})), "one"),
    apply("deployments", "d", deployment(replicas=-1), "one"),
    apply("configmaps", "c", config_map(), "m" * 129),
    apply("configmaps", "c", config_map(data={"a": "1"}, resourceVersion="1"), "one"),
]
KEYED_LISTS: Final = [
    apply(
        "deployments",
        "d",
        deployment(
            container(
                env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                ports=[{"containerPort": 8080, "name": "http"}],
                command=["run", "x"],
                volumeMounts=[{"name": "v", "mountPath": "/v"}],
            ),
            pod_spec={"volumes": [{"name": "v", "emptyDir": {}}]},
        ),
        "one",
    ),
    apply(
        "deployments",
        "d",
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {
                                "name": "app",
                                "env": [{"name": "C", "value": "3"}, {"name": "A", "value": "1"}],
                                "ports": [{"containerPort": 9090}],
                            },
                            {"name": "side", "image": "registry.test/kovra/ok:2"},
                        ]
                    }
                }
            },
        },
        "two",
    ),
    apply("deployments", "d", deployment(container(env=[{"name": "B", "value": "2"}], command=["run"])), "one"),
    apply("deployments", "d", deployment(container(env=[{"name": "C", "value": "9"}])), "one"),
    apply("deployments", "d", deployment(container(image="registry.test/kovra/ok:2", command=["other"])), "three"),
    apply("deployments", "d", deployment(container("first"), container(), container("last")), "one", force="true"),
    apply(
        "deployments",
        "d",
        deployment(container("last"), container("app"), selector={"matchLabels": {"app": "e"}}),
        "one",
        force="true",
    ),
    get("deployments", "d"),
]
PATCHES: Final = [
    post("configmaps", config_map(data={"a": "1"})),
    patch("configmaps", "c", {"data": {"a": None, "b": "2"}}, MERGE),
    patch("configmaps", "c", {"data": {"b": None, "c": "3"}}, STRATEGIC),
    patch("configmaps", "c", [{"op": "add", "path": "/data/d", "value": "4"}], JSON_PATCH),
    patch("configmaps", "c", [{"op": "test", "path": "/data/d", "value": "5"}], JSON_PATCH),
    patch("configmaps", "c", [{"op": "remove", "path": "/data/zz"}], JSON_PATCH),
    patch("configmaps", "c", [{"op": "replace", "path": "/metadata/labels", "value": {"a": "b"}}], JSON_PATCH),
    patch("configmaps", "c", {"metadata": {"resourceVersion": "1"}, "data": {"e": "5"}}, MERGE),
    patch("configmaps", "absent", {"data": {}}, MERGE),
    patch("configmaps", "c", {"data": {"a": 1}}, MERGE),
    patch("configmaps", "c", {"data": {"z": "1"}}, "application/other"),
    post("deployments", deployment(container(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))),
    patch(
        "deployments",
        "d",
        {
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {"name": "app", "env": [{"name": "B", "$patch": "delete"}, {"name": "C", "value": "3"}]},
                            {"name": "side", "image": "x:1"},
                        ]
                    }
                }
            }
        },
        STRATEGIC,
    ),
    patch(
        "deployments",
        "d",
        {"spec": {"template": {"spec": {"containers": [{"image": "x:1"}]}}}},
        STRATEGIC,
    ),
    patch("deployments", "d", {"spec": {"template": {"spec": {"containers": [container()]}}}}, MERGE),
    patch("deployments", "d", {"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}}, STRATEGIC),
    patch("deployments", "d", {"spec": {"selector": {"matchLabels": {"app": "e"}}}}, MERGE),
    patch("deployments", "d", {"metadata": {"labels": {"only": "metadata"}}}, MERGE),
    get("deployments", "d"),
]
REPLACING: Final = [
    post("configmaps", config_map(data={"a": "1"})),
    post("configmaps", config_map(data={"a": "1"})),
    put("configmaps", "c", config_map(data={"a": "2"})),
    put("configmaps", "c", config_map(data={"a": "3"}, resourceVersion="$1.metadata.resourceVersion")),
    put("configmaps", "c", config_map("other", data={})),
    put("configmaps", "absent", config_map("absent")),
    put("configmaps", "c", config_map(data={"a": "2"}, resourceVersion="$3.metadata.resourceVersion")),
    post("configmaps", config_map("dry", data={"a": "1"}), query={"dryRun": "All"}),
    get("configmaps", "dry"),
    put("configmaps", "c", config_map(data={"a": "dry"}), dryRun="All"),
    patch("configmaps", "c", {"data": {"a": "dry"}}, MERGE, dryRun="All"),
    apply("configmaps", "dry", config_map("dry", data={"a": "1"}), "one", dryRun="All"),
    delete("configmaps", "c", dryRun="All"),
    get("configmaps", "c"),
    post("configmaps", config_map("dry"), query={"dryRun": "Some"}),
    post("configmaps", {"metadata": {"generateName": "made-", "name": "given"}, "data": {"a": "1"}}),
    post("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
    post("configmaps", {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}}),
    post("configmaps", {"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "x"}}),
    post("configmaps", config_map("Not_A_Name")),
    post("configmaps", config_map("n" * 254)),
    post("configmaps", config_map("x", labels={"a b": "c"})),
    post("configmaps", config_map("x", labels={"d": "e f"})),
    post("configmaps", config_map("x", namespace="elsewhere")),
    post("configmaps", config_map("x", data={"a b": "c"})),
]
DECODING: Final = [
    post("deployments", deployment(replicas="2")),
    post("deployments", deployment(replicas=1.5)),
    post("deployments", deployment(template=[1])),
    post("deployments", deployment(paused="yes")),
    post("deployments", deployment(container(ports="8080"))),
    post("deployments", deployment(container(ports=[{"containerPort": "http"}]))),
    post("deployments", deployment(container(env=[{"name": 1}]))),
    post("deployments", deployment(container(resources={"limits": {"cpu": "abc"}}))),
    post("deployments", deployment() | {"spec": "text"}),
    post("deployments", deployment(unknown=1), query={"fieldValidation": "Strict"}),
    post("deployments", deployment(container(unknown=1), more={"a": 1}), query={"fieldValidation": "Strict"}),
    post("deployments", deployment(container(unknown=1), name="warned")),
    post("deployments", deployment(container(unknown=1), name="ignored"), query={"fieldValidation": "Ignore"}),
    post("configmaps", {"metadata": {"name": "x", "labels": "a"}}),
    post("configmaps", {"metadata": {"name": "x", "labels": {"a": 1}}}),
    post("configmaps", {"metadata": "x"}),
    post("secrets", {"metadata": {"name": "x"}, "data": {"a": "***"}}),
    post("httproutes", of("gateway.networking.k8s.io/v1", "HTTPRoute", "r", spec={"hostnames": "a"})),
    post("httproutes", of("gateway.networking.k8s.io/v1", "HTTPRoute", "r", spec={"unknown": 1}),
         query={"fieldValidation": "Strict"}),
]  # fmt: skip
_ROUTE: Final = {
    "hostnames": ["a.apps.test"],
    "parentRefs": [{"name": "apps", "namespace": "kovra-gateway"}],
    "rules": [{"backendRefs": [{"name": "web", "port": 8080}]}],
}


def route(name: str = "r", **changes: Any) -> Object:
    return of("gateway.networking.k8s.io/v1", "HTTPRoute", name, spec=_ROUTE | changes)


DEFAULTS: Final = [
    post("deployments", deployment(container("a", image="x"), container("b", image="y:1"), container("c", image="z@sha256:" + "a" * 64))),
    post("deployments", deployment(
        container(readinessProbe={"httpGet": {"port": 80}}, livenessProbe={"tcpSocket": {"port": 80}},
                  startupProbe={"exec": {"command": ["x"]}, "periodSeconds": 3},
                  lifecycle={"preStop": {"sleep": {"seconds": 5}}},
                  resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 0.5}},
                  env=[{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "F", "value": ""}],
                  envFrom=[{"secretRef": {"name": "s"}}]),
        name="e", strategy={"rollingUpdate": {"maxSurge": 1}}, minReadySeconds=0,
        pod_spec={"volumes": [{"name": "s", "secret": {"secretName": "s"}}, {"name": "n"}], "hostNetwork": False,
                  "initContainers": [container("i", image="i")]})),
    post("deployments", deployment(name="f", strategy={"type": "Recreate"}, progressDeadlineSeconds=5)),
    post("services", of("v1", "Service", "s", spec={"selector": {"a": "b"}, "ports": [{"port": 80}]})),
    post("services", of("v1", "Service", "t", spec={"clusterIP": "None", "ports": [
        {"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 53, "protocol": "UDP"}]})),
    post("jobs", of("batch/v1", "Job", "j", spec={"suspend": True, "template": _TASK})),
    post("networkpolicies", policy(spec={"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]})),
    post("poddisruptionbudgets", budget(spec={"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}})),
    post("ingresses", ingress(spec={"rules": [{"host": "a.test", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]})),
    post("httproutes", route()),
    post("secrets", of("v1", "Secret", "s", stringData={"a": "x"}, data={"b": "eQ=="})),
    post("limitranges", limit_range(spec={"limits": [{"type": "Container", "max": {"cpu": "2000m"}, "min": {"memory": "64Mi"}}]})),
    post("resourcequotas", of("v1", "ResourceQuota", "q", spec={"hard": {"pods": "1000",
         "limits.cpu": "8000m", "limits.memory": "16384Mi"}})),
    post("serviceaccounts", of("v1", "ServiceAccount", "a", automountServiceAccountToken=False)),
    post("leases", of("coordination.k8s.io/v1", "Lease", "l", spec={"holderIdentity": "x", "leaseDurationSeconds": 15})),
    post("endpointslices", of("discovery.k8s.io/v1", "EndpointSlice", "e", addressType="IPv4",
                              endpoints=[{"addresses": ["10.0.0.1"]}], ports=[{"port": 80}])),
]  # fmt: skip
INVALID: Final = [
    post("deployments", deployment(replicas=-1, minReadySeconds=-1)),
    post("deployments", deployment(selector={"matchLabels": {"app": "other"}})),
    post("deployments", deployment(selector={"matchLabels": {}})),
    post("deployments", {"metadata": {"name": "d"}, "spec": {}}),
    post("deployments", deployment({})),
    post("deployments", deployment(container(), container())),
    post("deployments", deployment(container("Bad_Name"))),
    post("deployments", deployment(container(ports=[{"containerPort": 70000}, {"containerPort": 1, "protocol": "XYZ"}]))),
    post("deployments", deployment(container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}))),
    post("deployments", deployment(container(volumeMounts=[{"name": "absent", "mountPath": "/x"}]))),
    post("deployments", deployment(container(livenessProbe={}, readinessProbe={"exec": {}}))),
    post("deployments", deployment(container(livenessProbe={"tcpSocket": {"port": 0}, "successThreshold": 2}))),
    post("deployments", deployment(container(imagePullPolicy="Sometimes"))),
    post("deployments", deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}})),
    post("deployments", deployment(strategy={"type": "Recreate", "rollingUpdate": {}})),
    post("deployments", deployment(strategy={"rollingUpdate": {"maxSurge": "many"}})),
    post("deployments", deployment(progressDeadlineSeconds=5, minReadySeconds=9)),
    post("deployments", deployment(pod_spec={"restartPolicy": "Never"})),
    post("jobs", of("batch/v1", "Job", "j", spec={"template": {"spec": {"containers": [container()]}}})),
    post("jobs", of("batch/v1", "Job", "j", spec={"backoffLimit": -1, "template": _TASK})),
    post("services", of("v1", "Service", "s", spec={})),
    post("services", of("v1", "Service", "1s", spec={"ports": [{"port": 80}]})),
    post("services", of("v1", "Service", "s", spec={"ports": [{"port": 0}, {"port": 80, "targetPort": 99999}]})),
    post("services", of("v1", "Service", "s", spec={"type": "Odd", "ports": [{"port": 80}]})),
    post("networkpolicies", policy(spec={"podSelector": {}, "policyTypes": ["Sideways"], "egress": [
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}}, {}]}]})),
    post("networkpolicies", policy(spec={"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "x"}}]}]})),
    post("ingresses", ingress(spec={})),
    post("ingresses", ingress(spec={"rules": [{"host": "A_b", "http": {"paths": [{"path": "x", "pathType": "Prefix", "backend": {}}]}}]})),
    post("poddisruptionbudgets", budget(spec={"minAvailable": 1, "maxUnavailable": 1})),
    post("resourcequotas", of("v1", "ResourceQuota", "q", spec={"hard": {"pods": "-1"}})),
    post("limitranges", limit_range(spec={"limits": [{"type": "Container", "default": {"cpu": "3"}, "max": {"cpu": "2"}}]})),
]  # fmt: skip
ROUTES: Final = [
    post("httproutes", route(), query={"fieldValidation": "Strict"}),
    post("httproutes", route("b", hostnames=["Bad_Host"])),
    post("httproutes", route("b", hostnames=["x.test"] * 17)),
    post("httproutes", route("b", parentRefs=[{"namespace": "x"}])),
    post("httproutes", route("b", parentRefs=[{"name": "a"}, {"name": "a"}])),
    post("httproutes", route("b", rules=[{"backendRefs": [{"name": "web"}]}])),
    post("httproutes", route("b", rules=[{"backendRefs": [{"name": "web", "port": 70000}]}])),
    post("httproutes", route("b", rules=[{"matches": [{"path": {"value": "no-slash"}}]}])),
    post("httproutes", route("b", rules=[{"matches": [{"path": {"value": "/a/../b"}}]}])),
    post("httproutes", route("b", rules=[{"matches": [{"method": "FETCH"}]}])),
    post("httproutes", route("b", rules=[{"filters": [{"type": "RequestRedirect"}]}])),
    post("httproutes", route("b", rules=[{"timeouts": {"request": "soon"}}])),
    apply("httproutes", "r", route(), "one"),
    apply("httproutes", "r", route(hostnames=["b.apps.test"]), "two"),
    apply("httproutes", "r", route(hostnames=["b.apps.test"]), "one", force="true"),
    patch("httproutes", "r", {"spec": {"hostnames": ["c.apps.test"]}}, MERGE),
    patch("httproutes", "r", {"spec": {}}, STRATEGIC),
    get("httproutes"),
]
DELETING: Final = [
    post("configmaps", config_map("a")),
    delete("configmaps", "a", {"preconditions": {"uid": "abc"}}),
    delete("configmaps", "a", {"preconditions": {"resourceVersion": "1"}}),
    delete("configmaps", "a", {"propagationPolicy": "Sometimes"}),
    delete("configmaps", "a", {"preconditions": {"uid": "$1.metadata.uid"}}),
    delete("configmaps", "a"),
    post("configmaps", config_map("held", finalizers=["kovra.test/hold"])),
    delete("configmaps", "held"),
    delete("configmaps", "held"),
    post("configmaps", config_map("held")),
    patch("configmaps", "held", {"metadata": {"finalizers": None}}, MERGE),
    get("configmaps", "held"),
    post("configmaps", config_map("bad", finalizers=["plain"])),
    post("configmaps", config_map("x1", labels={"gone": "yes"})),
    post("configmaps", config_map("x2", labels={"gone": "yes"})),
    Call(method="DELETE", path=at("configmaps"), query={"labelSelector": "gone=yes"}),
    get("configmaps", "x1"),
    post("configmaps", config_map("owner")),
    post("configmaps", config_map("orphan", ownerReferences=[
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "$18.metadata.uid"}])),
    delete("configmaps", "owner", propagationPolicy="Orphan"),
    post("deployments", deployment()),
    delete("deployments", "d", {"propagationPolicy": "Background"}),
]  # fmt: skip
LISTING: Final = [
    *(post("configmaps", config_map(f"c{n}", labels={"n": str(n), "suite": "x"})) for n in range(5)),
    get("configmaps", limit="2", labelSelector="suite=x"),
    get("configmaps", labelSelector="n in (1,2)"),
    get("configmaps", labelSelector="n notin (1,2),suite"),
    get("configmaps", labelSelector="!suite"),
    get("configmaps", labelSelector="n!=1,suite=x"),
    get("configmaps", fieldSelector="metadata.name=c1"),
    get("configmaps", fieldSelector="metadata.name!=c1", labelSelector="suite"),
    get("configmaps", labelSelector="a in ("),
    get("configmaps", fieldSelector="data.a=1"),
    get("pods", fieldSelector="status.nothing=1"),
    get("configmaps", limit="many"),
    get("configmaps", "c1", accept=PARTIAL),
    get("configmaps", accept=PARTIAL, labelSelector="n=3"),
    get("configmaps", "absent"),
    get("secrets"),
    Call(method="GET", path="/api/v1/namespaces/{ns}/nothings"),
    Call(method="GET", path="/apis/nothing.test/v1"),
    Call(method="GET", path="/api/v1/namespaces/{ns}/configmaps/c1/status"),
    Call(method="POST", path="/api/v1/namespaces/{ns}/configmaps/c1", body=config_map("c1")),
    Call(method="GET", path="/api/v1/namespaces/{ns}/configmaps", query={"watch": "true", "resourceVersion": "abc"}),
]
SUBRESOURCES: Final = [
    post("deployments", deployment(paused=True)),
    get("deployments", "d", below="scale"),
    patch("deployments", "d", {"spec": {"replicas": 3}}, MERGE, below="scale", fieldManager="scaler"),
    put("deployments", "d", {"metadata": {"name": "d"}, "spec": {"replicas": 2}}, below="scale", fieldManager="scaler"),
    patch("deployments", "d", {"spec": {"replicas": "x"}}, MERGE, below="scale"),
    get("deployments", "d"),
    apply("deployments", "d", deployment(replicas=9), "one"),
    post("leases", of("coordination.k8s.io/v1", "Lease", "l", spec={"holderIdentity": "a"})),
    put("leases", "l", of("coordination.k8s.io/v1", "Lease", "l", spec={"holderIdentity": "b", "leaseTransitions": 1})),
    post("httproutes", route() | {"status": {"parents": []}}),
    patch("httproutes", "r", {"status": {"parents": [{"controllerName": "kovra.test/c", "parentRef": {"name": "apps"},
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}]}},
          MERGE, below="status", fieldManager="gateway"),
    patch("httproutes", "r", {"spec": {"hostnames": ["z.test"]}}, MERGE, below="status"),
    get("httproutes", "r"),
    get("configmaps", "c", below="scale"),
]  # fmt: skip
SECRETS: Final = [
    post("secrets", of("v1", "Secret", "s", type="Opaque", immutable=True, data={"a": "MQ=="})),
    put("secrets", "s", of("v1", "Secret", "s", type="Opaque", immutable=True, data={"a": "Mg=="})),
    put("secrets", "s", of("v1", "Secret", "s", type="Opaque", data={"a": "MQ=="})),
    put("secrets", "s", of("v1", "Secret", "s", type="Other", immutable=True, data={"a": "MQ=="})),
    patch("secrets", "s", {"metadata": {"labels": {"a": "b"}}}, MERGE),
    apply("secrets", "t", of("v1", "Secret", "t", immutable=True, data={"a": "MQ=="}), "one"),
    apply("secrets", "t", of("v1", "Secret", "t", immutable=True, data={"a": "MQ=="}), "one"),
    apply("secrets", "t", of("v1", "Secret", "t", immutable=True, data={"b": "MQ=="}), "one"),
    apply("secrets", "u", of("v1", "Secret", "u", stringData={"a": "b"}), "one"),
    get("secrets", "t"),
    apply("secrets", "e", of("v1", "Secret", "e", immutable=True, data={}), "one"),
    apply("secrets", "e", of("v1", "Secret", "e", immutable=True, data={}), "one"),
    apply("secrets", "e", of("v1", "Secret", "e", immutable=True), "one"),
    get("secrets", "e"),
]
_RESTRICTED: Final = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
ADMISSION: Final = [
    post("pods", pod()),
    post("pods", pod("p2", serviceAccountName="absent")),
    post("pods", pod("p3", container(resources={"limits": {"cpu": "1"}}))),
    post("limitranges", limit_range(spec={"limits": [
        {"type": "Container", "default": {"cpu": "100m", "memory": "128Mi"}, "max": {"cpu": "2", "memory": "1Gi"},
         "min": {"cpu": "10m"}, "maxLimitRequestRatio": {"cpu": "4"}}, {"type": "Pod", "max": {"cpu": "3"}}]})),
    # The API server's admission learns of a new LimitRange a moment after it is stored.
    post("pods", pod("p4"), query={"dryRun": "All"}, until="LimitRanger plugin set"),
    post("pods", pod("p4")),
    post("pods", pod("p5", container(resources={"limits": {"cpu": "4"}}))),
    post("pods", pod("p6", container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "5m"}}))),
    post("pods", pod("p7", *(container(n, resources={"limits": {"cpu": "2"}}) for n in ("a", "b")))),
    post("resourcequotas", of("v1", "ResourceQuota", "q", spec={"hard": {"pods": "3", "requests.cpu": "1200m", "services": "1",
         "services.nodeports": "0", "count/secrets": "1", "count/jobs.batch": "0"}})),
    get("resourcequotas", "q", until='"used"'),
    post("pods", pod("p8")),
    post("services", of("v1", "Service", "s", spec={"ports": [{"port": 80}]})),
    post("services", of("v1", "Service", "t", spec={"ports": [{"port": 80}]})),
    post("services", of("v1", "Service", "t", spec={"type": "NodePort", "ports": [{"port": 80}]})),
    post("secrets", of("v1", "Secret", "a")),
    post("secrets", of("v1", "Secret", "b")),
    post("jobs", of("batch/v1", "Job", "j", spec={"template": _TASK})),
    delete("resourcequotas", "q"),
    delete("limitranges", "l"),
    post("resourcequotas", of("v1", "ResourceQuota", "r", spec={"hard": {"limits.cpu": "1"}})),
    get("resourcequotas", "r", until='"used"'),
    post("pods", pod("p9")),
    post("pods", pod("p9", container(resources={"limits": {"cpu": "3"}}))),
    patch("pods", "p", {"spec": {"restartPolicy": "Never"}}, MERGE),
    patch("pods", "p", {"metadata": {"labels": {"a": "b"}}}, MERGE),
]  # fmt: skip
_ENFORCED: Final = {
    "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "v1.35",
}  # fmt: skip


def _safe(**changes: Any) -> Object:
    return container(securityContext=_RESTRICTED | changes)


POD_SECURITY: Final = [
    Call(method="PATCH", path="/api/v1/namespaces/{ns}", body={"metadata": {"labels": _ENFORCED}}, content=MERGE),
    post("pods", pod("safe", _safe())),
    post("pods", pod("p")),
    post("pods", pod("p", container("a"), container("b"), initContainers=[container("i")])),
    post("pods", pod("p", _safe(), hostNetwork=True, hostPID=True, hostIPC=True)),
    post("pods", pod("p", _safe(), volumes=[{"name": "h", "hostPath": {"path": "/"}}])),
    post("pods", pod("p", _safe(), volumes=[{"name": "h", "hostPath": {"path": "/"}}, {"name": "n", "nfs": {"server": "a", "path": "/"}}])),
    post("pods", pod("p", container(securityContext=_RESTRICTED, ports=[{"containerPort": 1, "hostPort": 1}]))),
    post("pods", pod("p", _safe(allowPrivilegeEscalation=True, privileged=True))),
    post("pods", pod("p", _safe(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN", "NET_BIND_SERVICE"]}))),
    post("pods", pod("p", _safe(runAsNonRoot=False))),
    post("pods", pod("p", _safe(runAsUser=0), securityContext={"runAsUser": 0, "runAsNonRoot": False})),
    post("pods", pod("p", _safe(seccompProfile={"type": "Unconfined"}))),
    post("pods", pod("p", _safe(), securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})),
    post("pods", pod("p", _safe(seLinuxOptions={"user": "u", "type": "spc_t"}))),
    post("pods", pod("p", _safe(appArmorProfile={"type": "Unconfined"}))),
    post("pods", pod("p", container(securityContext=_RESTRICTED, livenessProbe={"httpGet": {"host": "1.1.1.1", "port": 80}}))),
    post("pods", pod("p", container(), securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})),
]  # fmt: skip
NAMESPACES: Final = [
    Call(method="GET", path="/api/v1/namespaces/{ns}"),
    Call(method="POST", path="/api/v1/namespaces", body=of("v1", "Namespace", "Bad_Name")),
    Call(method="POST", path="/api/v1/namespaces/{ns}-absent/configmaps", body=config_map()),
    Call(method="GET", path="/api/v1/namespaces/{ns}-absent/configmaps"),
    get("serviceaccounts", "default", until='"uid"'),
    get("configmaps", "kube-root-ca.crt", accept=PARTIAL, until='"uid"'),
    post("configmaps", config_map("held", finalizers=["kovra.test/hold"])),
    Call(method="DELETE", path="/api/v1/namespaces/{ns}"),
    post("configmaps", config_map("late")),
    apply("configmaps", "late", config_map("late"), "one"),
    get("configmaps", "held", until="deletionTimestamp"),
    patch("configmaps", "held", {"metadata": {"finalizers": None}}, MERGE),
    Call(method="GET", path="/api/v1/namespaces/{ns}", until='"NotFound"'),
]
OUTCOMES: Final = [
    post("deployments", deployment(replicas=0)),
    Call(method="GET", path=at("deployments", "d"), until="NewReplicaSetAvailable", shows_status=True),
    post("jobs", of("batch/v1", "Job", "j", spec={"suspend": True, "template": _TASK})),
    post("poddisruptionbudgets", budget(spec={"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}})),
    Call(method="GET", path=at("poddisruptionbudgets", "b"), until="DisruptionAllowed", shows_status=True),
    post("resourcequotas", of("v1", "ResourceQuota", "q", spec={"hard": {"pods": "0", "limits.memory": "1024Mi", "secrets": "1000"}})),
    Call(method="GET", path=at("resourcequotas", "q"), until='"used"', shows_status=True),
    post("deployments", deployment(container(resources={"limits": {"memory": "64Mi"}}), name="refused", replicas=1)),
    Call(method="GET", path=at("deployments", "refused"), until="ReplicaFailure", shows_status=True),
]  # fmt: skip
_SINCE: Final = dict.fromkeys(("lastProbeTime", "lastTransitionTime"), "2026-01-01T00:00:00Z")
_GOOD: Final = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", **_SINCE}]}}
_NOWHERE: Final = {"kovra.test/nowhere": "yes"}
_TWO: Final = {"selector": {"matchLabels": {"a": "b"}}}
EVICTIONS: Final = [
    post("pods", pod("pending", nodeSelector=_NOWHERE)),
    evict("pending", dryRun="All"),
    evict("pending"),
    evict("pending"),
    post("poddisruptionbudgets", budget(spec={"minAvailable": 1, **_TWO})),
    *[post("pods", labelled(pod(name, nodeSelector=_NOWHERE), a="b")) for name in ("one", "two")],
    # The scheduler's word first: what it set is not ours then.
    *[get("pods", name, until="PodScheduled") for name in ("one", "two")],
    *[patch("pods", name, _GOOD, STRATEGIC, below="status") for name in ("one", "two")],
    get("poddisruptionbudgets", "b", until='"disruptionsAllowed": 1'),
    evict("one", dryRun="All"),
    evict("one"),
    get("poddisruptionbudgets", "b", until='"currentHealthy": 1'),
    evict("two"),
    post("poddisruptionbudgets", of("policy/v1", "PodDisruptionBudget", "c", spec={"maxUnavailable": 1, **_TWO})),
    evict("two"),
    delete("poddisruptionbudgets", "c"),
    patch("poddisruptionbudgets", "b", {"spec": {"minAvailable": 0}}, MERGE),
    get("poddisruptionbudgets", "b", until='"disruptionsAllowed": 1'),
    evict("two"),
]  # fmt: skip
DISCOVERY: Final = [
    Call(method="GET", path="/nothing"),
    Call(method="GET", path="/apis/apps"),
    Call(method="GET", path="/apis/batch"),
]

SCENARIOS: Final[dict[str, list[Call]]] = {
    "applying": APPLYING, "wrong-applies": WRONG_APPLIES, "keyed-lists": KEYED_LISTS, "patches": PATCHES,
    "replacing": REPLACING, "decoding": DECODING, "defaults": DEFAULTS, "invalid": INVALID, "routes": ROUTES,
    "deleting": DELETING, "listing": LISTING, "subresources": SUBRESOURCES, "secrets": SECRETS, "admission": ADMISSION,
    "pod-security": POD_SECURITY, "namespaces": NAMESPACES, "outcomes": OUTCOMES, "evictions": EVICTIONS, "discovery": DISCOVERY,
}  # fmt: skip
