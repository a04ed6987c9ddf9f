"""The cluster as Google is asked for it: pure."""

from datetime import UTC, datetime
from typing import Any

from pipeline.environments.gke.cost import BOOT_DISK
from pipeline.environments.gke.values import Order, Pool, labels

POOL = "milo-perf/pool"
"""Label of the nodes of a pool, and the taint of those that only a server may have."""

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def body(order: Order, expires_s: float) -> dict[str, Any]:
    """Return the cluster as Google is asked for it.

    Nodes have no address of their own, the API is reached by a name that asks for IAM, and nothing
    is upgraded or collected that a measurement would feel.
    """
    end = datetime.fromtimestamp(expires_s, UTC)
    return {
        "name": order.name,
        "description": "Made by milo-perf for one run; anybody may delete it once it has expired.",
        "resource_labels": labels(order.run, expires_s),
        "network": order.network,
        "subnetwork": order.subnetwork,
        "release_channel": {"channel": order.channel},
        "ip_allocation_policy": {"use_ip_aliases": True},
        "network_config": {"default_enable_private_nodes": True},
        "control_plane_endpoints_config": {
            "dns_endpoint_config": {"allow_external_traffic": True},
            "ip_endpoints_config": {"enabled": False},
        },
        "workload_identity_config": {"workload_pool": f"{order.project}.svc.id.goog"},
        "logging_config": {"component_config": {"enable_components": ["SYSTEM_COMPONENTS"]}},
        "monitoring_config": {
            "component_config": {"enable_components": ["SYSTEM_COMPONENTS"]},
            "managed_prometheus_config": {"enabled": False},
        },
        "maintenance_policy": {
            "window": {
                "maintenance_exclusions": {
                    "measuring": {
                        "start_time": datetime.fromtimestamp(expires_s - order.life_s, UTC),
                        "end_time": end,
                        "maintenance_exclusion_options": {"scope": "NO_UPGRADES"},
                    }
                }
            }
        },
        "node_pools": [_pool(pool, order.account) for pool in order.pools],
    }


def _pool(pool: Pool, account: str) -> dict[str, Any]:
    taints = [{"key": POOL, "value": pool.name, "effect": "NO_SCHEDULE"}]
    return {
        "name": pool.name,
        "initial_node_count": pool.nodes,
        "config": {
            "machine_type": pool.machine_type,
            "disk_type": BOOT_DISK,
            "disk_size_gb": pool.disk_gib,
            "service_account": account,
            "oauth_scopes": [_SCOPE],
            "spot": pool.is_spot,
            "labels": {POOL: pool.name},
            "taints": taints if pool.name == "server" else [],
            "workload_metadata_config": {"mode": "GKE_METADATA"},
        },
        "management": {"auto_repair": True, "auto_upgrade": True},  # as a channel wants it
    }
