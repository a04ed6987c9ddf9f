"""Source trees of a made-up Milo, with the manifests that its start profiles read."""

import json
from pathlib import Path

WEBHOOK = """
kind: {kind}WebhookConfiguration
metadata: {{name: {name}}}
webhooks:
- name: one
  failurePolicy: Fail
  clientConfig: {{service: {{name: milo-controller-manager, path: /one, port: 9443}}}}
"""
REGISTRATION = """
kind: ResourceRegistration
metadata: {name: secrets-per-project}
spec: {resourceType: core/secrets, consumerType: {kind: Project}}
"""
POLICY = "kind: ClaimCreationPolicy\nmetadata: {name: claim-secrets}\nspec: {}\n"


def deployment(name: str, memory: str) -> str:
    """Return a Deployment, as JSON, which is YAML."""
    container = {
        "args": [
            *(name, "--v=$(LEVEL)", "--logging-format=json", "--leader-elect=true"),
            *("--feature-gates=$(GATES)", "--tls-cert-file=/x", "--kubeconfig=/y"),
        ],
        "env": [
            {"name": "LEVEL", "value": "4"},
            {"name": "GATES", "value": ""},
            {"name": "LIMIT", "valueFrom": {}},
        ],
        "resources": {"limits": {"memory": memory}},
    }
    template = {"spec": {"containers": [container]}}
    return json.dumps({"kind": "Deployment", "spec": {"template": template}})


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_tree(folder: Path) -> Path:
    """Write a source tree with all the manifests that a profile reads, and return its path."""
    config = folder / "milo" / "config"
    both = [WEBHOOK.format(kind=kind, name=kind.lower()) for kind in ("Mutating", "Validating")]
    write(config / "webhook/manifests.yaml", "---".join(both))
    write(config / "webhook/kustomization.yaml", "resources: [manifests.yaml]")
    write(config / "apiserver/deployment.yaml", deployment("apiserver", "1Gi"))
    write(
        config / "controller-manager/base/deployment.yaml",
        deployment("controller-manager", "512Mi"),
    )
    write(config / "services/quota/registrations/secrets.yaml", REGISTRATION)
    write(config / "services/quota/claim-policies/secrets.yaml", POLICY)
    return folder / "milo"
