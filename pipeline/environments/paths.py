"""Paths of objects in the API of a cluster."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_PLURALS: Mapping[str, str] = MappingProxyType(
    {
        "Namespace": "namespaces",
        "ServiceAccount": "serviceaccounts",
        "Secret": "secrets",
        "ConfigMap": "configmaps",
        "Service": "services",
        "Pod": "pods",
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "NetworkPolicy": "networkpolicies",
        "Job": "jobs",
        "TestRun": "testruns",
    }
)


def path_of(manifest: Mapping[str, Any]) -> str:
    """Return the path of an object, given its manifest."""
    version, metadata = manifest["apiVersion"], manifest["metadata"]
    group = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{group}{within}/{_PLURALS[manifest['kind']]}/{metadata['name']}"


def within(namespace: str, plural: str = "") -> str:
    """Return the path of a namespace, or of the objects of the core that are in it."""
    return f"/api/v1/namespaces/{namespace}{f'/{plural}' if plural else ''}"
