"""One example of each body and answer, for the OpenAPI page; a test holds them against the shapes."""

from typing import Any

import yaml

BASE = "https://telco-lb.invalid/problems/"
POOL: dict[str, Any] = {
    "kind": "Pool",
    "name": "amf",
    "spec": {"endpoints": [{"name": "amf-1", "addresses": ["10.11.0.2", "10.12.0.2"], "port": 38412}]},
}
SERVICE: dict[str, Any] = {
    "kind": "Service",
    "name": "n2",
    "spec": {"vips": ["10.100.0.1", "10.101.0.1"], "port": 38412, "mode": "fullnat", "pool": "amf"},
}
POLICY = [POOL, SERVICE]
HEALTH = {
    "name": "amf-1",
    "admin": "up",
    "addresses": {"10.11.0.2": "up", "10.12.0.2": "down"},
    "trouble": {"10.12.0.2": {"reason": "no answer", "for_s": 12.5}},
}
BOTH = {"to_endpoint": 1204, "to_client": 1198}
BYTES = {"to_endpoint": 120400, "to_client": 119800}
TOTALS = {"associations": 1, "created": 3, "packets": BOTH, "bytes": BYTES}
PATH = {
    "client": "10.1.0.2",
    "vip": "10.100.0.1",
    "source": "10.100.0.1",
    "server": "10.11.0.2",
    "state": "up",
    "packets": BOTH,
}
ASSOCIATION = {
    "service": "n2",
    "endpoint": "amf/amf-1",
    "state": "established",
    "client_tag": "0x2f6a91c3",
    "server_tag": "0x90b1d7e4",
    "protocol": "sctp",
    "client_port": 38412,
    "service_port": 38412,
    "our_port": 38412,
    "server_port": 38412,
    "clients": ["10.1.0.2", "10.2.0.2"],
    "paths": [PATH],
    "packets": BOTH,
    "bytes": BYTES,
    "age_s": 61.25,
    "idle_s": 0.5,
}
EVENT = {
    "kind": "trace",
    "reason": "foreign_source",
    "service": "n2",
    "endpoint": "amf/amf-1",
    "client_tag": "0x2f6a91c3",
    "server_tag": "0x90b1d7e4",
    "source": "10.1.0.9",
    "destination": "10.100.0.1",
    "sport": 38412,
    "dport": 38412,
    "conversation": 7,
}
EXAMPLES: dict[str, Any] = {
    "Policy": POLICY,
    "PoolResource": POOL,
    "ServiceResource": SERVICE,
    "yaml": yaml.safe_dump_all(POLICY, sort_keys=False),
    "Resource": POOL | {"status": {"endpoints": [HEALTH]}},
    "Resources": [POOL],
    "Applied": {
        "revision": 7,
        "changes": 1,
        "steps": [{"action": "add", "kind": "Service", "name": "n2"}],
        "warnings": [
            "Service/n2.spec.vips: private and global addresses are mixed; Linux peers ignore the private"
        ],
    },
    "Status": {
        "revision": 7,
        "adopted": False,
        "interfaces": {"eth1": ["tc", "xdp"]},
        "pools": {"amf": [HEALTH]},
        "warnings": [],
    },
    "Stats": {
        "services": {"n2": TOTALS},
        "endpoints": {"amf/amf-1": TOTALS},
        "paths": [
            {
                "service": "n2",
                "endpoint": "amf/amf-1",
                "vip": "10.100.0.1",
                "server": "10.11.0.2",
                "associations": 1,
                "packets": BOTH,
            }
        ],
        "drops": {"ootb": 3, "foreign_source": 0},
    },
    "Associations": [ASSOCIATION],
    "Event": EVENT,
    "healthz": "ok\n",
    "readyz": "ready, revision 7\n",
    "metrics": 'telco_service_associations{service="n2"} 1.0\n',
}
_PROBLEMS: dict[int, tuple[str, str, str]] = {
    400: ("content-length", "Bad Request", "content-length: a number of bytes is allowed"),
    401: ("token", "Unauthorized", "authorization: a bearer token is required"),
    404: ("not-found", "Not Found", "Pool 'smf' does not exist"),
    412: ("stale-revision", "Precondition Failed", "If-Match: revision 6 was given, the policy is at 7"),
    413: ("too-large", "Content Too Large", "body: more than 67108864 bytes: raise max_body_mb to allow it"),
    415: ("http-415", "Unsupported Media Type", "content-type: 'text/plain': application/json is allowed"),
    422: ("invalid-policy", "Unprocessable Content", "Service/n2.spec.port: 0: a port is 1 to 65535"),
    429: ("rate", "Too Many Requests", "more than 200 requests a second: try again in a second"),
    500: ("internal", "Internal Server Error", "an error of ours: the log has it"),
    503: ("datapath", "Service Unavailable", "update vips: No space left on device"),
    507: ("store", "Insufficient Storage", "policy.db could not be written: nothing was changed"),
}
ERROR_EXAMPLES: dict[int, dict[str, Any]] = {
    status: {"type": BASE + kind, "title": title, "status": status, "detail": detail}
    for status, (kind, title, detail) in _PROBLEMS.items()
}
ERROR_EXAMPLES[422]["errors"] = [
    {"field": "Service/n2.spec.port", "value": "0", "allowed": "a port is 1 to 65535"}
]
