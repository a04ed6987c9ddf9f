"""A kubeconfig: how a client of Kubernetes finds a server, and as whom.  Pure."""

import json
from pathlib import Path


def kubeconfig_json(url: str, ca_file: Path, token_file: Path, user: str) -> str:
    """Return the text of one, with the paths of an authority and a token and not the token.

    Args:
        url: Of the server, with or without a path.
        ca_file: PEM.
        token_file: Holds the bearer token.
        user: What the client calls itself; the server goes by the token.
    """
    cluster = {"server": url, "certificate-authority": str(ca_file)}
    return json.dumps(  # JSON is YAML
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "milo", "cluster": cluster}],
            "users": [{"name": user, "user": {"tokenFile": str(token_file)}}],
            "contexts": [{"name": "milo", "context": {"cluster": "milo", "user": user}}],
            "current-context": "milo",
        }
    )
